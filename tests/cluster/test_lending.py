"""What a node still owns whose client is at other nodes."""

from __future__ import annotations

from bore.server.users import NAMELESS, NODES
from bore.wire.token import newToken
from tests.cluster.clustercase import ClusterCase, FakeNode

PORT = 20000
LEASE = 60


class LendingTests(ClusterCase):
    """Two nodes at which a client has its tunnel; it is lost at the first one."""

    def setUp(self) -> None:
        super().setUp()
        self.key = newToken()
        self.one, self.two = self.node("one"), self.node("two")
        self.pass_(3)
        self.changed: list[int] = []
        for node in (self.one, self.two):
            self.successResultOf(node.claim(PORT, self.key))
        self.one.registry.changed = self.changed.append
        grant = self.one.registry.lend(PORT, NODES)
        self.one.has[PORT] = grant

    def owners(self) -> int:
        return len(self.store.records()[0].members)

    def test_theNodeOwnsTheAddressForALeaseAndDoesNotOfferIt(self) -> None:
        registry = self.one.registry
        self.assertEqual((registry.epochOf(PORT), registry.isHere(PORT), self.changed), (1, False, [PORT]))
        self.assertTrue(registry.mayServe(PORT), "others decide about that")
        self.pass_(LEASE - 1)
        self.assertEqual(self.owners(), 2)
        self.pass_(2)
        self.assertEqual((self.owners(), registry.epochOf(PORT)), (1, 0))
        self.assertEqual(self.one.has[PORT].user, NODES, "it is passed on as before")

    def test_theClientComesBackByItsKeyWithoutTheEngine(self) -> None:
        registry = self.one.registry
        self.one.engine.fault = "lost"
        grant = self.successResultOf(registry.resume(None, NAMELESS, self.key))
        assert grant is not None
        self.assertEqual((grant.address, grant.user, registry.isHere(PORT)), (PORT, NAMELESS, True))
        self.one.has[PORT] = grant
        self.one.engine.fault = ""
        self.pass_(LEASE + 1)
        self.assertEqual(self.owners(), 2, "the lease is over")

    def test_anotherKeyHasNoAccess(self) -> None:
        self.assertIsNone(self.successResultOf(self.one.registry.resume(None, NAMELESS, newToken())))

    def test_whatIsNotPassedOnAnyMoreIsNotOwned(self) -> None:
        self.one.release(PORT)
        self.pass_(1)
        self.assertEqual(self.owners(), 1)

    def test_whatIsLostIsNotServedAlsoIfItsTunnelCouldNotBeEnded(self) -> None:
        registry = self.two.registry
        self.assertTrue(registry.mayServe(PORT))
        registry.ended = lambda address: None
        registry.lost([PORT])
        self.assertFalse(registry.mayServe(PORT))
        self.assertTrue(registry.mayServe(PORT + 1), "nobody has it here")
        self.two.release(PORT)

    def test_aLaterEpochAtAnotherNodeEndsIt(self) -> None:
        self.one.registry.supersede(PORT, 2)
        self.assertEqual(self.one.registry.epochOf(PORT), 0)
        self.assertEqual(self.one.ended, [PORT])

    def test_anAddressOfNoMemberIsLentToo(self) -> None:
        three: FakeNode = self.node("three")
        self.pass_(3)
        three.has[PORT] = three.registry.lend(PORT, NODES)
        self.assertEqual((three.registry.epochOf(PORT), three.registry.isHere(PORT)), (0, False))
        self.successResultOf(three.claim(PORT, self.key))
        self.assertEqual((three.registry.epochOf(PORT), self.owners()), (1, 3))
