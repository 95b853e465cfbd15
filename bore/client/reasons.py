"""Why a client has no tunnel, beside what the server says."""

from __future__ import annotations

from typing import Final, cast

from twisted.internet import error

from bore.wire.errors import ClientHasNoSecret, Refusal, ServerHasNoSecret


class ServerUnreachable(Exception):
    """The server cannot be reached, or is lost, and the user wants no further attempt."""


class ServerSilent(Exception):
    """No frame came from the server for SILENCE_TIMEOUT seconds."""


class CheckFailed(Exception):
    """The tunnel seems to be up, and visitors of the public port do not come through."""


class NoVisitorAddresses(Exception):
    """The server does not tell where visitors come from, and the local service is to be told."""

    def __init__(self) -> None:
        super().__init__(
            "--proxy-protocol: this server does not tell where visitors come from, as it does not know the extension: "
            "run 'bore server' of txbore there, or leave --proxy-protocol out"
        )


class ServerNotTrusted(Exception):
    """What the server has shown inside TLS does not tell that it is the one that is meant."""


class ServerKeyChanged(ServerNotTrusted):
    """The server has shown something else than what is known of it, or what the user has given."""


_REASONS: Final[dict[type[Exception], str]] = {
    error.ConnectionRefusedError: "connection refused",
    error.ConnectionDone: "it closed the connection",
    error.ConnectionLost: "the connection was cut",
    error.TimeoutError: "it does not answer",
    error.TCPTimedOutError: "it does not answer",
    error.NoRouteError: "there is no route to it",
    error.DNSLookupError: "its name cannot be looked up",
}


def describe(why: BaseException | None) -> str:
    """Say in a few words what happened to a connection."""
    if isinstance(why, Refusal) and not isinstance(why, ClientHasNoSecret | ServerHasNoSecret):
        return f"server error: {why}"
    return _REASONS.get(cast("type[Exception]", type(why)), str(why))
