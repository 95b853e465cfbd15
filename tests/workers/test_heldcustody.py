"""Custody while it passes from one process to another."""

from __future__ import annotations

from twisted.internet.defer import Deferred, fail, succeed
from twisted.trial.unittest import SynchronousTestCase

from bore.server.custody import Opened, Wish
from bore.server.registry import Grant
from bore.server.users import NAMELESS
from bore.wire.errors import PortInUse
from bore.workers.heldcustody import HeldCustody

GRANT = Grant(7, NAMELESS, "token", 1)


class FakeCustody(HeldCustody):
    """Notes what it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[object] = []

    def open(self, wish: Wish) -> Deferred[Opened]:
        self.calls.append(wish)
        return succeed(Opened(GRANT, None)) if wish.address else fail(PortInUse())

    def abandon(self, wish: Wish) -> None:
        self.calls.append(("abandon", wish))

    def confirm(self, grant: Grant) -> None:
        self.calls.append(("confirm", grant))

    def renew(self, grant: Grant) -> None:
        self.calls.append(("renew", grant))

    def release(self, grant: Grant) -> None:
        self.calls.append(("release", grant))

    def close(self) -> None:
        self.calls.append("close")


class HeldCustodyTests(SynchronousTestCase):
    """What is asked meanwhile."""

    def test_itIsAskedInOrderWhenItIsClearWhom(self) -> None:
        held, custody = HeldCustody(), FakeCustody()
        first, second = (Wish(address, None, NAMELESS, "", True) for address in (7, 0))
        opened, refused = held.open(first), held.open(second)
        held.confirm(GRANT)
        held.renew(GRANT)
        held.abandon(second)
        self.assertNoResult(opened)
        held.goOn(custody)
        self.assertEqual(self.successResultOf(opened).grant, GRANT)
        self.failureResultOf(refused, PortInUse)
        held.release(GRANT)
        held.close()
        self.assertEqual(
            custody.calls,
            [
                first,
                second,
                ("confirm", GRANT),
                ("renew", GRANT),
                ("abandon", second),
                ("release", GRANT),
                "close",
            ],
        )
