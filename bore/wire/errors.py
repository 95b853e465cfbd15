"""
The errors of the protocol, as classes.

The base protocol sends a refusal as a text, the extension as a code. The classes have both;
:mod:`bore.wire.refusals` maps what a server sends to them.
"""

# Longer than 300 lines: one list, and no behaviour.

from __future__ import annotations

from typing import ClassVar

from bore.wire.publicaddress import PublicAddress


class WireError(Exception):
    """What the peer sent is wrong, or what it should be sent does not fit."""


class ProtocolViolation(WireError):
    """The peer broke the protocol: the connection is closed without an answer."""


class FrameTooLong(ProtocolViolation):
    """A frame is longer than the limit."""


class MalformedMessage(ProtocolViolation):
    """A frame is not a message that this side may receive."""


class UnknownMessage(MalformedMessage):
    """A frame is a message that this side does not know."""


class OtherProtocol(ProtocolViolation):
    """
    What answers in the server's place speaks another protocol.

    :ivar kind: what it is, such as "an HTTP server".
    """

    def __init__(self, kind: str) -> None:
        super().__init__(f"{kind} answers there, and not 'bore server'")
        self.kind = kind


class ServerLeft(WireError):
    """The server has sent Goodbye."""


class LateChallenge(ProtocolViolation):
    """The server's challenge arrived after the client had stopped waiting for it (CHALLENGE_PATIENCE)."""


class Refusal(WireError):
    """
    The server refuses, with an Error frame or Refused, and closes the connection.

    A text or a code that this side does not know gives a plain ``Refusal``.

    :cvar text: the text for people in an Error frame; the original's, where it has one.
    :cvar code: the code for programs, in the extension.
    :ivar retry: whether the same request may be granted later.
    :ivar range: the lowest and the highest public port of the server; None: it has not sent them.
    """

    text: ClassVar[str] = "request refused"
    code: str = "refused"
    retry: bool = True
    range: tuple[int, int] | None = None

    def __init__(self, text: str | None = None) -> None:
        super().__init__(self.text if text is None else text)


class PortNotAllowed(Refusal):
    """The port is outside the server's range."""

    text = "client port number not in allowed range"
    code = "port-not-allowed"
    retry = False

    @classmethod
    def outside(cls, port: int, lowest: int, highest: int) -> PortNotAllowed:
        """Make the refusal of a port outside this range."""
        refusal = cls(f"port {port} is outside this server's range, {lowest} to {highest}")
        refusal.range = lowest, highest
        return refusal


class PortInUse(Refusal):
    """Another tunnel or another program listens on the port."""

    text = "port already in use"
    code = "port-in-use"

    @classmethod
    def on(cls, address: PublicAddress) -> PortInUse:
        """Make the refusal of this port, or of an address of another kind."""
        name = f"port {address}" if isinstance(address, int) else str(address)
        return cls(f"{name} is already in use on the server")


class PortForbidden(Refusal):
    """The server does not have the right to listen on the port."""

    text = "permission denied"
    code = "permission-denied"
    retry = False


class BindFailed(Refusal):
    """The server could not listen on the port for any other reason."""

    text = "failed to bind to port"
    code = "bind-failed"


class PathNotAllowed(Refusal):
    """The server opens no Unix sockets, or not this one."""

    text = "Unix socket not allowed"
    code = "path-not-allowed"
    retry = False


class KindNotKnown(Refusal):
    """The server does not know the kind of public address that the client asks for."""

    text = "unknown kind of public address"
    code = "kind-not-known"
    retry = False


class VisitorsWithoutAddress(Refusal):
    """The client has sent rules on the addresses of visitors that have none."""

    text = "rules on addresses cannot apply to visitors of a Unix socket, which have no address"
    code = "visitors-without-address"
    retry = False


class NoFreePort(Refusal):
    """None of the random ports that the server tried was free."""

    text = "failed to find an available port"
    code = "no-free-port"


class ShuttingDown(Refusal):
    """The server stops. An original server never sends this; an original client prints the text."""

    text = "server is shutting down"
    code = "draining"


class TooManyPending(Refusal):
    """Too many connections to the control port have sent no request yet, and this is the oldest."""

    text = "too many connections that say nothing"
    code = "too-many-pending"


class TooManyTunnels(Refusal):
    """The limit of the server's tunnels is reached."""

    text = "too many tunnels"
    code = "too-many-tunnels"


class TooManyTunnelsFromSource(Refusal):
    """The limit of tunnels of the client's address is reached."""

    text = "too many tunnels from your address"
    code = "too-many-tunnels-from-address"


class TooManyInSession(Refusal):
    """The session has, or asks for, as many tunnels as it may (MAX_TUNNELS)."""

    text = "too many tunnels in this session"
    code = "too-many-tunnels-in-session"


class TooManyGuesses(Refusal):
    """Too many wrong secrets came from the client's address; the proof was not checked."""

    text = "too many wrong secrets from your address"


class ProxyHeader(Refusal):
    """A proxy in front of the control port sends a PROXY protocol header, which the server does not accept."""

    text = (
        "a PROXY protocol header at the control port: remove send-proxy for this port from the proxy in front of it, "
        "or start the server with its address in --trusted-proxies"
    )


class ProxyHeaderExpected(Refusal):
    """A client comes from the address of a trusted proxy, without the proxy."""

    text = "the server expects a PROXY protocol header from your address, which is in its --trusted-proxies"


class AccessWithdrawn(Refusal):
    """The user does not exist any more, or the secret that the client has proved is not valid any more."""

    text = "this user or its secret is not valid any more"
    code = "access-withdrawn"
    retry = False


class RightsExpired(Refusal):
    """The rights of the user have expired."""

    text = "the rights of this user have expired"
    code = "rights-expired"
    retry = False


class SourceNotAllowed(Refusal):
    """The user may not connect from this address."""

    text = "this user may not connect from your address"
    code = "source-not-allowed"


class RightWithdrawn(Refusal):
    """The user may not have the tunnel any more."""

    text = "the right to this tunnel was withdrawn"
    code = "right-withdrawn"
    retry = False


class Kicked(Refusal):
    """The operator of the server has ended the session, or closed the tunnel. The client may come again."""

    text = "the operator of the server has ended this"
    code = "kicked"


class TooManyTunnelsOfUser(Refusal):
    """The limit of the user's tunnels is reached."""

    text = "too many tunnels of this user"
    code = "too-many-tunnels-of-user"


class ClusterAway(Refusal):
    """The server is a node of a cluster that cannot reach what all nodes share, and grants no address meanwhile."""

    text = "this cluster cannot grant new tunnels now"
    code = "cluster-away"


class ClusterRecovering(Refusal):
    """The nodes of a cluster find out which addresses they have, and grant no new ones meanwhile."""

    text = "this cluster is finding out which tunnels exist"
    code = "cluster-recovering"


class ClusterLost(Refusal):
    """A node of a cluster was away from the others for so long that it has lost the address."""

    text = "this node of the cluster has lost the tunnel"
    code = "cluster-lost"


class PresumedGone(Refusal):
    """An original client has shown no sign of life for a while, and another client needs its place."""

    text = "no sign of life, and another client came"


class NoAnswer(Refusal):
    """The client has not answered the server's heartbeats."""

    text = "no answer to heartbeats: this client, or the network to it, was silent for too long"
    code = "no-answer"


class TakenOver(Refusal):
    """Another session has resumed the tunnel of this one with its token."""

    text = "another session has taken the tunnel over: this client runs twice, or its state was copied"
    code = "taken-over"


class OpenTimeout(Refusal):
    """The client agreed on the extension, and then sent no Open in time."""

    text = "this client has requested no tunnel in time"
    code = "timeout"


class ClaimTimeout(Refusal):
    """The server could not decide in time whether the client can have the port."""

    text = "timed out waiting for the port"
    code = "claim-timeout"


class BrokenRule(Refusal):
    """The client broke a rule of the extension; each case has a code of its own."""

    code = "unexpected-message"
    retry = False

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


class CertificateRefused(Refusal):
    """The server no longer accepts the authority that signed the client's certificate."""

    text = "the client's certificate is not accepted any more"
    code = "certificate-refused"
    retry = False


class NeedsTls(Refusal):
    """The port requires TLS, and the client does not use it."""

    text = "this port speaks TLS: use 'bore local' of txbore with --tls, or the server's plain port, if it has one"
    code = "needs-tls"
    retry = False


class SpeaksNoTls(Refusal):
    """The client uses TLS, and the port does not."""

    text = "this port speaks no TLS: use the server's other port, or start it with --tls"
    code = "speaks-no-tls"
    retry = False


class AuthenticationFailed(Refusal):
    """The two ends do not share a secret. A retry cannot help."""

    code = "secret-refused"
    retry = False


class InvalidSecret(AuthenticationFailed):
    """
    The proof of the secret is wrong.

    :ivar user: the name that the client has sent; empty: none.
    """

    text = "invalid secret"
    user: str = ""

    @classmethod
    def of(cls, user: str) -> InvalidSecret:
        """Make the refusal of a client that has sent a name."""
        refusal = cls()
        refusal.user = user
        return refusal


class SecretMissing(AuthenticationFailed):
    """The server has a secret, and the client answered its challenge with another message than a proof."""

    text = "server requires secret, but no secret was provided"


class ClientHasNoSecret(AuthenticationFailed):
    """The server sent a challenge, and this client has no secret."""

    text = "server requires authentication, but no client secret was provided"


class ServerHasNoSecret(AuthenticationFailed):
    """This client has a secret, and the server did not ask for it."""

    text = "expected authentication challenge, but no secret was required"


class UnboundProof(AuthenticationFailed):
    """The client, inside TLS, sent the proof of the base protocol, which a man in the middle could pass on."""

    text = "inside TLS the proof of the secret has to be bound to the connection"


class UnboundChallenge(AuthenticationFailed):
    """The server, inside TLS, asks for the proof of the base protocol, which a man in the middle could pass on."""

    text = (
        "inside TLS it asks for a proof of the secret that is not bound to the connection: "
        "let 'bore server --tls' do the TLS itself, or use no secret"
    )


class ServerNotProven(AuthenticationFailed):
    """The server, inside TLS, has not proved that it knows the secret."""

    text = "it does not know the secret: something else may be answering in the server's place"


class UnreadableProof(Refusal):
    """A frame that is not a message arrived in the place of the proof."""

    text = "unable to parse message"


class OverlongProof(Refusal):
    """An over-long frame arrived in the place of the proof."""

    text = "frame error, invalid byte length"


class ProofTimeout(Refusal):
    """No proof of the secret arrived in time."""

    text = "timed out waiting for initial message"
