"""
A session: what a client has at this server.

What belongs to the session, whatever tunnels it has: its user, the control connection, liveness (heartbeats and signs
of life) and the lanes, which carry the visitors of all its tunnels. What belongs to each tunnel: the public address,
its lease, and the visitors (:mod:`bore.server.tunnel`). A tunnel can outlive its session and get another one.
"""
# Longer than 300 lines: what happens to one tunnel of a session, and to all of them, is read together.

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from bore.events import Event, Sink
from bore.events.server import (
    Loss,
    SessionClosed,
    SessionLost,
    SessionOpened,
    TunnelBack,
    TunnelClaimed,
    TunnelEnd,
    TunnelOpened,
    TunnelRefused,
    TunnelTaken,
)
from bore.server.claim import Claim, Outcome
from bore.server.custody import Abandoned
from bore.server.heartbeats import BaseHeartbeats, ExtendedHeartbeats, Rhythms
from bore.server.lanepool import LanePools
from bore.server.settings import ServerSettings
from bore.server.tunnel import Tunnel
from bore.server.tunnels import Tunnels
from bore.server.users import Login, User
from bore.server.visitor import Visitor
from bore.streams.reactor import IReactor
from bore.wire.addressrules import NO_RULES, AddressRules
from bore.wire.errors import BindFailed, ClaimTimeout, NoAnswer, ProtocolViolation, Refusal, TooManyInSession
from bore.wire.limits import MAX_TUNNELS
from bore.wire.publicaddress import PublicAddress
from bore.wire.values import value

#: How long a client waits for its tunnel before it is refused, in seconds. Original clients wait for 3.
CLAIM_TIMEOUT: Final = 2.5

_FAULT: Final = "the server failed to open the tunnel, and its log has the reason"
_TOO_MANY: Final = f"{TooManyInSession.text}: it may have {MAX_TUNNELS}, and a second client as many"


class ControlConnection(Protocol):
    """The control connection of a session."""

    @property
    def extended(self) -> bool:
        """Whether its client speaks the extension of the protocol, and answers heartbeats."""

    @property
    def handle(self) -> socket.socket:
        """Its socket."""

    @property
    def unanswered(self) -> int:
        """How many heartbeats its client has not answered."""

    def tunnelOpened(self, number: int, tunnel: Tunnel) -> None:
        """Send that a tunnel is open."""

    def tunnelRefused(self, number: int, refusal: Refusal) -> None:
        """Send why a tunnel cannot be opened. May end the session."""

    def tunnelTaken(self, number: int, refusal: Refusal) -> None:
        """Send why the session does not have a tunnel any more. May end the session."""

    def announce(self, visitor: Visitor) -> None:
        """Send the announcement of a visitor."""

    def announceKey(self, key: str) -> None:
        """Send the fingerprint of the server's next key, to a client of the extension."""

    def nameNodes(self, addresses: Sequence[str]) -> None:
        """Send the addresses of the other nodes of the cluster, to a client that has sent the key of a tunnel."""

    def sendHeartbeat(self) -> None:
        """Send a heartbeat."""

    def end(self, refusal: Refusal) -> None:
        """Send why the session is over, and close the connection."""

    def move(self, to: str | None, within: float | None) -> None:
        """Send that the session is given away, and close the connection."""

    def drop(self) -> None:
        """Close the connection at once, without a message."""

    @property
    def isPassable(self) -> bool:
        """Whether nothing is left to be written or read that another process would not find."""

    def handOver(self) -> socket.socket:
        """Give the socket away."""


class BaseSession(NamedTuple):
    """
    The session of a client of the base protocol, on its way to another process.

    :ivar socket: its control connection.
    :ivar login: how the client has come in.
    :ivar source: the key of limits per source.
    :ivar address: the public address of its tunnel.
    :ivar token: the token of that.
    """

    socket: socket.socket
    login: Login
    source: str
    address: PublicAddress
    token: str


@value
class SessionContext:
    """What all sessions of a server share."""

    reactor: IReactor
    sink: Sink
    settings: ServerSettings
    tunnels: Tunnels
    pools: LanePools
    rhythms: Rhythms


class Session:
    """
    One client's session.

    :ivar login: how the client has come in.
    :ivar user: who the client is.
    :ivar peer: the address of the client, as ``HOST:PORT``.
    :ivar source: the key of limits per source (:func:`bore.streams.addresses.sourceOf`).
    :ivar tunnels: its open tunnels, by the client's number for them.
    :ivar unconfirmed: the tunnels whose token the client may not have got, and how many answers to heartbeats come
        before the one that shows that it has.
    :ivar since: when it began, by the clock.
    :ivar over: it has ended. Its control connection may still be there until the client has read the reason.
    """

    _log = Logger()

    def __init__(self, context: SessionContext, connection: ControlConnection, login: Login, source: str) -> None:
        self._context = context
        self._connection = connection
        self._claims: dict[int, Claim] = {}
        self._timers: dict[int, IDelayedCall] = {}  # of the claims that were not answered at once
        self._inTurn: dict[int, Claim] = {}  # those that nobody was asked for yet
        self._lanes = (
            context.pools.make(login.user, login.peer, self.nextVisitor, self._owns) if connection.extended else None
        )
        heartbeats = ExtendedHeartbeats if connection.extended else BaseHeartbeats
        self._heartbeats: ExtendedHeartbeats | BaseHeartbeats = heartbeats(context.rhythms, self)
        self._reported = False
        self.over = False
        self.since = context.reactor.seconds()
        self.login = login
        self.user: User = login.user
        self.peer = login.peer
        self.source = source
        self.tunnels: dict[int, Tunnel] = {}
        self.unconfirmed: dict[Tunnel, int] = {}
        self._turns: dict[int, None] = {}  # the tunnels that may have visitors that wait; the next to be served first

    @property
    def laneToken(self) -> str | None:
        """The token with which the client opens lanes; None: there are none."""
        return None if self._lanes is None else self._lanes.token

    @property
    def idleLanes(self) -> int:
        """How many idle lanes it has."""
        return 0 if self._lanes is None else len(self._lanes)

    @property
    def extended(self) -> bool:
        """Whether its client speaks the extension of the protocol."""
        return self._connection.extended

    @property
    def movable(self) -> bool:
        """Whether it can be given away."""
        return self._connection.extended and not self.over

    @property
    def hasTunnels(self) -> bool:
        """Whether there is a tunnel, or one that is asked for."""
        return bool(self.tunnels or self._claims)

    @property
    def handle(self) -> socket.socket:
        """The socket of the control connection."""
        return self._connection.handle

    def open(
        self,
        number: int,
        address: PublicAddress,
        token: str | None,
        rules: AddressRules = NO_RULES,
        key: str | None = None,
    ) -> None:
        """
        Open a tunnel, and answer the client.

        :param number: the client's number for it.
        :param address: the public address that it asks for; 0 for any port.
        :param token: the token of a tunnel that it had; None: it had none.
        :param rules: the tunnel's own rules on the addresses of its visitors.
        :param key: the lasting key of the tunnel, which all its sessions show; None: it has none.
        """
        self._context.sink.emit(TunnelClaimed(self.peer, self.source, address, self.user.name))
        if len(self.tunnels) + len(self._claims) >= MAX_TUNNELS:
            self._refuse(number, address, TooManyInSession(_TOO_MANY))
            return
        claim = self._claims[number] = Claim(self, address, token, rules, self._connection.extended, key)
        self._inTurn[number] = claim
        self._context.tunnels.claims.wait(self)

    def giveBack(self, number: int) -> None:
        """The client gives a tunnel back, or does not wait for it any more."""
        if number in self._claims:
            self._context.tunnels.abandon(self._settle(number), Outcome.CLOSED)
        else:
            self._turns.pop(number, None)
            self._context.tunnels.close(self.tunnels.pop(number), TunnelEnd.GIVEN_BACK)

    def received(self) -> None:
        """Bytes have come from the client on the control connection."""
        self._heartbeats.received()

    def answered(self) -> None:
        """The client has answered a heartbeat, and so has got all that was sent before it."""
        for tunnel, earlier in list(self.unconfirmed.items()):
            if earlier:
                self.unconfirmed[tunnel] = earlier - 1
            else:
                del self.unconfirmed[tunnel]
                if tunnel.owner is self:
                    self._context.tunnels.confirm(tunnel)

    def lost(self, why: Loss) -> None:
        """The session is lost: its tunnels are kept for the client, if it is one that can come back."""
        canResume = self._connection.extended
        self._report(SessionLost(self.peer, self.source, why, self.user.name))
        for tunnel in self._end(Outcome.KEPT if canResume else Outcome.CLOSED):
            self._context.tunnels.lost(tunnel, why, canResume)

    def move(self, to: str | None = None, within: float | None = None) -> None:
        """
        Give the session away: its client begins another one, and resumes its tunnels. They are kept as those of a lost
        client are, for the time of the lease; visitors that come meanwhile wait, and running streams go on.

        :param to: the server to go to, such as ``tls://example.com:7835``; None: this one. A client follows only inside
            TLS, and if it knows this server.
        :param within: the time in which the client comes again, in seconds; None: a second.
        """
        assert self._connection.extended, "a client of the base protocol cannot come again"
        self.lost(Loss.MOVED)
        self._connection.move(to, within)

    def close(self, error: Refusal | ProtocolViolation | None) -> None:
        """
        The session is over, and its tunnels are closed.

        :param error: why; None: the client has sent Goodbye.
        """
        self._report(SessionClosed(self.peer, self.source, error, self.user.name))
        for tunnel in self._end(Outcome.CLOSED):
            self._context.tunnels.close(tunnel, TunnelEnd.SESSION_CLOSED)

    def refuse(self, refusal: Refusal) -> None:
        """End the session, and send the client the reason."""
        self.close(refusal)
        self._connection.end(refusal)

    @property
    def isPassable(self) -> bool:
        """
        Whether it can be passed to another process as it is: its client speaks the base protocol, outside TLS, has its
        tunnel, and has read all that was sent.
        """
        isAlone = len(self.tunnels) == 1 and not self._claims
        return isAlone and not self.over and not self._connection.extended and self._connection.isPassable

    def handOver(self) -> BaseSession:
        """Give the session to another process, which asks for its tunnel then."""
        assert self.isPassable
        self._report(SessionLost(self.peer, self.source, Loss.HANDED_OVER, self.user.name))
        [tunnel] = self._end(Outcome.CLOSED)
        self._context.tunnels.depart(tunnel)
        grant = tunnel.grant
        return BaseSession(self._connection.handOver(), self.login, self.source, grant.address, grant.token)

    def announceKey(self, key: str) -> None:
        """Send the fingerprint of the server's next key."""
        if not self.over:
            self._connection.announceKey(key)

    def nameNodes(self, addresses: Sequence[str]) -> None:
        """Send the addresses of the other nodes of the cluster."""
        if not self.over:
            self._connection.nameNodes(addresses)

    def nextVisitor(self) -> Visitor | None:
        """Take the next visitor that waits for a lane; None if there is none. The tunnels take turns."""
        turns = self._turns
        while turns:
            number = next(iter(turns))
            del turns[number]
            tunnel = self.tunnels.get(number)
            visitor = None if tunnel is None else tunnel.takeFirst()
            if tunnel is not None and tunnel.waiting:
                turns[number] = None
            if visitor is not None:
                return visitor
        return None

    def serve(self, visitor: Visitor) -> bool:
        """See :class:`~bore.server.tunnel.Owner`."""
        if not self._heartbeats.visited:
            self._heartbeats.visitorCame()
        return self._lanes is not None and self._lanes.serve(visitor)

    def announce(self, visitor: Visitor) -> None:
        """See :class:`~bore.server.tunnel.Owner`."""
        self._turns[visitor.tunnel.number] = None
        self._connection.announce(visitor)

    def takeAway(self, tunnel: Tunnel, refusal: Refusal) -> None:
        """See :class:`~bore.server.tunnel.Owner`."""
        number = tunnel.number
        if self.tunnels.get(number) is tunnel:
            del self.tunnels[number]
            self._turns.pop(number, None)
            self._context.sink.emit(TunnelTaken(tunnel.address, self.peer, self.source, self.user.name))
            self._connection.tunnelTaken(number, refusal)

    def inDoubt(self) -> bool:
        """See :class:`~bore.server.tunnel.Owner`."""
        return self._heartbeats.inDoubt(self._connection.handle)

    def sendHeartbeat(self) -> None:
        """See :class:`~bore.server.heartbeats.Beating`."""
        self._connection.sendHeartbeat()

    def hasVisitors(self) -> bool:
        """See :class:`~bore.server.heartbeats.Beating`."""
        return any(tunnel.serving or tunnel.waiting for tunnel in self.tunnels.values())

    def sinceReceived(self) -> float:
        """See :class:`~bore.server.heartbeats.Beating`."""
        return min((tunnel.sinceReceived() for tunnel in self.tunnels.values()), default=float("inf"))

    def unanswered(self) -> None:
        """See :class:`~bore.server.heartbeats.Beating`."""
        self.lost(Loss.NO_ANSWER)
        self._connection.end(NoAnswer())

    def askNext(self) -> bool:
        """See :class:`~bore.server.claimturns.Asking`. The time of those that wait does not run yet."""
        number = next(iter(self._inTurn))
        self._claim(number, self._inTurn.pop(number))
        if number in self._claims:
            self._timers[number] = self._context.reactor.callLater(CLAIM_TIMEOUT, self._claimTimedOut, number)
            self._context.tunnels.claims.begun()
        return bool(self._inTurn)

    def _claim(self, number: int, claim: Claim) -> None:
        """Ask for a tunnel."""
        self._claims[number] = claim
        done = Deferred.fromCoroutine(self._context.tunnels.open(claim))
        done.addCallbacks(self._opened, self._notOpened, callbackArgs=(number, claim), errbackArgs=(number, claim))
        done.addErrback(self.failed)

    def _opened(self, tunnel: Tunnel, number: int, claim: Claim) -> None:
        self._settle(number)
        self.tunnels[number] = tunnel
        tunnel.number = number
        if not self._reported:
            self._reported = True
            extended, name = self._connection.extended, self.user.name
            self._context.sink.emit(SessionOpened(self.peer, self.source, extended, name))
        if claim.token is not None:
            self.unconfirmed[tunnel] = self._connection.unanswered
        opened = TunnelBack if claim.resumed else TunnelOpened
        self._context.sink.emit(opened(tunnel.address, self.peer, self.source, self.user.name))
        self._connection.tunnelOpened(number, tunnel)
        self._heartbeats.start()
        tunnel.adopt()
        tunnel.announceAll()

    def _notOpened(self, reason: Failure, number: int, claim: Claim) -> None:
        if claim.abandoned is not None and reason.check(Abandoned, Refusal):
            return  # too late
        if not isinstance(reason.value, Refusal):
            self._log.failure("no tunnel could be opened for {peer}", reason, peer=self.peer)
        if claim.abandoned is None:
            self._settle(number)
            self._refuse(
                number, claim.address, reason.value if isinstance(reason.value, Refusal) else BindFailed(_FAULT)
            )

    def _claimTimedOut(self, number: int) -> None:
        """Give a tunnel up that is not granted in time. The client may try again, and may have had it before."""
        claim = self._settle(number)
        self._context.tunnels.abandon(claim, Outcome.KEPT)
        self._refuse(number, claim.address, ClaimTimeout())

    def _refuse(self, number: int, asked: PublicAddress, refusal: Refusal) -> None:
        """Send the client why it cannot have a tunnel. In the base protocol that is the end of the session."""
        self._context.sink.emit(TunnelRefused(self.peer, self.source, asked, refusal, self.user.name))
        self._connection.tunnelRefused(number, refusal)
        if not self.over:
            self._heartbeats.start()

    def _owns(self, visitor: Visitor) -> bool:
        """Whether a visitor has come to a tunnel of this session."""
        return self.tunnels.get(visitor.tunnel.number) is visitor.tunnel

    def _settle(self, number: int) -> Claim:
        """A claim has been answered."""
        timer = self._timers.pop(number, None)
        if timer is not None:
            if timer.active():
                timer.cancel()
            self._context.tunnels.claims.ended()
        if self._inTurn.pop(number, None) and not self._inTurn:
            self._context.tunnels.claims.leave(self)
        return self._claims.pop(number)

    def _end(self, outcome: Outcome) -> list[Tunnel]:
        """
        Have nothing to do with tunnels, lanes and the client any more.

        :param outcome: what becomes of tunnels that are not open yet.
        :returns: the tunnels that were open.
        """
        self.over = True
        for number in list(self._claims):
            self._context.tunnels.abandon(self._settle(number), outcome)
        self._heartbeats.stop()
        if self._lanes is not None:
            lanes, self._lanes = self._lanes, None
            self._context.pools.close(lanes)
        tunnels = list(self.tunnels.values())
        self.tunnels.clear()
        self.unconfirmed.clear()
        self._turns.clear()
        return tunnels

    def _report(self, end: Event) -> None:
        """Emit the end of the session, if its beginning was an event, and its end was not."""
        if self._reported:
            self._reported = False
            self._context.sink.emit(end)

    def failed(self, reason: Failure) -> None:
        """A fault of ours: it costs this session, and no other."""
        self._log.failure("the session of {peer} failed", reason, peer=self.peer)
        self._connection.drop()
