"""
Everything that can be wrong on the wire, as classes.

The original knows errors as strings, the extension as codes. They are mapped here, in both directions, and nowhere
else.
"""

from __future__ import annotations

from typing import ClassVar, Final


class WireError(Exception):
    """Something is wrong with what the peer sent, or with what it was to be sent."""


class ProtocolViolation(WireError):
    """The peer broke the protocol: the connection is closed without a word."""


class FrameTooLong(ProtocolViolation):
    """A frame is longer than the limit, or has no end within it."""


class MalformedMessage(ProtocolViolation):
    """A frame is not a message that this side may receive."""


class UnknownMessage(MalformedMessage):
    """A frame is a message, but none that this side knows."""


class ServerLeft(WireError):
    """The server has said Goodbye."""


class LateChallenge(ProtocolViolation):
    """The server has a secret after all, and needed longer to say so than the client had patience for."""


class Refusal(WireError):
    """
    The server says no, in an Error frame or as Refused, and closes.

    A text or a code that this side does not know stays a plain ``Refusal``.

    :cvar text: what people read; the original's, where it has one.
    :cvar code: what programs read, in the extension.
    :ivar retry: whether the same request may be granted later.
    """

    text: ClassVar[str] = "request refused"
    code: str = "refused"
    retry: bool = True

    def __init__(self, text: str | None = None) -> None:
        super().__init__(self.text if text is None else text)


class PortNotAllowed(Refusal):
    """The port is outside the server's range."""

    text = "client port number not in allowed range"
    code = "port-not-allowed"
    retry = False


class PortInUse(Refusal):
    """Somebody else listens on the port: another tunnel, or another program."""

    text = "port already in use"
    code = "port-in-use"


class PortForbidden(Refusal):
    """The server has not the right to listen on the port."""

    text = "permission denied"
    code = "permission-denied"
    retry = False


class BindFailed(Refusal):
    """The server could not listen on the port for any other reason."""

    text = "failed to bind to port"
    code = "bind-failed"


class NoFreePort(Refusal):
    """None of the random ports that the server tried was free."""

    text = "failed to find an available port"
    code = "no-free-port"


class ShuttingDown(Refusal):
    """The server was told to stop. The original never says so, and its client prints the text."""

    text = "server is shutting down"
    code = "draining"


class TooManyPending(Refusal):
    """Too many connections to the control port have not said yet what they want, and this is the oldest."""

    text = "too many connections that say nothing"
    code = "too-many-pending"


class TooManyTunnels(Refusal):
    """The server has as many tunnels as it may have."""

    text = "too many tunnels"
    code = "too-many-tunnels"


class TooManyTunnelsFromSource(Refusal):
    """The client's address has as many tunnels as it may have."""

    text = "too many tunnels from your address"
    code = "too-many-tunnels-from-address"


class TooManyGuesses(Refusal):
    """Too many wrong secrets came from the client's address: this one was not looked at."""

    text = "too many wrong secrets from your address"


class ProxyHeader(Refusal):
    """A proxy in front of the control port tells where its client comes from, and nobody asked it to."""

    text = "a PROXY protocol header at the control port: remove send-proxy for this port from the proxy in front of it"


class PresumedGone(Refusal):
    """An original client has given no sign of life for a while, and another client needs its place."""

    text = "no sign of life, and another client came"


class NoAnswer(Refusal):
    """The client has not answered the server's heartbeats."""

    text = "no answer to heartbeats"
    code = "no-answer"


class TakenOver(Refusal):
    """Another session has come with the token of this one, and has its tunnel now."""

    text = "another session has taken the tunnel over"
    code = "taken-over"


class OpenTimeout(Refusal):
    """The client asked for the extension, and then for no tunnel."""

    text = "timed out waiting for Open"
    code = "timeout"


class ClaimTimeout(Refusal):
    """The server could not find out in time whether the client can have its port."""

    text = "timed out waiting for the port"
    code = "claim-timeout"


class BrokenRule(Refusal):
    """The client sent what it must not, within the extension; the codes are those of the cases."""

    code = "unexpected-message"
    retry = False

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


class CertificateRefused(Refusal):
    """The server does not accept the authority any more that has signed the client's certificate."""

    text = "the client's certificate is not accepted any more"
    code = "certificate-refused"
    retry = False


class NeedsTls(Refusal):
    """The port speaks TLS, and the client does not."""

    text = "this port speaks TLS: use 'bore local' of txbore with --tls, or the server's plain port, if it has one"
    code = "needs-tls"
    retry = False


class SpeaksNoTls(Refusal):
    """The client speaks TLS, and the port does not."""

    text = "this port speaks no TLS: use the server's other port, or start it with --tls"
    code = "speaks-no-tls"
    retry = False


class AuthenticationFailed(Refusal):
    """The two ends do not share a secret. Trying again cannot help."""

    code = "secret-refused"
    retry = False


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


class UnboundProof(AuthenticationFailed):
    """The client, inside TLS, sent the proof of the base protocol, which anybody in between could pass on."""

    text = "inside TLS the proof of the secret has to be bound to the connection"


class UnboundChallenge(AuthenticationFailed):
    """The server, inside TLS, asks for the proof of the base protocol, which anybody in between could pass on."""

    text = (
        "inside TLS it asks for a proof of the secret that is not bound to the connection: "
        "let 'bore server --tls' do the TLS itself, or use no secret"
    )


class ServerNotProven(AuthenticationFailed):
    """The server, inside TLS, has not proved that it knows the secret."""

    text = "it does not know the secret: something else may be answering in the server's place"


class UnreadableProof(Refusal):
    """A frame that is no message came where the proof of the secret belongs."""

    text = "unable to parse message"


class OverlongProof(Refusal):
    """An over-long frame came where the proof of the secret belongs."""

    text = "frame error, invalid byte length"


class ProofTimeout(Refusal):
    """Nothing came where the proof of the secret belongs."""

    text = "timed out waiting for initial message"


#: What is said on either wire.
_COMMON: Final = (
    PortNotAllowed,
    PortInUse,
    PortForbidden,
    BindFailed,
    NoFreePort,
    ShuttingDown,
    TooManyPending,
    TooManyTunnels,
    TooManyTunnelsFromSource,
    ClaimTimeout,
    CertificateRefused,
    NeedsTls,
    SpeaksNoTls,
)

#: What is said before the extension is agreed upon, or where it is not spoken.
_BEFORE: Final = (
    InvalidSecret,
    SecretMissing,
    UnboundProof,
    UnreadableProof,
    OverlongProof,
    ProofTimeout,
    TooManyGuesses,
    ProxyHeader,
    PresumedGone,
)

_EXTENDED: Final = (NoAnswer, TakenOver, OpenTimeout)

_BY_TEXT: Final[dict[str, type[Refusal]]] = {kind.text: kind for kind in (*_COMMON, *_BEFORE)}

_BY_CODE: Final[dict[str, type[Refusal]]] = {kind.code: kind for kind in (*_COMMON, *_EXTENDED)}


def refusalFor(text: str) -> Refusal:
    """
    Turn the text of an Error frame into the refusal that it stands for.

    :param text: what the server wrote; unknown texts give a plain :class:`Refusal` that carries them.
    """
    return _BY_TEXT.get(text, Refusal)(text)


def refusalForCode(code: str, text: str, retry: bool) -> Refusal:
    """
    Turn what a Refused message says into the refusal that it stands for.

    :param code: the server's word; unknown ones give a plain :class:`Refusal` that carries it.
    :param text: what people read.
    :param retry: whether the same request may be granted later.
    """
    refusal = _BY_CODE.get(code, Refusal)(text)
    refusal.code = code
    refusal.retry = retry
    return refusal
