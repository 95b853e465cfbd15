"""Why a client has no tunnel, or a visitor no connection, beside what the server says."""

from __future__ import annotations

from bore.streams.errortexts import errorText
from bore.wire.errors import ClientHasNoSecret, Refusal, ServerHasNoSecret


class ServerUnreachable(Exception):
    """The server cannot be reached, or is lost, and the user wants no further attempt."""


class ServerSilent(Exception):
    """No frame came from the server for SILENCE_TIMEOUT seconds."""


class ServerNotReading(Exception):
    """The server has not read so much of the control connection that no more is kept for it."""

    def __init__(self) -> None:
        super().__init__("it does not read its control connection")


class CheckFailed(Exception):
    """The tunnel seems to be up, and visitors of the public port do not come through."""


class NoVisitorAddresses(Exception):
    """The server does not tell where visitors come from, and the local service is to be told."""

    def __init__(self) -> None:
        super().__init__(
            "--proxy-protocol: this server does not tell where visitors come from, as it does not know the extension: "
            "run 'bore server' of txbore there, or leave --proxy-protocol out"
        )


def describe(why: BaseException | None) -> str:
    """Say in a few words, for people, why there is no tunnel or no connection: what the server has said, or else."""
    if isinstance(why, Refusal) and not isinstance(why, ClientHasNoSecret | ServerHasNoSecret):
        return f"server error: {why}"
    return errorText(why)
