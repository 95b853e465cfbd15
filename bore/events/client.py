"""
The facts of a client.

Fields that several of them have:

- ``server``: the server, as ``HOST:PORT``.
- ``tunnel``: the name of the tunnel; empty if the client has no other one.
- ``local``: the local service of the tunnel, as ``HOST:PORT``.
- ``public``: the public address, as ``HOST:PORT``.
- ``id``: what names a visitor, at the server, too (a UUID).
- ``why``, ``error``, ``reason``: the cause, in a few words, for people.

Each :class:`VisitorCame` is followed by exactly one :class:`VisitorUnserved`, or by one :class:`VisitorServed` and one
:class:`VisitorLeft`.
"""
# Longer than 300 lines: one list, and no behaviour.

from __future__ import annotations

from enum import Enum

from bore.events import Event, VisitorEnd, VisitorEnded, VisitorEvent
from bore.wire.values import value

# The server.


@value
class Connected(Event):
    """There is a control connection."""

    server: str


@value
class ServerTrusted(Event):
    """
    What the server has shown inside TLS was accepted, for a reason that was not reported before.

    :ivar key: the fingerprint of its key.
    :ivar why: why it is trusted.
    """

    server: str
    key: str
    why: str


@value
class ServerNew(Event):
    """
    Nothing was known of the server, and nothing has vouched for it: it is trusted on first use.

    :ivar key: the fingerprint of its key.
    """

    server: str
    key: str


@value
class ServerRemembered(Event):
    """
    The key of a server was written down.

    :ivar path: the file with the keys of known servers.
    """

    server: str
    path: str


@value
class NextKeyLearned(Event):
    """
    A server has announced the key that it will have next, and the client will trust it.

    :ivar key: its fingerprint.
    """

    server: str
    key: str


@value
class ServerNotRemembered(Event):
    """
    The key of a server could not be written down.

    :ivar key: its fingerprint.
    """

    server: str
    key: str
    error: str


class Stage(Enum):
    """How far the client had come with a server. The values are for people."""

    UNREACHED = "cannot reach"
    NO_TUNNEL = "no tunnel from"
    TUNNEL = "lost"


class Verdict(Enum):
    """What follows from the loss of a server."""

    RETRY = "it is tried again"
    LATER = "it is tried again, as late as may be: it would refuse the same soon"
    CLOCK = "it is tried again: the clock may be set, or the certificate renewed"
    UNPROVEN = "it is tried again: something else may have answered in its place"
    DROP = "it is not tried again before there was a tunnel at another server"
    DROP_FOR_GOOD = "it is not tried again"


@value
class ServerLost(Event):
    """
    A server cannot be reached, gives no tunnel, or was lost, and there will be another attempt, here or elsewhere.

    :ivar code: the code of its refusal; empty: it has not refused.
    :ivar delay: seconds until the next attempt, which may be at another server.
    :ivar advice: what the user can do, before the first success; empty: nothing is known.
    :ivar mends: whether waiting may mend it.
    :ivar early: how many failures in a row this is without a success before; 0: there was one.
    """

    server: str
    what: Stage
    why: str
    code: str
    verdict: Verdict
    delay: float
    tunnel: str = ""
    advice: str = ""
    mends: bool = True
    early: int = 0


@value
class ServerMoved(Event):
    """
    A server gives the client's session away, and the client begins another one.

    :ivar to: the server of that; empty: the same one.
    :ivar ignored: where the server wanted it, if that is not followed; else empty.
    :ivar delay: seconds until then.
    """

    server: str
    to: str
    ignored: str
    delay: float


@value
class NodeOpened(Event):
    """The client has its tunnels at one more node of the cluster."""

    server: str


@value
class NodeLost(Event):
    """
    A node of the cluster cannot be reached, gives no tunnel, or was lost, while other nodes have the tunnels.

    :ivar heir: the node that takes its place, if it was the server that other events name; else empty.
    """

    server: str
    what: Stage
    why: str
    heir: str = ""


@value
class PortGivenUp(Event):
    """The public port that the client had cannot be had back; the client asks for any other at once."""

    server: str
    why: str
    tunnel: str = ""


@value
class TunnelGivenUp(Event):
    """The client makes no further attempt to open one of several tunnels."""

    tunnel: str
    local: str
    why: str


@value
class SettingsTried(Event):
    """
    Other settings are tried beside the sessions, which go on.

    :ivar servers: the servers at which they are tried, separated by commas.
    """

    servers: str


@value
class SettingsAccepted(Event):
    """
    A server has accepted other settings, which are in effect now.

    :ivar server: the server.
    """

    server: str


@value
class SettingsRefused(Event):
    """
    Other settings cannot be in effect: no server has accepted them. The former ones stay in effect.

    :ivar why: the reason.
    :ivar seconds: when they are tried again; 0: not before they are applied again, or the former ones fail.
    """

    why: str
    seconds: float


@value
class GaveUp(Event):
    """The client makes no further attempt. The reason is the first one, if there are several tunnels."""

    why: str


@value
class HandoverIgnored(Event):
    """The client was asked to have another process take over from it, which cannot be."""

    why: str


@value
class HandoverBegun(Event):
    """Another process is started with the same command line, to take over from this one."""


@value
class HandoverFailed(Event):
    """The other process has not taken over, and this one goes on."""

    why: str


@value
class HandedOver(Event):
    """
    Another process has taken over, and this one ends when its last visitor has left.

    :ivar pid: the other process.
    :ivar visitors: how many visitors this one has.
    :ivar seconds: how long they may go on.
    """

    pid: int
    visitors: int
    seconds: float


@value
class TookOver(Event):
    """
    This process has taken over from another one.

    :ivar pid: the other process.
    """

    pid: int


@value
class MessageIgnored(Event):
    """
    The server has sent a message that has no meaning where it came. It is emitted each time.

    :ivar text: the message.
    """

    server: str
    text: str


@value
class ConnectionAstray(Event):
    """A connection beside the control connection led to another server, and was closed. It is emitted each time."""

    server: str
    why: str


# The tunnel.


@value
class TunnelUp(Event):
    """
    The tunnel is up.

    :ivar new: whether its public address is another one than before, or it is up for the first time.
    """

    public: str
    local: str
    new: bool
    server: str = ""
    tunnel: str = ""


@value
class AddressChanged(Event):
    """
    The public address is another one than before.

    :ivar had: the former one.
    """

    had: str
    public: str
    local: str
    tunnel: str = ""


@value
class CheckFailed(Event):
    """
    A visit of the public port by the client itself did not come through.

    :ivar count: how many have failed in a row.
    :ivar of: after how many the session is ended.
    """

    local: str
    count: int
    of: int
    why: str
    tunnel: str = ""


# What the client keeps in files.


class StateTrouble(Enum):
    """What is wrong with a state file."""

    IGNORED = "it cannot be read, and is ignored"
    UNWRITABLE = "it cannot be written"
    UNUSABLE = "it cannot be used"


@value
class StateFileFailed(Event):
    """The file with the public port cannot be used; the tunnel is up without it. It is emitted once for each reason."""

    path: str
    trouble: StateTrouble
    reason: str


@value
class StateFileTaken(Event):
    """Another client of the same server and the same local service uses the file with the public port."""

    server: str
    local: str


# Visitors.


@value
class UploadsUnlimited(Event):
    """
    What visitors send to the local service of a tunnel is not limited by its bandwidth, as the system cannot do that.

    It is emitted when the tunnel is made.
    """

    local: str


@value
class LocalUnreachable(Event):
    """
    The local service of a tunnel could not be reached. It is emitted for each visitor that was turned away for that
    reason, and when a probe finds out first.

    :ivar advice: what would be right; empty: it is not known, or the error says it.
    :ivar turnedAway: the visitors that were turned away since the service is down; 0: a probe has found it out.
    :ivar seconds: for how long it is known to be down.
    """

    local: str
    error: str
    advice: str = ""
    turnedAway: int = 1
    seconds: float = 0.0
    tunnel: str = ""


@value
class LocalReached(Event):
    """
    The local service of a tunnel was reached, by a visitor or a probe, for the first time since it could not be.

    :ivar turnedAway: the visitors that were turned away meanwhile.
    :ivar seconds: for how long it was down.
    """

    local: str
    turnedAway: int
    seconds: float
    tunnel: str = ""


@value
class VisitorUnaccepted(Event):
    """A visitor was lost, as no connection to the server could be made for it. It is emitted each time."""

    local: str
    error: str


class TurnedAway(Enum):
    """Why a visitor was turned away."""

    TOO_MANY = "there are as many visitors as there may be"
    TOO_MANY_WAITING = "as many visitors wait to be connected as may"


@value
class VisitorRefused(Event):
    """
    A visitor was turned away, or not taken at all.

    :ivar limit: how many are allowed.
    """

    local: str
    why: TurnedAway
    limit: int
    tunnel: str = ""


@value
class VisitorNotUnderstood(Event):
    """The server has sent a visitor on a lane, and has described it in a way that cannot be read."""

    error: str


@value
class NoDescriptors(Event):
    """
    There is no descriptor for a visitor: new ones wait until others leave. It is emitted each time.

    :ivar limit: how many may be open.
    """

    limit: int


@value
class LaneFailed(Event):
    """A lane could not be opened. It is emitted each time."""

    server: str
    error: str


@value
class VisitorCame(VisitorEvent):
    """
    A visitor came to this client.

    :ivar lane: the lane that it is on; None: it has connections of its own.
    """

    id: str
    local: str
    lane: int | None


@value
class VisitorUnserved(VisitorEnded):
    """A visitor could not be connected with the local service, or not with the server."""

    id: str
    local: str
    error: str


@value
class VisitorServed(VisitorEvent):
    """A visitor is joined with the local service."""

    id: str
    local: str


@value
class VisitorLeft(VisitorEnded):
    """
    A visitor was closed.

    :ivar fromVisitor: bytes that were passed from it to the local service.
    :ivar toVisitor: bytes that were passed to it.
    :ivar seconds: how long it was there.
    :ivar visitor: its address and port, as ``HOST:PORT``; empty: the server has not sent them.
    """

    id: str
    local: str
    fromVisitor: int
    toVisitor: int
    seconds: float
    reason: VisitorEnd
    visitor: str = ""


@value
class LaneOpened(VisitorEvent):
    """There is a new lane."""

    server: str
    lane: int


@value
class LaneClosed(VisitorEvent):
    """A lane is closed."""

    server: str
    lane: int
