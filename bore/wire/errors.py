"""
Everything that can be wrong on the wire, as classes.

The original knows errors as strings. They are mapped here, in both directions, and nowhere else.
"""

from __future__ import annotations

from typing import ClassVar


class WireError(Exception):
    """Something is wrong with what the peer sent, or with what it was to be sent."""


class Violation(WireError):
    """The peer broke the protocol: the connection is closed without a word."""


class FrameTooLong(Violation):
    """A frame is longer than the limit, or has no end within it."""


class MalformedMessage(Violation):
    """A frame is not a message that this side may receive."""


class LateChallenge(Violation):
    """The server has a secret after all, and needed longer to say so than the client had patience for."""


class Refusal(WireError):
    """
    The server says no, in an Error frame, and closes.

    Without an argument a refusal carries the original's text. A text that the original does not have stays a plain
    ``Refusal``.
    """

    text: ClassVar[str] = "request refused"

    def __init__(self, text: str | None = None) -> None:
        super().__init__(self.text if text is None else text)


class PortNotAllowed(Refusal):
    """The port is outside the server's range."""

    text = "client port number not in allowed range"


class PortInUse(Refusal):
    """Somebody else listens on the port: another tunnel, or another program."""

    text = "port already in use"


class PortForbidden(Refusal):
    """The server has not the right to listen on the port."""

    text = "permission denied"


class BindFailed(Refusal):
    """The server could not listen on the port for any other reason."""

    text = "failed to bind to port"


class NoFreePort(Refusal):
    """None of the random ports that the server tried was free."""

    text = "failed to find an available port"


class ShuttingDown(Refusal):
    """The server was told to stop. The original never says so, and its client prints the text."""

    text = "server is shutting down"


class AuthenticationFailed(Refusal):
    """The two ends do not share a secret. Trying again cannot help."""


class InvalidSecret(AuthenticationFailed):
    """The proof of the secret is wrong."""

    text = "invalid secret"


class SecretMissing(AuthenticationFailed):
    """The server has a secret, and the client answered its challenge with something else than a proof."""

    text = "server requires secret, but no secret was provided"


class ClientHasNoSecret(AuthenticationFailed):
    """The server sent a challenge, and this client has no secret."""

    text = "server requires authentication, but no client secret was provided"


class ServerHasNoSecret(AuthenticationFailed):
    """This client has a secret, and the server did not ask for it."""

    text = "expected authentication challenge, but no secret was required"


class UnreadableProof(Refusal):
    """A frame that is no message came where the proof of the secret belongs."""

    text = "unable to parse message"


class OverlongProof(Refusal):
    """An over-long frame came where the proof of the secret belongs."""

    text = "frame error, invalid byte length"


class ProofTimeout(Refusal):
    """Nothing came where the proof of the secret belongs."""

    text = "timed out waiting for initial message"


_BY_TEXT: dict[str, type[Refusal]] = {
    kind.text: kind
    for kind in (
        PortNotAllowed,
        PortInUse,
        PortForbidden,
        BindFailed,
        NoFreePort,
        ShuttingDown,
        InvalidSecret,
        SecretMissing,
        UnreadableProof,
        OverlongProof,
        ProofTimeout,
    )
}


def refusalFor(text: str) -> Refusal:
    """
    Turn the text of an Error frame into the refusal that it stands for.

    :param text: what the server wrote; unknown texts give a plain :class:`Refusal` that carries them.
    """
    return _BY_TEXT.get(text, Refusal)(text)
