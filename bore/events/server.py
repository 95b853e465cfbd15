"""
The facts of a server.

Fields that several of them have:

- ``peer``: address and port of the other end of a connection to the control port, as ``HOST:PORT``. While the
  connection lasts no other one has the same, so it names the session on it.
- ``user``: the name of the user; empty: it has none.
- ``network``: the key of limits per source: an IPv4 address, or the first 64 bits of an IPv6 address.
- ``address``: the public address, which names a tunnel: a TCP port as a number, or another kind of address.
- ``visitor``: address and port of a visitor, as ``HOST:PORT``; ``unix`` for one that has come to a Unix socket, whose
  ``network`` is the same.
- ``id``: what names a visitor, at the client, too (a UUID).

Each :class:`SessionOpened` is followed by exactly one of :class:`SessionClosed` and :class:`SessionLost`, each
:class:`TunnelOpened` by exactly one :class:`TunnelClosed`, each :class:`VisitorCame` by exactly one
:class:`VisitorLeft`. A tunnel that goes to another process is closed in the one (``HANDED_OVER``), and in the other one
:class:`TunnelBack` stands for :class:`TunnelOpened`.
"""
# Longer than 300 lines: one list, and no behaviour.

from __future__ import annotations

from enum import Enum

from bore.events import Event, VisitorEnd, VisitorEnded, VisitorEvent
from bore.wire.errors import ProtocolViolation, Refusal
from bore.wire.publicaddress import PublicAddress
from bore.wire.values import value


class Admission(Enum):
    """Which clients may open tunnels."""

    ANYONE = "anyone"
    CERTIFICATE = "anyone with a certificate"
    SECRET = "anyone with the secret"  # noqa: S105
    USERS = "the users of the users file"
    USERS_AND_SECRET = "the users of the users file, and anyone with the secret"  # noqa: S105


@value
class Listening(Event):
    """
    The server listens on a control port.

    :ivar at: the address, as ``HOST:PORT``.
    :ivar fingerprint: of the key that it shows in TLS; None: the port speaks no TLS.
    :ivar host: the address of public ports.
    :ivar minPort: the lowest public port.
    :ivar maxPort: the highest one.
    """

    at: str
    fingerprint: str | None
    host: str
    minPort: int
    maxPort: int
    admission: Admission


@value
class ServerHandedOver(Event):
    """
    Another process has taken over from this one, which serves its running visitors to their end.

    :ivar pid: the other process.
    """

    pid: int


@value
class ServerNotHandedOver(Event):
    """
    Another process was to take over from this one, and has not. The server goes on as before.

    :ivar pid: the other process.
    :ivar reason: why not.
    """

    pid: int
    reason: str


@value
class ServerTakenOver(Event):
    """
    This process has taken over from another one.

    :ivar pid: the other process.
    :ivar addresses: the number of public addresses.
    :ivar seconds: how long its running visitors may go on.
    """

    pid: int
    addresses: int
    seconds: int


@value
class ServerNotTakenOver(Event):
    """
    This process has not taken over, as the other one has not waited for it, and goes on. This one ends.

    :ivar pid: the other process.
    """

    pid: int


@value
class PredecessorEnded(Event):
    """
    The process from which this one has taken over has ended.

    :ivar pid: that process.
    """

    pid: int


@value
class AddressesKept(Event):
    """
    The service manager has kept the public addresses of an earlier process.

    :ivar count: how many.
    :ivar seconds: how long clients have to come back for them.
    """

    count: int
    seconds: int


@value
class ClusterJoined(Event):
    """
    The server is a node of its cluster from now on.

    :ivar name: the name of the node.
    :ivar others: how many other nodes there are.
    """

    name: str
    others: int


@value
class NodeNameTaken(Event):
    """
    Another node of the cluster, which runs, has the name of this one, or the address that it advertises.

    :ivar name: the name.
    """

    name: str


@value
class ClusterTtlDiffers(Event):
    """Another node of the cluster keeps its tunnels for another time without an answer of the engine than this one."""


@value
class EngineUnanswered(Event):
    """
    The engine of the cluster has not answered for a while, or now for another reason. No new tunnel is opened.

    :ivar error: what is wrong, as far as it is known.
    :ivar seconds: for how long tunnels go on without it.
    """

    error: str
    seconds: float


@value
class EngineRefused(Event):
    """
    The engine of the cluster answers, and has not carried a call out: a tunnel may not be opened, or stay taken.

    :ivar error: what is wrong.
    """

    error: str


@value
class EngineAnswers(Event):
    """
    The engine of the cluster answers again.

    :ivar seconds: for how long it has not.
    """

    seconds: float


@value
class OwnershipLapsed(Event):
    """
    The engine of the cluster has not answered for so long that other nodes may serve the addresses of this one: new
    visitors of its tunnels wait.

    :ivar count: how many tunnels it has.
    """

    count: int


@value
class OwnershipBack(Event):
    """The addresses of this node of a cluster are its own again: visitors that have waited are served."""


@value
class AddressesLost(Event):
    """
    This node of a cluster was away for so long that it has lost addresses. Their tunnels end, and clients ask again.

    :ivar count: how many.
    """

    count: int


@value
class FarewellUnread(Event):
    """Not every client has read in time that the server stops."""


# The certificate.


@value
class NextKeyAnnounced(Event):
    """
    There is a key that the server will have next, and clients learn it from now on.

    :ivar fingerprint: of that key.
    """

    fingerprint: str


@value
class CertificateRead(Event):
    """
    There is a new TLS certificate for the clients that connect from now on.

    :ivar fingerprint: of its key.
    """

    fingerprint: str


@value
class CertificateUnchanged(Event):
    """
    The files of the TLS certificate were read again on request, and hold the same.

    :ivar fingerprint: of its key.
    """

    fingerprint: str


@value
class CertificateNotRead(Event):
    """The files of the TLS certificate cannot be used; the former certificate stays in use."""

    error: str


@value
class AuthoritiesRead(Event):
    """
    The certificates of clients have to be signed by other authorities from now on.

    :ivar count: how many authorities there are.
    """

    count: int


@value
class RevocationsRead(Event):
    """
    Other certificates of clients are revoked from now on. Sessions with one of them are ended.

    :ivar count: how many there are.
    """

    count: int


@value
class RevocationsNotRead(Event):
    """The file of revoked certificates cannot be used; the certificates that are accepted stay the same."""

    error: str


@value
class RevocationsOld(Event):
    """A list of revoked certificates has expired while it is in use; what it has stays revoked."""


# Shared secrets.


@value
class SecretsRead(Event):
    """
    The file of the shared secrets was read again. Sessions that have proved one that is gone are ended.

    :ivar count: how many there are.
    """

    count: int


@value
class SecretsNotRead(Event):
    """The file of the shared secrets cannot be used; the former secrets stay in use."""

    error: str


# Users.


@value
class UsersNeedTls(Event):
    """No user can connect: the server has no TLS, and no user may come without it."""


@value
class UserAdded(Event):
    """
    The users file has a new user.

    :ivar rights: its limits, for people.
    """

    user: str
    rights: str


@value
class UserChanged(Event):
    """
    A user has other rights, or another secret.

    :ivar user: the name; ``*``: all who hold a shared secret.
    :ivar changes: what has changed, for people; it names no secret.
    """

    user: str
    changes: str


@value
class UserRemoved(Event):
    """The users file does not have a user any more: its sessions and streams are ended."""

    user: str


@value
class UserExpired(Event):
    """The rights of a user have expired: its sessions and streams are ended."""

    user: str


# Connections to the control port that do not become sessions.


@value
class ConnectionRefused(Event):
    """
    A connection was closed, and its client was sent the reason.

    :ivar error: the refusal; its ``code`` is the same for each of its kind.
    """

    peer: str
    network: str
    error: Refusal
    user: str = ""


@value
class ProxyHeaderMissing(Event):
    """
    A connection of a trusted proxy was closed, as it has no valid PROXY protocol header.

    :ivar error: what is wrong with it.
    """

    peer: str
    network: str
    error: str


@value
class ConnectionClosed(Event):
    """A connection was closed without an answer, as its peer broke the protocol."""

    peer: str
    network: str
    error: ProtocolViolation


@value
class HandshakeFailed(Event):
    """A TLS handshake has failed."""

    peer: str
    network: str
    error: str


@value
class HandshakeTimedOut(Event):
    """A TLS handshake was not complete in time."""

    peer: str
    network: str


@value
class FirstMessageTimedOut(Event):
    """
    A connection was closed, as its client has sent no first message in time.

    :ivar seconds: the time that it had.
    """

    peer: str
    network: str
    seconds: float


# Sessions.


class Loss(Enum):
    """How a session was lost. The values are for people."""

    GONE = "is gone"
    NO_ANSWER = "does not answer"
    NOT_READING = "does not read its control connection and is dropped"
    MOVED = "is asked to come again"
    HANDED_OVER = "is served by another process from now on"


@value
class SessionOpened(Event):
    """
    A client has been admitted, and has a tunnel.

    :ivar extended: whether it speaks the extension of the protocol.
    """

    peer: str
    network: str
    extended: bool
    user: str = ""


@value
class SessionLost(Event):
    """A session has ended without a farewell."""

    peer: str
    network: str
    why: Loss
    user: str = ""


@value
class SessionClosed(Event):
    """
    A session has ended in order.

    :ivar error: why the server has ended it: a refusal, which was sent to the client, or a violation of the protocol;
        None: the client has said goodbye.
    """

    peer: str
    network: str
    error: Refusal | ProtocolViolation | None
    user: str = ""


# Tunnels.


class TunnelEnd(Enum):
    """Why a tunnel was closed. The values are for people."""

    SESSION_CLOSED = "its session was closed"
    GIVEN_BACK = "its client has given it back"
    NOT_KEPT = "its client was lost, and its port is not kept"
    LEASE_OVER = "its client did not come back in time"
    RIGHT_WITHDRAWN = "its user may not have it any more"
    KICKED = "the operator has closed it"
    PRESUMED_GONE = "its client gave no sign of life, and another one needed its place"
    CLUSTER_LOST = "this node was away from its cluster for too long"
    OTHER_PORT = "its client came back for another port"
    HANDED_OVER = "another process serves it from now on"
    STOPPED = "the server stops"


@value
class TunnelClaimed(Event):
    """
    A client asks for a tunnel. :class:`TunnelOpened`, :class:`TunnelBack` or :class:`TunnelRefused` is the answer,
    unless the client leaves before.

    :ivar asked: the public address that it asks for; 0: any port.
    """

    peer: str
    network: str
    asked: PublicAddress
    user: str = ""


@value
class TunnelRefused(Event):
    """
    A client does not get the tunnel that it has asked for.

    :ivar asked: the public address that it has asked for; 0: any port.
    :ivar error: the refusal; its ``code`` is the same for each of its kind.
    """

    peer: str
    network: str
    asked: PublicAddress
    error: Refusal
    user: str = ""


@value
class TunnelOpened(Event):
    """A tunnel is open for the first time."""

    address: PublicAddress
    peer: str
    network: str
    user: str = ""


@value
class TunnelLost(Event):
    """
    A tunnel has lost its session.

    :ivar seconds: how long its address is kept for the client; 0: it is closed at once.
    """

    address: PublicAddress
    peer: str
    network: str
    why: Loss
    seconds: int
    user: str = ""


@value
class TunnelTaken(Event):
    """A session has lost a tunnel to another session, in which its client has resumed it, or for another client."""

    address: PublicAddress
    peer: str
    network: str
    user: str = ""


@value
class TunnelBack(Event):
    """A tunnel has a session again, or a new one of the same client, here or in another process of the server."""

    address: PublicAddress
    peer: str
    network: str
    user: str = ""


@value
class TunnelClosed(Event):
    """A tunnel is closed, and its address is free."""

    address: PublicAddress
    network: str
    reason: TunnelEnd
    user: str = ""


@value
class TunnelUsed(Event):
    """
    What a tunnel of a user with a name was used for, when it is closed.

    :ivar visitors: how many visitors were served, those who still are included.
    :ivar toClient: bytes that were passed to the client from those who have left.
    :ivar toVisitors: bytes that were passed to them.
    """

    address: PublicAddress
    network: str
    user: str
    visitors: int
    toClient: int
    toVisitors: int


@value
class ClientsKicked(Event):
    """
    The operator has ended sessions, or closed a tunnel.

    :ivar whom: the user, or the public address, as text.
    :ivar sessions: how many sessions.
    :ivar tunnels: how many tunnels.
    :ivar visitors: how many visitors were cut.
    """

    whom: str
    sessions: int
    tunnels: int
    visitors: int


# Visitors.


class TurnedAway(Enum):
    """Why a visitor was turned away. The values are for people."""

    TOO_MANY = "the tunnel has as many visitors as it may have"
    TOO_MANY_OF_USER = "the user's tunnels have as many visitors as they may have"
    ADDRESS = "visitors from its network are not allowed"
    RATE = "too many visitors per second come from its address"
    NO_CLIENT = "the client is away, and visitors may not wait for it"


@value
class VisitorRefused(Event):
    """
    A visitor was closed as soon as it came.

    :ivar limit: the number of visitors, or of visitors per second, that is allowed; 0: there is none.
    """

    address: PublicAddress
    network: str
    why: TurnedAway
    limit: int
    visitor: str
    user: str = ""


@value
class VisitorNotTaken(Event):
    """
    A visitor was closed, as no client has taken it in time.

    :ivar seconds: the time that it has waited.
    """

    address: PublicAddress
    visitor: str
    seconds: float


@value
class VisitorsHeldBack(Event):
    """
    A tunnel stops accepting visitors for a while; the kernel holds those that come.

    :ivar count: how many visitors wait to be taken by the client; 0: there are no descriptors for one.
    """

    address: PublicAddress
    count: int


@value
class VisitorsLetIn(Event):
    """A tunnel that held visitors back accepts them again."""

    address: PublicAddress


@value
class VisitorCame(VisitorEvent):
    """A visitor was accepted."""

    id: str
    address: PublicAddress
    visitor: str


@value
class VisitorServed(VisitorEvent):
    """
    A visitor is joined with its client.

    :ivar lane: the lane that it is on, or on a connection of its own: None.
    """

    id: str
    address: PublicAddress
    lane: int | None


@value
class VisitorOffLane(VisitorEvent):
    """The lane that a visitor was on turned out to be dead; the visitor waits again, or is closed."""

    id: str
    address: PublicAddress


@value
class VisitorLeft(VisitorEnded):
    """
    A visitor was closed.

    :ivar toClient: bytes that were passed from it to the client.
    :ivar toVisitor: bytes that were passed to it.
    :ivar seconds: how long it was there.
    """

    id: str
    address: PublicAddress
    toClient: int
    toVisitor: int
    seconds: float
    reason: VisitorEnd
    visitor: str
    user: str = ""


@value
class LaneOpened(VisitorEvent):
    """A client has opened a lane."""

    peer: str
    lane: int


@value
class LaneClosed(VisitorEvent):
    """A lane is closed."""

    peer: str
    lane: int


# The visitor log.


@value
class VisitorLogFailed(Event):
    """
    Lines of the visitor log cannot be written, or not where they should be. It is not emitted again while that lasts.
    """

    path: str
    error: str


@value
class VisitorLinesDropped(Event):
    """
    Lines of the visitor log were dropped.

    :ivar count: how many, since the last event of this kind.
    """

    path: str
    count: int


@value
class VisitorLogReopened(Event):
    """The file of the visitor log is opened again on request: another one may have its name."""

    path: str


# Limits and resources.


class Limit(Enum):
    """What is limited. The values are for people."""

    TUNNELS = "tunnels"
    TUNNELS_PER_SOURCE = "tunnels from one address"
    TUNNELS_PER_USER = "tunnels of one user"
    UNCLASSIFIED = "connections to the control port without a first message"
    UNCLASSIFIED_PER_SOURCE = "connections from one address without a first message"


@value
class LimitReached(Event):
    """
    Something was refused or closed, as there are as many as there may be. It is emitted each time.

    :ivar what: what there is too much of.
    :ivar limit: how many there may be.
    :ivar network: whose limit it is; empty: all clients share it, or those of the user.
    :ivar user: whose limit it is.
    """

    what: Limit
    limit: int
    network: str = ""
    user: str = ""


@value
class NoDescriptors(Event):
    """
    There is no descriptor for a visitor: new ones are accepted when others leave. It is emitted each time.

    :ivar limit: how many may be open.
    """

    limit: int


@value
class AcceptFailed(Event):
    """
    The system has no descriptor or no memory for a new connection, which waits. It is emitted each time.

    :ivar at: the listening address, as ``HOST:PORT``.
    """

    at: str
    error: str


# Worker processes.


@value
class WorkerStarted(Event):
    """
    A worker process serves connections from now on.

    :ivar worker: its number, which no other one gets.
    :ivar generation: how many upgrades there were before it started, and one more.
    :ivar pid: its process.
    """

    worker: int
    generation: int
    pid: int


@value
class WorkerEnded(Event):
    """
    A worker process has ended.

    :ivar how: ``in order``, or the exit code or signal.
    :ivar expected: whether it was to end; if not, another one is started.
    """

    worker: int
    generation: int
    how: str
    expected: bool


@value
class WorkerHung(Event):
    """
    A worker process has not answered for too long, and is killed.

    :ivar seconds: for how long it has not answered.
    """

    worker: int
    generation: int
    seconds: float


@value
class WorkerRetired(Event):
    """
    A worker process gives its sessions away, and goes on only with the streams that it has.

    :ivar seconds: how long these may go on.
    """

    worker: int
    generation: int
    seconds: float


@value
class Upgrading(Event):
    """
    The supervisor starts again with the code that is installed now.

    :ivar version: of the code that has run until now.
    """

    version: str


@value
class Upgraded(Event):
    """
    The workers run new code, and the earlier ones give their sessions away.

    :ivar generation: that of the new workers.
    :ivar version: of the new code.
    """

    generation: int
    version: str


@value
class UpgradeFailed(Event):
    """
    The server goes on with the workers that it has.

    :ivar error: why.
    """

    error: str


@value
class UpgradeRefused(Event):
    """
    An upgrade was asked for by a signal, and is not possible now. One that is under way goes on.

    :ivar error: why.
    """

    error: str


@value
class GenerationEnded(Event):
    """The last worker process of a generation has ended."""

    generation: int
