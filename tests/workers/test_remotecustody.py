"""The custody of public addresses, as a worker sees it."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence

from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from bore.events.server import TunnelEnd
from bore.server.custody import Abandoned, Waiting, Wish
from bore.server.registry import Grant
from bore.server.users import User
from bore.streams.descriptorframes import LOST
from bore.users.ports import Ports
from bore.users.rights import Rights
from bore.wire import workermessages as wm
from bore.wire.errors import BindFailed, PortInUse, ShuttingDown
from bore.wire.publicaddress import PublicAddress
from bore.workers.remotecustody import RemoteCustody

_TOKEN = "0123456789abcdef"
_WISH = Wish(0, None, User("alice"), "192.0.2.1", True)


class _Holder:
    """The tunnels of the worker."""

    def __init__(self) -> None:
        self.calls: list[tuple[object, ...]] = []
        self.waiting: Deferred[Sequence[Waiting]] = Deferred()

    def doubtful(self, addresses: Sequence[PublicAddress]) -> Deferred[PublicAddress | None]:
        return succeed(addresses[-1] if addresses else None)

    def giveUp(self, grant: Grant) -> None:
        self.calls.append(("giveUp", grant.address, grant.epoch))

    def handOver(self, grant: Grant) -> Deferred[Sequence[Waiting]]:
        self.calls.append(("handOver", grant.address, grant.epoch))
        return self.waiting

    def close(self, grant: Grant, reason: TunnelEnd) -> None:
        self.calls.append(("close", grant.address, grant.epoch, reason))

    def expired(self, grant: Grant) -> None:
        self.calls.append(("expired", grant.address, grant.epoch))

    def visitorCame(self, grant: Grant, visitor: Waiting) -> None:
        self.calls.append(("visitorCame", grant.address, grant.epoch, *visitor[1:]))
        visitor.socket.close()


class Case(SynchronousTestCase):
    def setUp(self) -> None:
        self.before = len(os.listdir("/proc/self/fd"))
        self.sent: list[wm.WorkerMessage] = []
        self.custody = RemoteCustody(self._send)
        self.custody.holder = self.holder = _Holder()
        self.passed: list[int] = []

    def tearDown(self) -> None:
        self.custody.close()
        for each in self.passed:
            os.close(each)
        self.assertEqual(len(os.listdir("/proc/self/fd")), self.before, "descriptors are left open")

    def _send(self, message: wm.WorkerMessage, descriptors: Sequence[int]) -> None:
        self.sent.append(message)
        self.assertEqual(len(descriptors), wm.descriptorsOf(message))
        self.passed += descriptors

    def listening(self) -> int:
        """A descriptor of a listening socket."""
        with socket.create_server(("127.0.0.1", 0)) as sock:
            return os.dup(sock.fileno())

    def visitor(self, id: int, text: bytes) -> None:
        """A visitor comes from the supervisor."""
        with socket.socket() as sock:
            self.custody.waiting(wm.Waiting(id, ("192.0.2.9", 5), text, 0.5), [os.dup(sock.fileno())])


class Claims(Case):
    def test_aWishIsAClaim(self) -> None:
        rights = Rights(Ports(((1, 5), (8, 9))), Ports(((8, 8),)), 3)
        self.custody.open(Wish(8000, _TOKEN, User("alice"), "192.0.2.1", False, rights)).addErrback(lambda _: None)
        self.assertEqual(
            self.sent,
            [wm.Claim(1, 8000, _TOKEN, "alice", "192.0.2.1", False, wm.ClaimRights(((1, 5), (8, 9)), ((8, 8),), 3))],
        )

    def test_granted(self) -> None:
        answer = self.custody.open(_WISH)
        self.visitor(1, b"GET /")
        self.visitor(1, b"GET /2")
        self.assertNoResult(answer)
        self.custody.granted(wm.Granted(1, 8000, "alice", _TOKEN, 7, False, True), [self.listening()])
        opened = self.successResultOf(answer)
        self.assertEqual((opened.grant, opened.resumed), (Grant(8000, User("alice"), _TOKEN, 7), True))
        assert opened.place is not None
        self.assertEqual(opened.place.address, 8000)
        self.assertTrue(opened.place.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
        self.assertFalse(opened.place.socket.getblocking())
        self.assertEqual((opened.waiting[0].early, opened.waiting[0].age), (b"GET /", 0.5))
        self.assertEqual([each.early for each in opened.waiting], [b"GET /", b"GET /2"])
        for each in opened.waiting:
            each.socket.close()
        opened.place.leave()
        opened.place.socket.close()
        self.custody.release(opened.grant)
        self.assertEqual(self.sent[1:], [wm.Release(8000, 7)])

    def test_grantedHere(self) -> None:
        answer = self.custody.open(_WISH)
        self.custody.granted(wm.Granted(1, 8000, "alice", _TOKEN, 7, True, True), [])
        self.assertIsNone(self.successResultOf(answer).place)

    def test_withoutADescriptorForTheSocketItIsGivenBack(self) -> None:
        answer = self.custody.open(_WISH)
        self.visitor(1, b"")
        self.custody.granted(wm.Granted(1, 8000, "alice", _TOKEN, 7, False, True), [LOST])
        self.failureResultOf(answer, BindFailed)
        self.assertEqual(self.sent[1:], [wm.Release(8000, 7)])

    def test_aVisitorThatIsLostOnTheWay(self) -> None:
        answer = self.custody.open(_WISH)
        self.custody.waiting(wm.Waiting(1, (), b"", 0.5), [LOST])
        self.custody.granted(wm.Granted(1, 8000, "alice", _TOKEN, 7, True, True), [])
        self.assertEqual(self.successResultOf(answer).waiting, [])

    def test_refused(self) -> None:
        answer = self.custody.open(_WISH)
        self.custody.refused(wm.Refused(1, PortInUse.code, "port 8000 is in use", True, (1, 9)))
        refusal = self.failureResultOf(answer, PortInUse).value
        self.assertEqual((str(refusal), refusal.retry, refusal.range), ("port 8000 is in use", True, (1, 9)))

    def test_abandoned(self) -> None:
        answer = self.custody.open(_WISH)
        self.custody.abandon(_WISH)
        self.assertEqual(self.sent[1:], [wm.Abandon(1)])
        self.custody.refused(wm.Refused(1, "abandoned", "", True, None))
        self.failureResultOf(answer, Abandoned)
        self.custody.abandon(_WISH)
        self.assertEqual(len(self.sent), 2, "it was answered")

    def test_eachAnswerIsForItsWish(self) -> None:
        first, second = self.custody.open(_WISH), self.custody.open(_WISH)
        self.custody.granted(wm.Granted(2, 8000, "alice", _TOKEN, 7, True, True), [])
        self.assertNoResult(first)
        self.successResultOf(second)
        self.custody.refused(wm.Refused(1, PortInUse.code, "", True, None))
        self.failureResultOf(first, PortInUse)

    def test_whenTheWorkerEndsNobodyWaits(self) -> None:
        answer = self.custody.open(_WISH)
        self.visitor(1, b"")
        self.custody.close()
        self.failureResultOf(answer, ShuttingDown)
        self.failureResultOf(self.custody.open(_WISH), ShuttingDown)
        self.visitor(1, b"")
        self.custody.granted(wm.Granted(1, 8000, "alice", _TOKEN, 7, False, True), [self.listening()])
        self.custody.refused(wm.Refused(1, PortInUse.code, "", True, None))
        self.assertEqual(self.sent[1:], [wm.Release(8000, 7)])

    def test_rightsThatFitNoMessage(self) -> None:
        rights = Rights(Ports(tuple((each, each) for each in range(1, 60_000, 2))))
        custody = RemoteCustody(
            lambda message, descriptors: self.sent.append(wm.decodeWorkerMessage(wm.encode(message)))
        )
        self.failureResultOf(custody.open(Wish(0, None, User("a"), "", True, rights)), BindFailed)

    def test_theOtherCalls(self) -> None:
        grant = Grant(8000, User("alice"), _TOKEN, 7)
        self.custody.confirm(grant)
        self.custody.renew(grant)
        self.custody.release(grant)
        self.assertEqual(self.sent, [wm.Confirm(8000, 7), wm.Renew(8000, 7), wm.Release(8000, 7)])


class Questions(Case):
    def test_whoMayBeGone(self) -> None:
        self.custody.examine(wm.Examine(3, (8000, 8001)))
        self.custody.examine(wm.Examine(4, ()))
        self.assertEqual(self.sent, [wm.Doubtful(3, 8001), wm.Doubtful(4, None)])

    def test_aTunnelIsHandedOverWithThoseThatWait(self) -> None:
        answer = self.custody.open(_WISH)
        self.custody.granted(wm.Granted(1, 8000, "alice", _TOKEN, 7, False, False), [self.listening()])
        place = self.successResultOf(answer).place
        assert place is not None
        self.custody.handOver(wm.HandOver(5, 8000, 8))
        self.assertEqual(self.holder.calls, [("handOver", 8000, 8)])
        self.assertEqual(len(self.sent), 1, "the visitors come first")
        sockets = [socket.socket(), socket.socket()]
        self.holder.waiting.callback([Waiting(each, ("192.0.2.9", 5), b"x", 0.25) for each in sockets])
        self.assertEqual(self.sent[1:3], [wm.Waiting(5, ("192.0.2.9", 5), b"x", 0.25)] * 2)
        self.assertEqual(self.sent[3:], [wm.HandedOver(5)])
        self.assertEqual(place.socket.fileno(), -1, "its copy of the listening socket is closed")
        self.assertEqual([each.fileno() for each in sockets], [-1, -1], "they belong to the channel")

    def test_aTunnelThatCouldNotBeHandedOver(self) -> None:
        self.custody.handOver(wm.HandOver(5, 8000, 8))
        self.holder.waiting.errback(ZeroDivisionError())
        self.assertEqual(self.sent, [wm.HandedOver(5)])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_tunnelsThatEnd(self) -> None:
        self.custody.giveUp(wm.GiveUp(8000, 1))
        self.custody.closeTunnel(wm.CloseTunnel(8000, 2, "KICKED"))
        self.custody.closeTunnel(wm.CloseTunnel(8000, 2, "A_REASON_OF_ANOTHER_VERSION"))
        self.custody.expired(wm.Expired(8000, 3))
        self.assertEqual(
            self.holder.calls,
            [
                ("giveUp", 8000, 1),
                ("close", 8000, 2, TunnelEnd.KICKED),
                ("close", 8000, 2, TunnelEnd.OTHER_PORT),
                ("expired", 8000, 3),
            ],
        )


class Late(Case):
    def test_aVisitorOfATunnelThatHasMovedFollowsIt(self) -> None:
        ours, its = socket.socketpair()
        self.custody.forward(Grant(8000, User("alice"), _TOKEN, 7), Waiting(its, ("192.0.2.7", 4711), b"GET /", 2.5))
        self.assertEqual(self.sent, [wm.Late(8000, 7, ("192.0.2.7", 4711), b"GET /", 2.5)])
        self.assertEqual(len(self.passed), 1)
        ours.close()

    def test_aVisitorComesBehindItsTunnel(self) -> None:
        ours, its = socket.socketpair()
        self.custody.late(wm.Late(8000, 8, ("192.0.2.7", 4711), b"GET /", 2.5), [its.detach()])
        self.custody.late(wm.Late(8000, 8, ("192.0.2.7", 4711), b"GET /", 2.5), [LOST])
        self.assertEqual(self.holder.calls, [("visitorCame", 8000, 8, ("192.0.2.7", 4711), b"GET /", 2.5)])
        self.assertEqual(ours.recv(1), b"")
        ours.close()
