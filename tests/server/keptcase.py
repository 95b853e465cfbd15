"""What the tests of kept listening sockets share."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from dataclasses import replace

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from bore.events import Sink
from bore.events.server import TunnelEnd
from bore.server.custody import Opened, OpenPlace, Waiting, Wish
from bore.server.keptsockets import KeptSockets
from bore.server.registry import Grant
from bore.server.settings import ServerSettings
from bore.server.users import NAMELESS, User
from bore.system.descriptorstore import DescriptorStore
from bore.system.notify import Notifier
from bore.wire.errors import PortInUse
from bore.wire.publicaddress import PublicAddress
from bore.wire.token import digest
from tests.manager import Store
from tests.support import temporaryFolder

HOST = "127.0.0.1"
TOKEN = digest("a token")


class KeptSocketsCase(SynchronousTestCase):
    """A server that is started again and again."""

    def setUp(self) -> None:
        self.manager = Store(temporaryFolder(self) / "notify")
        self.addCleanup(self.manager.close)
        self.clock = Clock()
        self.settings = ServerSettings(bindAddr=HOST, bindTunnels=HOST)

    def begin(self, size: int = 99, **changed: object) -> KeptSockets:
        """The next process, with what the manager has by now."""
        self.read()
        found = [(os.dup(fd), name) for name, all in self.manager.names.items() for fd in all]
        notifier = Notifier(self.manager.path)
        self.addCleanup(notifier._socket.close)
        store = DescriptorStore(self.clock, notifier, size, found)
        self.settings = replace(self.settings, **changed)  # type: ignore[arg-type]
        kept = KeptSockets(self.clock, store, self.settings)
        self.addCleanup(kept._records.close)
        return kept

    def end(self, *sockets: socket.socket) -> None:
        """The process is killed: its copies of the sockets are closed."""
        for each in sockets:
            each.close()
        for found in self.clock.getDelayedCalls():
            found.cancel()

    def read(self) -> None:
        """The manager reads all notices, with those for which there was no room in its socket."""
        self.manager.read()
        while any(call.getTime() <= self.clock.seconds() + 0.1 for call in self.clock.getDelayedCalls()):
            self.clock.advance(0.1)
            self.manager.read()

    def names(self) -> list[str]:
        self.read()
        return sorted(self.manager.names)


class Process:
    """
    A server in a process that ends.

    :ivar kept: what the manager keeps for it.
    """

    def __init__(self, case: KeptSocketsCase, kept: KeptSockets) -> None:
        self._case = case
        self.kept = kept
        self.custody = kept.makeCustody(Sink())
        self.share = self.custody.forHolder()
        self.share.holder = FakeHolder()
        self.places: dict[PublicAddress, OpenPlace] = {}

    def open(
        self, address: PublicAddress, token: str | None = None, user: User = NAMELESS, lasting: bool = True
    ) -> Opened:
        """Open a tunnel for a client; raises Refusal."""
        wish = Wish(address, token, user, "192.0.2.1", lasting)
        opened = self._case.successResultOf(self.share.open(wish))
        if opened.place is not None:
            self.places[opened.grant.address] = opened.place
            self._case.addCleanup(opened.place.socket.close)
        return opened

    def refuses(self, address: PublicAddress, token: str | None = None, user: User = NAMELESS) -> None:
        """An address is not given to a client."""
        self._case.failureResultOf(self.share.open(Wish(address, token, user, "", True)), PortInUse)

    def close(self, opened: Opened) -> None:
        """Close a tunnel, as Tunnels does."""
        place = self.places.pop(opened.grant.address)
        place.leave()
        place.socket.close()
        self.share.release(opened.grant)


class FakeHolder:
    """A holder that has nothing to say."""

    def doubtful(self, addresses: Sequence[PublicAddress]) -> Deferred[PublicAddress | None]:
        return succeed(None)

    def handOver(self, grant: Grant) -> Deferred[Sequence[Waiting]]:
        return succeed(())

    def giveUp(self, grant: Grant) -> None: ...

    def close(self, grant: Grant, reason: TunnelEnd) -> None: ...

    def expired(self, grant: Grant) -> None: ...

    def visitorCame(self, grant: Grant, visitor: Waiting) -> None: ...
