"""Why a client has no tunnel, apart from what the server reports."""

from __future__ import annotations

import errno
from typing import Final

from bore.streams.errortexts import errorText
from bore.streams.unixdial import UnixSocketError
from bore.wire.errors import ClientHasNoSecret, InvalidSecret, Refusal, ServerHasNoSecret

#: What would be right when a local service cannot be reached, by the error of the system.
_LOCAL_ADVICE: Final = {
    errno.ECONNREFUSED: "nothing listens there: start it, or give another port",
    errno.ETIMEDOUT: "check its address, and the firewalls on the way",
    errno.EHOSTUNREACH: "check its address",
    errno.ENETUNREACH: "check its address",
}


class ServerUnreachable(Exception):
    """The server cannot be reached or was lost, and there is no further attempt."""


class ServerSilent(Exception):
    """The server has sent nothing for too long."""


class RequestUnanswered(ServerSilent):
    """The server has not answered the request for a tunnel, in a session that goes on."""


class ServerNotReading(Exception):
    """The server leaves more of the control connection unread than the client buffers."""

    def __init__(self) -> None:
        super().__init__("it does not read its control connection")


class CheckFailed(Exception):
    """The tunnel seems to be up, but visitors of the public port do not come through."""


class NotMovable(Exception):
    """Another process of the client cannot take its tunnels over now."""


class ExtensionNeeded(Exception):
    """
    A tunnel needs what servers do that know the extension, and this server does not know it.

    :param option: the option that needs it.
    :param missing: what the server does not do.
    """

    def __init__(self, option: str, missing: str) -> None:
        super().__init__(
            f"{option}: this server does not {missing}, as it does not know the extension: "
            f"run 'bore server' of txbore there, or omit {option}"
        )


def describe(why: BaseException | None) -> str:
    """Describe in a few words, for people, why there is no tunnel or no connection, and what would be right."""
    return ": ".join((_text(why), *getattr(why, "__notes__", ())))


def _text(why: BaseException | None) -> str:
    match why:
        case ClientHasNoSecret():
            return f"{why}: give the client the server's secret, as with --secret-file FILE"
        case ServerHasNoSecret():
            return f"{why}: omit the secret of the client, or give it to the server as well"
        case InvalidSecret() if not why.user:
            return f"server error: {why}: give the client the server's secret, as with --secret-file FILE"
        case Refusal():
            return f"server error: {why}"
    return errorText(why)


def localAdvice(why: BaseException | None) -> str:
    """Return what would be right when a local service cannot be reached; empty: unknown, or the error says it."""
    if isinstance(why, UnixSocketError) or not isinstance(why, OSError):
        return ""
    return _LOCAL_ADVICE.get(why.errno or 0, "")
