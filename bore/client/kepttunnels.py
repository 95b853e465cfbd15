"""The tunnels of a link: what becomes of each of them in a session."""
# Longer than 300 lines: a tunnel's way from its request to its end is read in one place.

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Final

from twisted.internet.defer import Deferred, succeed

from bore.client.advice import adviceOn
from bore.client.kepttunnel import Control, KeptTunnel, failedAt, lostEvent
from bore.client.leftovers import Leftovers
from bore.client.publicport import PublicPort, publicText
from bore.client.reasons import RequestUnanswered, ServerSilent, describe
from bore.client.retry import RetryPolicy
from bore.client.servers import Servers
from bore.client.settings import ClientSettings, ServerAddress
from bore.client.tunnel import Tunnel
from bore.client.verdicts import FINAL, isLimit, verdictOn
from bore.events import Sink
from bore.events.client import AddressChanged, PortGivenUp, Stage, TunnelUp, Verdict
from bore.streams.reactor import IReactor
from bore.timing.deadlines import Deadlines
from bore.wire.addressrules import NO_RULES
from bore.wire.clientsession import UNUSED_PORT
from bore.wire.errors import Refusal, ServerLeft, TakenOver
from bore.wire.limits import MAX_TUNNELS
from bore.wire.publicaddress import PublicAddress
from bore.wire.sessionevents import BASE_TUNNEL

#: A server answers the request for a tunnel within this time, in seconds; ours needs less than three.
ANSWER_TIMEOUT: Final = 30.0


class KeptTunnels:
    """
    Opens the tunnels of a link in each session.

    A tunnel that is refused is asked for again while the session goes on, unless the session has no other tunnel.

    :param servers: the servers of the link.
    :param reconnect: whether there are further attempts at all.
    :param policies: makes what decides when a tunnel is asked for again.
    :param end: ends the session for this reason, which concerns this tunnel: there is no other one in it.
    :param gaveUp: called when no further attempt is made to open a tunnel.
    :param leftovers: the tunnels that have to be given back in the next session.
    :ivar first: the tunnel that the Hello was for: a server of the base protocol opens no other one.
    """

    def __init__(
        self,
        reactor: IReactor,
        servers: Servers,
        sink: Sink,
        reconnect: bool,
        policies: Callable[[], RetryPolicy],
        end: Callable[[KeptTunnel, Exception], None],
        gaveUp: Callable[[Tunnel, Exception], None],
        leftovers: Leftovers,
    ) -> None:
        self._reactor = reactor
        self._servers = servers
        self._sink = sink
        self._reconnect = reconnect
        self._policies = policies
        self._end = end
        self._gaveUp = gaveUp
        self._kept: dict[Tunnel, KeptTunnel] = {}
        self._control: Control | None = None
        self._numbers = count(BASE_TUNNEL)
        self._inSession: dict[int, KeptTunnel] = {}
        self._closing: dict[int, tuple[Deferred[None], Tunnel]] = {}
        self._leftovers = leftovers
        self._unanswered: Deadlines[int, KeptTunnel] = Deadlines(reactor, ANSWER_TIMEOUT, self._notAnswered)
        self._lent = False
        self.first: KeptTunnel | None = None

    def __len__(self) -> int:
        return len(self._kept)

    def __contains__(self, kept: KeptTunnel | None) -> bool:
        return kept is not None and self._kept.get(kept.tunnel) is kept

    def apply(self, settings: ClientSettings) -> None:
        """Use other settings for what is tried again."""
        self._reconnect = settings.reconnect
        for kept in self._kept.values():
            kept.policy.apply(settings)

    @property
    def only(self) -> KeptTunnel | None:
        """The tunnel, if there is one; None: there are several."""
        return next(iter(self._kept.values())) if len(self._kept) == 1 else None

    @property
    def publicAddresses(self) -> list[str]:
        """Where the tunnels are that are up, as ``HOST:PORT``."""
        return [kept.address for kept in self._kept.values() if kept.up or (kept.address and kept.tunnel.isUp)]

    @property
    def settled(self) -> bool:
        """Whether the server has answered for each tunnel, in the session that there is."""
        return all(kept.up or kept.retrying is not None for kept in self._kept.values())

    @property
    def mayResume(self) -> bool:
        """Whether the current server keeps the public port of a tunnel for a while."""
        return any(self.portOf(kept).resume is not None for kept in self._kept.values())

    @property
    def up(self) -> list[KeptTunnel]:
        """Those that are open in the session that there is."""
        return [kept for kept in self._kept.values() if kept.up]

    def portOf(self, kept: KeptTunnel) -> PublicPort:
        """A tunnel's public port at the current server."""
        return kept.tunnel.publicPort(self._servers.current.address)

    def firstPort(self) -> int:
        """Choose the first tunnel, one with a port if there is one; return the port for the Hello, 0 for any."""
        for kept in self._kept.values():
            wanted = self.portOf(kept).wanted
            if isinstance(wanted, int):
                self.first = kept
                return wanted
        self.first = next(iter(self._kept.values()))
        return UNUSED_PORT

    def recall(self) -> None:
        """Read what is remembered of the tunnels at the current server."""
        for kept in self._kept.values():
            self.portOf(kept).recall()

    def carry(self, former: ServerAddress, to: ServerAddress) -> None:
        """The server has moved its tunnels to another one: what belongs to them at the former one is used there."""
        for tunnel in (*self._kept, *self._leftovers):
            tunnel.publicPort(to).succeed(tunnel.publicPort(former))
            if to != former:
                tunnel.publicPort(former).close()

    def interrupted(self) -> None:
        """The current server could not be asked."""
        for kept in self._kept.values():
            self.portOf(kept).interrupted()

    def has(self, tunnel: Tunnel) -> bool:
        """Whether a tunnel is kept open."""
        return tunnel in self._kept

    def add(self, tunnel: Tunnel, address: str = "") -> None:
        """
        Keep one more tunnel open.

        :param address: the public address at which it is up elsewhere; empty: it is not.
        """
        self._leftovers.discard(tunnel)
        kept = self._kept[tunnel] = KeptTunnel(tunnel, self._policies(), address)
        if self._control is not None:
            self._ask(kept)

    def remove(self, tunnel: Tunnel) -> Deferred[None]:
        """
        Give a tunnel back, if it is open, unless the session ends with it.

        :returns: fires when the server has read that, or the session has ended.
        """
        kept = self._kept.pop(tunnel, None)
        if kept is None:  # it is being given up
            return succeed(None)
        number = kept.number
        kept.reset()
        if number:
            del self._inSession[number]
            self._unanswered.take(number)
        elif self._control is None:
            self._leftovers.add(tunnel)
        return self._close(number, tunnel) if number and self._kept else succeed(None)

    def takeAll(self) -> list[Tunnel]:
        """Let go of all tunnels, none of which is open."""
        tunnels = list(self._kept)
        self._kept.clear()
        return tunnels

    def letGo(self) -> None:
        """Let go of all tunnels; what the server still answers is ignored."""
        self.reset()
        self._kept.clear()
        self._inSession.clear()
        self._unanswered.takeAll()

    def lend(self) -> None:
        """Leave the tunnels that another process of the client takes over to it, and ask for no others meanwhile."""
        self._lent = True
        for kept in self._kept.values():
            if kept.retrying is not None:
                kept.reset()

    def takeBack(self) -> None:
        """Have all tunnels again after :meth:`lend`: ask for those that are not open here, if there is a session."""
        self._lent = False
        if self._control is not None:
            for kept in list(self._kept.values()):
                if not kept.number and kept.retrying is None:
                    self._ask(kept)

    def takeOthers(self, first: KeptTunnel) -> list[Tunnel]:
        """Let go of all tunnels but one; none of them is open."""
        others = [tunnel for tunnel in self._kept if tunnel is not first.tunnel]
        self._kept = {first.tunnel: first}
        return others

    def begin(self, control: Control) -> None:
        """A session has begun in which any number of tunnels can be open: ask for them."""
        self._control = control
        for port, token in self._leftovers.take(self._servers.current.address):
            number = next(self._numbers)
            control.open(number, port, token, NO_RULES)
            control.close(number)
        for kept in list(self._kept.values()):
            self._ask(kept)

    def beginBase(self, kept: KeptTunnel) -> None:
        """A session of the base protocol has begun, which has this tunnel."""
        kept.number = BASE_TUNNEL
        self._inSession[BASE_TUNNEL] = kept

    def ended(self, lost: bool) -> None:
        """
        The session has ended.

        :param lost: whether it was not ended on purpose, so that the server may not have read what we sent last.
        """
        self._control = None
        self._numbers = count(BASE_TUNNEL)
        self._inSession.clear()
        self._unanswered.takeAll()
        closing, self._closing = self._closing, {}
        for closed, tunnel in closing.values():
            if lost and tunnel not in self._kept:
                self._leftovers.add(tunnel)
            closed.callback(None)
        self.reset()

    def reset(self) -> None:
        """Do not ask for tunnels that wait for that."""
        for kept in self._kept.values():
            kept.reset()

    def isWanted(self, number: int) -> bool:
        """Whether a tunnel of the session is still wanted."""
        return number in self._inSession

    def opened(self, number: int, address: PublicAddress, resume: str | None) -> Tunnel:
        """A tunnel is up."""
        kept = self._inSession[number]
        kept.up = True
        self._unanswered.take(number)
        kept.policy.opened()
        self.portOf(kept).opened(address, resume)
        tunnel, had = kept.tunnel, kept.address
        kept.address = tunnel.public = publicText(self._servers.host, address)
        if had not in ("", kept.address):
            self._sink.emit(AddressChanged(had, kept.address, tunnel.name, tunnel.label))
        new = kept.address != had
        self._sink.emit(TunnelUp(kept.address, tunnel.name, new, self._servers.current.name, tunnel.label))
        tunnel.opened(address)
        return tunnel

    def closed(self, number: int, why: Exception | None) -> None:
        """A tunnel is refused, or closed; None: on our request."""
        self._unanswered.take(number)
        if number in self._closing:
            self._closing.pop(number)[0].callback(None)
        elif number in self._inSession:
            kept = self._inSession[number]
            if self._lent and isinstance(why, TakenOver):
                del self._inSession[number]
                kept.reset()
            else:
                self._lost(kept, why or ServerLeft("it has closed the tunnel"))

    def checked(self, number: int) -> None:
        """A check has shown that visitors of a tunnel come through."""
        if number in self._inSession:
            self._inSession[number].policy.checked()

    def checkFailed(self, number: int, why: Exception) -> None:
        """Visitors of a tunnel do not come through: open it again."""
        kept = self._inSession.get(number)
        if kept is not None:  # else it was the last one, and the session ends
            self._openAgain(kept, why)

    def hurry(self) -> bool:
        """Ask at once for the tunnels that are to be asked for later; returns whether there was one."""
        waiting = [kept.retrying for kept in self._kept.values() if kept.retrying is not None]
        for each in waiting:
            each.reset(0)
        return bool(waiting)

    def _ask(self, kept: KeptTunnel) -> None:
        """Ask for a tunnel in the current session."""
        assert self._control is not None
        kept.retrying = None
        kept.number = next(self._numbers)
        self._inSession[kept.number] = kept
        port = self.portOf(kept)
        port.recall()  # unless it was here when the attempt to connect began, nothing is known of it yet
        self._unanswered.add(kept.number, kept)
        key = kept.tunnel.keyAt(port) if self._control.inCluster else None
        self._control.open(kept.number, port.wanted, port.token, kept.tunnel.spec.rules, key)

    def _notAnswered(self, number: int, kept: KeptTunnel) -> None:
        """The server has not answered the request for a tunnel in time. A later answer crosses our Close."""
        self._openAgain(kept, RequestUnanswered(f"it has not answered the request for {ANSWER_TIMEOUT:.0f} s"))

    def _openAgain(self, kept: KeptTunnel, why: Exception) -> None:
        """Close a tunnel, and open it again later."""
        if len(self._inSession) > 1:
            self._close(kept.number, kept.tunnel)
        self._lost(kept, why)

    def _close(self, number: int, tunnel: Tunnel) -> Deferred[None]:
        assert self._control is not None
        closed: Deferred[None] = Deferred()
        self._closing[number] = closed, tunnel
        self._control.close(number)
        if len(self._closing) > 2 * MAX_TUNNELS:
            self._control.end(ServerSilent("it answers no requests"))
        return closed

    def _lost(self, kept: KeptTunnel, why: Exception) -> None:
        """A tunnel was refused, or is not open any more: ask for it again later, or end a session without another."""
        why = kept.tunnel.spec.explain(why)
        kept.tunnel.why = describe(why)
        if len(self._inSession) == 1:
            self._end(kept, why)
            return
        del self._inSession[kept.number]
        self._unanswered.take(kept.number)
        up = kept.up
        kept.reset()
        if isinstance(why, Refusal) and self.portOf(kept).refused(why) and not up and self._reconnect:
            self._sink.emit(PortGivenUp(self._servers.current.name, describe(why), kept.tunnel.label))
            self._ask(kept)
            return
        server, stage = self._servers.current, Stage.TUNNEL if up else Stage.NO_TUNNEL
        if up:
            kept.policy.lost(why, keepsPort=False, servers=1)
        wasUp = bool(kept.address)
        advice = adviceOn(why, self._servers.tried(kept.tunnel.spec.public), wasUp)
        verdict = verdictOn(why, first=False, wasUp=True, known=server.known)
        if isLimit(why):
            verdict = Verdict.LATER  # the other tunnels of the session are in the way, mostly
        if kept.policy.isHopeless(advice):
            verdict = Verdict.DROP
        failed = failedAt(server.name, stage, why, verdict, advice)
        follows = kept.policy.next(failed, servers=0 if verdict in FINAL else 1)
        if isinstance(follows, Exception):
            del self._kept[kept.tunnel]
            self._gaveUp(kept.tunnel, follows)
            return
        early = 0 if wasUp else kept.policy.failures
        if not kept.tunnel.isUp:  # at another node of a cluster
            self._sink.emit(lostEvent(server.name, stage, failed, follows.delay, early, kept))
        kept.retrying = self._reactor.callLater(follows.delay, self._ask, kept)
