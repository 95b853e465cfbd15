"""The control connection to another node."""

from __future__ import annotations

import socket
from collections import OrderedDict
from functools import partial
from typing import Final
from typing import Protocol as Interface

from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

from bore.client.dataconnections import DataConnections
from bore.client.lanepool import LanePool
from bore.client.reasons import ServerSilent
from bore.client.silence import Silence
from bore.client.visitors import Visitors
from bore.relay.interface import Ending, LaneHandle, Stream
from bore.streams.encryption import channelBinding
from bore.streams.reactor import IReactor
from bore.streams.socketoptions import PEER_TIMEOUT, prepareControl
from bore.streams.transport import IStreamTransport
from bore.timing.turns import Inflow, Turns
from bore.wire.clientsession import ControlSession
from bore.wire.errors import Refusal, WireError
from bore.wire.laneopen import LaneVisitor
from bore.wire.limits import SILENCE_TIMEOUT
from bore.wire.proof import clientProof
from bore.wire.secret import Secret
from bore.wire.sessionevents import (
    ClientEvent,
    SendData,
    SessionMoved,
    SessionOpened,
    TunnelClosed,
    TunnelOpened,
    TunnelRefused,
    VisitorCame,
)

#: The lanes to a node that are kept idle: the next visitor at that node needs no handshake.
LANES: Final = 8

#: How many addresses that were withdrawn are remembered: visitors that come to them may be under way.
_REMEMBERED: Final = 1024


class Link(Interface):
    """What makes control connections to a node, as each of them sees it."""

    reactor: IReactor
    turns: Turns
    secret: Secret
    visitors: Visitors
    connections: DataConnections

    @property
    def number(self) -> int:
        """The number of this node; 0: it has none yet."""

    @property
    def name(self) -> str:
        """The node, as events name it."""

    def opened(self) -> None:
        """There is a session: offer all addresses."""

    def refused(self, address: int, refusal: Refusal) -> None:
        """The node does not take an offer, or not any more."""

    def deliver(self, address: int, visitor: LaneVisitor) -> Stream | None:
        """Bring a visitor to an address of this node. Returns its stream; None: there is no tunnel."""

    def ending(self, why: Exception) -> None:
        """The connection is about to be cut, for this reason."""


class NodeControl(Protocol):
    """
    The control connection to another node: it offers addresses, and brings the visitors that come there.

    :param link: what made it.
    """

    transport: IStreamTransport

    def __init__(self, link: Link) -> None:
        self._link = link
        self._wire: ControlSession
        self._inflow: Inflow[ClientEvent]
        self._silence: Silence | None = None
        self._lanes: LanePool | None = None
        self._numbers: OrderedDict[int, int] = OrderedDict()  # the address of each offer
        self._withdrawn: OrderedDict[int, int] = OrderedDict()
        self._last = 0

    def connectionMade(self) -> None:
        link, sock = self._link, self.transport.getHandle()
        self._inflow = Inflow(link.turns, self.transport, self._read)
        self._wire = ControlSession(link.number, clientProof(link.secret, channelBinding(sock)))
        prepareControl(sock, PEER_TIMEOUT)
        self._silence = Silence(link.reactor, link.connections.sinceReceived, self._silent)

    def dataReceived(self, data: bytes) -> None:
        self._inflow.received(self._wire.feed(data), len(data))
        self._read()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._inflow.stop()
        if self._silence is not None:
            self._silence.stop()
        if self._lanes is not None:
            self._lanes.close()

    def offer(self, address: int, epoch: int) -> int:
        """
        Offer an address.

        :returns: the number of the offer.
        """
        self._last += 1
        self._numbers[self._last] = address
        self.transport.write(self._wire.open(self._last, address, epoch=epoch))
        return self._last

    def withdraw(self, number: int, kept: bool) -> None:
        """
        Withdraw an offer. Visitors that are under way still come.

        :param kept: whether somebody still owns the address.
        """
        self.transport.write(self._wire.close(number, kept))
        self._forget(number)

    def leave(self) -> None:
        """End the session on purpose."""
        self._inflow.stop()
        self.transport.write(self._wire.goodbye())
        self.transport.loseConnection()

    def end(self, why: Exception) -> None:
        """Cut the connection, for this reason."""
        self._inflow.stop()
        self._link.ending(why)
        self.transport.abortConnection()

    def _read(self) -> None:
        """Follow what the node has sent."""
        try:
            for event in self._inflow:
                assert self._silence is not None
                self._silence.frameReceived()
                self._follow(event)
        except WireError as e:
            self.end(e)

    def _follow(self, event: ClientEvent) -> None:
        match event:
            case SendData(data):
                self.transport.writeNow(data)
            case SessionOpened(lane, most):
                if lane is not None:
                    self._keepLanes(lane, min(LANES, most or LANES))
                self._link.opened()
            case TunnelRefused(number) | TunnelClosed(number):
                address = self._forget(number)
                if address is not None and event.refusal is not None:
                    self._link.refused(address, event.refusal)
            case VisitorCame(_, id):
                if self._lanes is not None:
                    self._lanes.announced(id)
            case SessionMoved():
                self._inflow.stop()
                self.transport.abortConnection()
            case TunnelOpened():
                pass  # the node passes visitors on from now on
            case _:
                pass

    def _keepLanes(self, token: str, keep: int) -> None:
        link, carrier = self._link, self._link.visitors.relay.lanes
        if carrier is not None:
            self._lanes = LanePool(
                link.reactor, carrier, link.visitors, link.connections, link.name, token, keep, self._serve
            )

    def _forget(self, number: int) -> int | None:
        """An offer is over. Returns its address; None: it was over before."""
        address = self._numbers.pop(number, None)
        if address is not None:
            self._withdrawn[number] = address
            if len(self._withdrawn) > _REMEMBERED:
                self._withdrawn.popitem(last=False)
        return address

    def _serve(self, lane: LaneHandle, visitor: LaneVisitor) -> None:
        """Bring a visitor on a lane to the tunnel of this node."""
        number = visitor.tunnel
        address = self._numbers.get(number) or self._withdrawn.get(number)
        stream = None if address is None else self._link.deliver(address, visitor)
        carrier = self._link.visitors.relay.lanes
        if stream is None or carrier is None:
            lane.refuse()
            return
        self._link.connections.carriers.add(lane.socket)
        carrier.joinWithLane(stream, lane, partial(self._left, lane.socket))

    def _left(self, carrier: socket.socket, ending: Ending) -> None:
        self._link.connections.carriers.discard(carrier)

    def _silent(self) -> None:
        self.end(ServerSilent(f"no sign of life for {SILENCE_TIMEOUT:.0f} s"))
