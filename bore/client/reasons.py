"""Why a client has no tunnel, apart from what the server reports."""

from __future__ import annotations

from bore.streams.errortexts import errorText
from bore.wire.errors import ClientHasNoSecret, Refusal, ServerHasNoSecret


class ServerUnreachable(Exception):
    """The server cannot be reached or was lost, and there is no further attempt."""


class ServerSilent(Exception):
    """The server has sent nothing for too long."""


class ServerNotReading(Exception):
    """The server leaves more of the control connection unread than the client buffers."""

    def __init__(self) -> None:
        super().__init__("it does not read its control connection")


class CheckFailed(Exception):
    """The tunnel seems to be up, but visitors of the public port do not come through."""


class NoVisitorAddresses(Exception):
    """The local service should get the visitors' addresses, and the server does not send them."""

    def __init__(self) -> None:
        super().__init__(
            "--proxy-protocol: this server does not send the addresses of visitors, as it does not know the extension: "
            "run 'bore server' of txbore there, or omit --proxy-protocol"
        )


def describe(why: BaseException | None) -> str:
    """Describe in a few words, for people, why there is no tunnel or no connection."""
    if isinstance(why, Refusal) and not isinstance(why, ClientHasNoSecret | ServerHasNoSecret):
        return f"server error: {why}"
    return errorText(why)
