"""The control connection, from its first byte to its loss."""
# Longer than 300 lines: what each message means to the link and to the session is read together.

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol as Interface

from twisted.internet.interfaces import IDelayedCall, IPushProducer
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from bore.client.dataconnections import DataConnections
from bore.client.kepttunnels import KeptTunnels
from bore.client.reasons import CheckFailed, ExtensionNeeded, ServerNotReading, ServerSilent, describe
from bore.client.session import Session
from bore.client.settings import ClientSettings, ServerAddress
from bore.client.silence import Silence
from bore.client.tunnel import Tunnel
from bore.client.visitors import Visitors
from bore.events import Sink
from bore.events.client import ConnectionAstray, MessageIgnored
from bore.streams.addresses import peerOf
from bore.streams.dial import ServerDialer
from bore.streams.encryption import channelBinding, peerError
from bore.streams.reactor import IReactor
from bore.streams.socketoptions import PEER_TIMEOUT, prepareControl
from bore.streams.transport import IStreamTransport
from bore.timing.turns import Inflow, Turns
from bore.tls.errors import ServerNotTrusted
from bore.wire.addressrules import AddressRules
from bore.wire.clientsession import ControlSession
from bore.wire.errors import TakenOver, WireError
from bore.wire.limits import CHALLENGE_PATIENCE, SILENCE_TIMEOUT
from bore.wire.proof import clientProof
from bore.wire.publicaddress import PublicAddress
from bore.wire.sessionevents import (
    ClientEvent,
    KeyAnnounced,
    NodesNamed,
    SendData,
    ServerAlive,
    ServerProven,
    SessionMoved,
    SessionOpened,
    TunnelClosed,
    TunnelOpened,
    TunnelRefused,
    Unexpected,
    VisitorCame,
)


class Link(Interface):
    """What makes control connections, as each of them sees it."""

    reactor: IReactor
    settings: ClientSettings
    sink: Sink
    tunnels: KeptTunnels
    turns: Turns
    visitors: Visitors

    @property
    def server(self) -> str:
        """The server, as events name it."""

    @property
    def firstPort(self) -> int:
        """The public port for the Hello; 0: any."""

    @property
    def probes(self) -> bool:
        """Whether a server that sends no challenge is asked if it has a secret."""

    def dialer(self, host: str, port: int, distrusted: Callable[[Exception], None]) -> ServerDialer:
        """Make a dialler for further connections to the server; ``distrusted`` is called if another server answers."""

    def proven(self) -> None:
        """The server has proved that it knows the secret."""

    def announced(self, key: str) -> None:
        """The server will have another key, with this fingerprint."""

    def foundNode(self, here: str) -> ServerAddress | None:
        """The server is the node of a cluster with this address. Returns where that is; None: it is not followed."""

    def named(self, nodes: Sequence[str]) -> None:
        """The server has named the other nodes of its cluster."""

    def foundBase(self) -> None:
        """The server does not know the extension, and has opened the first tunnel, as :data:`BASE_TUNNEL`."""

    def foundExtended(self) -> None:
        """The server knows the extension, and waits for tunnels to be asked for."""

    def opened(self, number: int, address: PublicAddress, resume: str | None) -> Tunnel | None:
        """A tunnel is up. Returns it; None if it is not wanted any more."""

    def checked(self, number: int) -> None:
        """A check has shown that visitors of a tunnel come through."""

    def moved(self, to: str | None, within: float | None) -> None:
        """The server has given the session away, to this server; None: to itself. See :class:`SessionMoved`."""

    def ending(self, why: Exception) -> None:
        """The connection is about to be cut, for this reason."""


@implementer(IPushProducer)
class ControlProtocol(Protocol):
    """
    The control connection: it translates between the wire and a :class:`Session`.

    It is the producer of what is written to it, so that what a server makes us send without reading it is bounded.

    :param link: what made it.
    :ivar silence: the time-out of its server; None: there is no connection yet.
    :ivar session: what it has beside the connection; None: it was lost before it began.
    """

    transport: IStreamTransport

    def __init__(self, link: Link) -> None:
        self._link = link
        self._wire: ControlSession
        self._inflow: Inflow[ClientEvent]
        self.session: Session | None = None
        self.silence: Silence | None = None
        self._agreed = SessionOpened()
        self._probe: IDelayedCall | None = None
        self._requests: dict[int, int] = {}  # the length of each one that is not answered yet

    def connectionMade(self) -> None:
        link, sock = self._link, self.transport.getHandle()
        secret, user = link.settings.secret, link.settings.user
        proof = clientProof(secret, channelBinding(sock), user)
        self._inflow = Inflow(link.turns, self.transport, self._read)
        self._wire = ControlSession(link.firstPort, proof)
        prepareControl(sock)  # silence is found out by SILENCE_TIMEOUT; this is for what is dead while streams go on
        try:
            host, port = peerOf(sock)
        except OSError as e:  # it was reset in the meantime
            self.end(peerError(sock, e))
            return
        connections = DataConnections(link.reactor, link.dialer(host, port, self._strayed), secret, user)
        self.session = session = Session(link.reactor, link.visitors, connections, link.server, host, self._wire.asks)
        self.transport.registerProducer(self, True)
        self.transport.write(self._wire.greeting())
        self.silence = Silence(link.reactor, session.sinceReceived, self._silent)
        if link.probes:
            self._probe = link.reactor.callLater(CHALLENGE_PATIENCE, self._noChallenge)

    def dataReceived(self, data: bytes) -> None:
        self._inflow.received(self._wire.feed(data), len(data))
        self._read()

    def _read(self) -> None:
        """Follow what the server has sent."""
        try:
            for event in self._inflow:
                assert self.silence is not None and self.session is not None
                self.silence.frameReceived()
                self._follow(event, self.session)
        except (WireError, ExtensionNeeded, ServerNotTrusted) as e:
            self.end(e)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._inflow.stop()
        if self.silence is not None:
            self.silence.stop()
        if self._probe is not None and self._probe.active():
            self._probe.cancel()
        if self.session is not None:
            self.session.close()

    @property
    def extended(self) -> bool:
        """Whether the server knows the extension, as far as it has answered."""
        return self._wire.extended

    @property
    def inCluster(self) -> bool:
        """
        Whether the server is a node of a cluster, as far as it has answered. A node says so inside TLS alone: who says
        it on a plain connection may want the keys of tunnels.
        """
        return bool(self._agreed.here) and self._link.settings.tls is not None

    def open(
        self, number: int, address: PublicAddress, resume: str | None, rules: AddressRules, key: str | None = None
    ) -> None:
        """Ask for one more tunnel: see :meth:`bore.wire.clientsession.ControlSession.open`."""
        request = self._wire.open(number, address, resume, rules, key)
        self._requests[number] = len(request)
        self.transport.bufferSize += len(request)  # it is not the server's doing
        self.transport.write(request)

    def close(self, number: int) -> None:
        """Give a tunnel back. Visitors that are served stay."""
        assert self.session is not None
        self.transport.write(self._wire.close(number))
        self.session.closed(number)

    def leave(self) -> None:
        """End the session on purpose, so that the server need not wait for us."""
        self._inflow.stop()
        self.transport.write(self._wire.goodbye())
        self.transport.unregisterProducer()  # a transport that has a producer would not close
        self.transport.loseConnection()

    def abandon(self) -> None:
        """Cut the connection; another session has the tunnels from now on."""
        self._inflow.stop()
        self.transport.abortConnection()

    def pauseProducing(self) -> None:
        """The server reads too slowly, or not at all: more waits to be written than a working server leaves unread."""
        self.end(ServerNotReading())

    def resumeProducing(self) -> None:
        """Everything was written after all: too late."""

    def stopProducing(self) -> None:
        """The connection is lost: see connectionLost."""

    def giveUp(self) -> None:
        """End the connection, as the server has not answered soon enough."""
        self.end(ServerSilent("it does not answer"))

    def _follow(self, event: ClientEvent, session: Session) -> None:
        match event:
            case ServerAlive():
                pass
            case ServerProven():
                self._link.proven()
            case KeyAnnounced(key):
                self._link.announced(key)
            case VisitorCame(number, id, source):
                session.announced(number, id, source)
            case SendData(data):
                self.transport.writeNow(data)
            case SessionOpened():
                self._agreed = event
                prepareControl(self.transport.getHandle(), PEER_TIMEOUT)
                there = self._link.foundNode(event.here) if event.here else None
                if there is not None:
                    session.connections.server = self._link.dialer(*there, self._strayed)
                session.connections.leadTo(event.hint)
                self._link.foundExtended()
            case NodesNamed(addresses):
                self._link.named(addresses)
            case TunnelOpened(number, address, resume):
                self._opened(session, number, address, resume)
            case TunnelRefused(number) | TunnelClosed(number):
                self._answered(number)
                session.closed(number, taken=isinstance(event.refusal, TakenOver))
                self._link.tunnels.closed(number, event.refusal)
            case SessionMoved(to, within):
                self._link.moved(to, within)
                self._inflow.stop()
                self.transport.abortConnection()
            case Unexpected(message):
                self._link.sink.emit(MessageIgnored(self._link.server, str(message)))

    def _answered(self, number: int) -> None:
        """The server has answered the request for a tunnel."""
        self.transport.bufferSize -= self._requests.pop(number, 0)

    def _opened(self, session: Session, number: int, address: PublicAddress, resume: str | None) -> None:
        link = self._link
        self._answered(number)
        if not self._wire.extended:
            link.foundBase()
        tunnel = link.opened(number, address, resume)
        if tunnel is None:  # another session has it by now, or asks for it
            self.close(number)
            return
        session.opened(number, tunnel, address)
        self._check(session, number)
        self._keepLanes(session)

    def applySettings(self, former: ClientSettings) -> None:
        """Use the other settings that the link has."""
        session, settings = self.session, self._link.settings
        if session is None or not session.numbers:
            return  # they are used when a tunnel is up
        if settings.checkEvery != former.checkEvery:
            for number in session.numbers:
                self._check(session, number)
        if settings.lanes != former.lanes:
            self._keepLanes(session)

    def _check(self, session: Session, number: int) -> None:
        failed = partial(self._checkFailed, number)
        session.check(number, self._link.settings.checkEvery, partial(self._link.checked, number), failed)

    def _keepLanes(self, session: Session) -> None:
        keep, agreed = self._link.settings.lanes, self._agreed
        if agreed.lane is not None:
            session.keepLanes(agreed.lane, min(keep, agreed.maxLanes or keep))  # the server would close more when idle

    def _strayed(self, why: Exception) -> None:
        """A further connection led to another server: it was closed, and this one goes on."""
        self._link.sink.emit(ConnectionAstray(self._link.server, describe(why)))

    def _noChallenge(self) -> None:
        self.transport.write(self._wire.noChallenge())

    def _silent(self) -> None:
        self.end(ServerSilent(f"no sign of life for {SILENCE_TIMEOUT:.0f} s"))

    def _checkFailed(self, number: int, why: str) -> None:
        self._link.tunnels.checkFailed(number, CheckFailed(f"visitors do not come through: {why}"))

    def end(self, why: Exception) -> None:
        """Cut the connection, for this reason."""
        self._inflow.stop()
        self._link.ending(why)
        self.transport.abortConnection()
