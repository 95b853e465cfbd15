"""A link: a session with another node, again and again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Final, NamedTuple
from typing import Protocol as Interface

from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger, LogLevel

from bore.client.dataconnections import DataConnections
from bore.client.reasons import describe
from bore.client.reconnecting import ControlFactory
from bore.client.retry import Again, Failed, RetryPolicy
from bore.client.visitors import Visitors
from bore.cluster.nodecontrol import NodeControl
from bore.events import Sink
from bore.events.client import Verdict
from bore.relay.interface import Stream
from bore.streams.addresses import hostPort
from bore.streams.connector import EndpointConnector
from bore.streams.dial import ServerDialer
from bore.streams.encryption import NotTls
from bore.streams.endpoint import DialerEndpoint
from bore.streams.reactor import IReactor
from bore.timing.turns import Turns
from bore.wire.errors import AuthenticationFailed, Refusal, ShuttingDown
from bore.wire.laneopen import LaneVisitor
from bore.wire.secret import Secret

#: The longest time between two attempts to reach a node, in seconds.
_LONGEST: Final = 5.0

#: A session that has lasted for this time is begun again within that time when it is lost, in seconds.
_SETTLED: Final = 1.0
_AT_ONCE: Final = 0.2

#: An offer that was refused is made again after this time, in seconds: the node could not listen at the address.
_OFFER_AGAIN: Final = 3.0


_NO_SESSION: Final = "no session with the node {name} at {place}: {why}"


def _lineOf(why: BaseException | None) -> tuple[LogLevel, str]:
    """What the log has of a node with which there is no session."""
    match why:
        case AuthenticationFailed():
            text = (
                "the node {name} at {place} has another key: all nodes of a cluster need the same --cluster-key, and "
                "clusters that share an engine need a ?prefix= of their own in --cluster"
            )
            return LogLevel.error, text
        case ShuttingDown():
            return LogLevel.info, "the node {name} at {place} is stopped in order"
        case NotTls():
            text = f"{_NO_SESSION}; or the address of this node is in the --trusted-proxies of that one"
            return LogLevel.warn, text
    return LogLevel.warn, _NO_SESSION


class Place(NamedTuple):
    """Where a node is: a name or an IP address, and its control port."""

    host: str
    port: int

    def __str__(self) -> str:
        return hostPort(*self)


class Deliver(Interface):
    """Brings the visitors of other nodes to the tunnels of this one."""

    def __call__(self, address: int, visitor: LaneVisitor) -> Stream | None:
        """Bring a visitor to an address. Returns its stream; None: there is no tunnel."""


class LinkContext(NamedTuple):
    """
    What all links share.

    :ivar secret: what nodes prove to each other.
    :ivar addresses: returns the addresses to offer.
    :ivar number: returns the number of this node; 0: it has none yet.
    :ivar epochOf: returns the epoch of one; 0: it is not to be offered.
    :ivar isOwned: returns whether this node owns an address, which it may not offer for the time being.
    :ivar dialler: makes what dials a node.
    """

    reactor: IReactor
    sink: Sink
    turns: Turns
    secret: Secret
    visitors: Visitors
    addresses: Callable[[], Sequence[int]]
    number: Callable[[], int]
    epochOf: Callable[[int], int]
    isOwned: Callable[[int], bool]
    deliver: Deliver
    dialler: Callable[[Place], ServerDialer]
    random: Random


class NodeLink:
    """
    Keeps a session with another node, and offers it the addresses that this node owns.

    :param name: the node.
    :param place: where it is.
    :ivar up: whether there is a session.
    :ivar why: why there is none; None: there is one, or no attempt has failed yet.
    :ivar retired: whether it makes no attempt when the session is lost.
    """

    _log: Final = Logger()

    def __init__(self, context: LinkContext, name: str, place: Place) -> None:
        self.reactor = context.reactor
        self.turns = context.turns
        self.secret = context.secret
        self.visitors = context.visitors
        self.name = name
        self.place = place
        self._context = context
        dialler = context.dialler(place)
        self.connections = DataConnections(context.reactor, dialler, context.secret)
        self._factory = ControlFactory(context.reactor, self)
        self._connector = EndpointConnector(DialerEndpoint(context.reactor, dialler), self._factory)
        self._policy = RetryPolicy(context.reactor, context.random, _LONGEST)
        self._control: NodeControl | None = None
        self._offers: dict[int, tuple[int, int]] = {}  # of each address: the number of the offer, and the epoch
        self._refused: dict[int, int] = {}  # the epochs of offers that were refused
        self._again: IDelayedCall | None = None
        self._cause: BaseException | None = None
        self._stopped = False
        self.retired = False
        self._since = 0.0
        self.up = False
        self.why: str | None = None

    @property
    def number(self) -> int:
        """The number of this node; 0: it has none yet."""
        return self._context.number()

    def start(self) -> None:
        """Connect."""
        self._connector.connect()

    def stop(self) -> None:
        """Make no further attempt, and end the session on purpose. Visitors that are served stay."""
        self._stopped = True
        self._factory.stop()
        self._forget()
        if self._control is not None and self.up:
            self._control.leave()
        self._connector.disconnect()

    def update(self, address: int) -> None:
        """Offer an address as this node owns it now, or withdraw it."""
        if not self.up or self._control is None:
            return
        epoch = self._context.epochOf(address)
        number, offered = self._offers.get(address, (0, 0))
        if epoch == offered:
            return
        if number:
            del self._offers[address]
            self._control.withdraw(number, self._context.isOwned(address))
        if not epoch:
            self._refused.pop(address, None)
        elif self._refused.get(address) != epoch:
            self._offers[address] = self._control.offer(address, epoch), epoch

    def updateAll(self) -> None:
        """The same for all addresses."""
        for address in [*self._context.addresses(), *self._offers]:
            self.update(address)

    # See :class:`bore.cluster.nodecontrol.Link`.

    def opened(self) -> None:
        self.up = True
        self.why = None
        self._since = self.reactor.seconds()
        self._factory.opened()
        self._policy.opened()
        self.updateAll()

    def refused(self, address: int, refusal: Refusal) -> None:
        self._log.debug("{name} refused {address}: {why}", name=self.name, address=address, why=refusal)
        _, self._refused[address] = self._offers.pop(address)
        if self._again is None:
            self._again = self.reactor.callLater(_OFFER_AGAIN, self._offerAgain)

    def deliver(self, address: int, visitor: LaneVisitor) -> Stream | None:
        return self._context.deliver(address, visitor)

    def ending(self, why: Exception) -> None:
        self._cause = self._cause or why

    # See :class:`bore.client.reconnecting.Attempts`.

    def connecting(self) -> None:
        """An attempt begins."""

    def makeControl(self) -> NodeControl:
        """A connection was made."""
        self._control = NodeControl(self)
        return self._control

    def failed(self, why: BaseException | None) -> None:
        """An attempt has failed."""
        self._next(why, lost=False)

    def lost(self, why: BaseException | None) -> None:
        """The connection was lost."""
        up, self.up = self.up, False
        self._control = None
        self._forget()
        if up:
            self._policy.lost(self._cause or why, keepsPort=False, servers=1)
        settled = up and self.reactor.seconds() - self._since >= _SETTLED
        self._next(why, up, self._context.random.uniform(0.0, _AT_ONCE) if settled else None)

    def _next(self, why: BaseException | None, lost: bool, delay: float | None = None) -> None:
        why, self._cause = self._cause or why, None
        if self._stopped or self.retired:
            return
        described = describe(why)
        follows = self._policy.next(Failed(why, Verdict.RETRY, described, lost), 1)
        assert isinstance(follows, Again), "without a limit on failures there is always a further attempt"
        if self.why != described:
            level, text = _lineOf(why)
            self._log.emit(level, text, name=self.name, place=self.place, why=described)
        self.why = described
        self._factory.retryIn(follows.delay if delay is None else delay)

    def _offerAgain(self) -> None:
        self._again = None
        self._refused.clear()
        self.updateAll()

    def _forget(self) -> None:
        """There is no session."""
        self._offers.clear()
        self._refused.clear()
        if self._again is not None:
            self._again.cancel()
            self._again = None
