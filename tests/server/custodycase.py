"""Shared by the tests of custody: holders that answer when a test wants."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import cast

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from bore.events import Event, Sink
from bore.events.server import TunnelEnd
from bore.server.custody import Opened, Waiting, Wish
from bore.server.localcustody import LocalCustody
from bore.server.places import Places
from bore.server.registry import Grant, LocalRegistry
from bore.server.settings import Bounds, ServerSettings
from bore.server.users import NAMELESS, User
from bore.streams.reactor import IReactor
from bore.users.rights import Rights
from bore.wire.publicaddress import PublicAddress
from tests.fakes import FakeReactor
from tests.ports import freePort, loopbackHost

LEASE = 60
SOURCE = "192.0.2.1"


class FakeHolder:
    """
    A holder that keeps the rules.

    :ivar has: the grants of its tunnels.
    :ivar doubts: its addresses whose clients may be gone.
    :ivar slow: whether it does not answer at once.
    :ivar questions: what it was asked and has not answered, the oldest first.
    :ivar done: what it was told: the name of the method and the address.
    """

    def __init__(self, custody: LocalCustody) -> None:
        self.share = custody.forHolder(self)
        self.has: dict[PublicAddress, Grant] = {}
        self.doubts: set[PublicAddress] = set()
        self.visitors: dict[PublicAddress, list[Waiting]] = {}
        self.slow = False
        self.questions: list[tuple[Deferred[object], object]] = []
        self.done: list[tuple[str, PublicAddress]] = []

    def doubtful(self, addresses: Sequence[PublicAddress]) -> Deferred[PublicAddress | None]:
        assert set(addresses) <= set(self.has) or self.slow, addresses
        found = next((each for each in addresses if each in self.doubts), None)
        return cast("Deferred[PublicAddress | None]", self._answer(found))

    def giveUp(self, grant: Grant) -> None:
        if self._forget("giveUp", grant):
            self.share.release(grant)

    def handOver(self, grant: Grant) -> Deferred[Sequence[Waiting]]:
        had = self._forget("handOver", grant)
        waiting = self.visitors.pop(grant.address, []) if had else []
        return cast("Deferred[Sequence[Waiting]]", self._answer(waiting))

    def close(self, grant: Grant, reason: TunnelEnd) -> None:
        if self._forget(f"close {reason.name}", grant):
            self.share.release(grant)

    def expired(self, grant: Grant) -> None:
        self._forget("expired", grant)

    def visitorCame(self, grant: Grant, visitor: Waiting) -> None:
        if grant.address in self.has and self.has[grant.address].epoch <= grant.epoch:
            self.visitors.setdefault(grant.address, []).append(visitor)
        else:
            visitor.socket.close()

    def answer(self) -> None:
        """Answer the oldest question."""
        deferred, answer = self.questions.pop(0)
        deferred.callback(answer)

    def opened(self, opened: Opened) -> None:
        """It has been given a tunnel."""
        grant = opened.grant
        assert (opened.place is None) == (grant.address in self.has), grant
        self.has[grant.address] = grant
        self.visitors.setdefault(grant.address, []).extend(opened.waiting)

    def giveBack(self, address: PublicAddress) -> None:
        """Its client gives a tunnel back."""
        self.share.release(self.has.pop(address))
        self.closeVisitors(address)

    def lose(self, address: PublicAddress) -> None:
        """The client of a tunnel is lost."""
        self.share.renew(self.has[address])

    def die(self, custody: LocalCustody) -> None:
        """It dies, with its visitors."""
        custody.gone(self)
        for address in list(self.has):
            del self.has[address]
            self.closeVisitors(address)

    def closeVisitors(self, address: PublicAddress) -> None:
        for visitor in self.visitors.pop(address, []):
            visitor.socket.close()

    def _answer(self, answer: object) -> Deferred[object]:
        deferred: Deferred[object] = Deferred()
        self.questions.append((deferred, answer))
        if not self.slow:
            self.answer()
        return deferred

    def _forget(self, what: str, grant: Grant) -> bool:
        mine = self.has.get(grant.address)
        if mine is None or mine.epoch > grant.epoch:
            return False
        self.done.append((what, grant.address))
        del self.has[grant.address]
        if what != "handOver":
            self.closeVisitors(grant.address)
        return True


class CustodyCase(SynchronousTestCase):
    """Custody, a clock, and holders."""

    bounds = Bounds()
    lease = LEASE

    def setUp(self) -> None:
        self.reactor = FakeReactor()
        self.host = loopbackHost()
        self.port = freePort(self.host)
        self.events: list[Event] = []
        sink = Sink()
        sink.subscribe(self.events.append)
        clock = cast(IReactor, self.reactor)
        self.settings = ServerSettings(1024, 65535, bindTunnels=self.host, bounds=self.bounds, lease=self.lease)
        self.registry = LocalRegistry(clock, self.lease)
        self.custody = LocalCustody(clock, sink, self.settings, self.registry, Places(clock, self.settings))
        self.a, self.b, self.c = (FakeHolder(self.custody) for _ in range(3))
        self.addCleanup(self.cleanUp)

    def cleanUp(self) -> None:
        for holder in (self.a, self.b, self.c):
            if not holder.share.gone:
                holder.die(self.custody)
            self.assertEqual(holder.visitors, {})
        self.reactor.pump([1.0] * (LEASE + 2))
        self.assertEqual((len(self.custody), len(self.registry), self.custody._wishes), (0, 0, {}))
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def wish(
        self,
        token: str | None = None,
        address: PublicAddress | None = None,
        lasting: bool = True,
        source: str = SOURCE,
        user: User = NAMELESS,
        rights: Rights | None = None,
    ) -> Wish:
        return Wish(self.port if address is None else address, token, user, source, lasting, rights)

    def ask(self, holder: FakeHolder, wish: Wish | None = None) -> Deferred[Opened]:
        """A session of a holder asks; the holder has what it is given."""

        def given(opened: Opened) -> Opened:
            holder.opened(opened)
            return opened

        return holder.share.open(self.wish() if wish is None else wish).addCallback(given)

    def open(self, holder: FakeHolder, wish: Wish | None = None) -> Opened:
        """The same, where the answer comes at once."""
        return self.successResultOf(self.ask(holder, wish))

    def visit(self, holder: FakeHolder, early: bytes = b"") -> tuple[socket.socket, Waiting]:
        """A visitor waits at a holder. Returns its own end, too."""
        mine, theirs = socket.socketpair()
        self.addCleanup(mine.close)
        mine.settimeout(0)
        waiting = Waiting(theirs, ("192.0.2.7", 4711), early, 1.0)
        holder.visitors.setdefault(self.port, []).append(waiting)
        return mine, waiting

    def isCut(self, visitor: socket.socket) -> bool:
        """Whether the other end of a visitor is closed."""
        try:
            return visitor.recv(1) == b""
        except BlockingIOError:
            return False
