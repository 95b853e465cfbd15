"""Lanes between real servers and clients."""

from __future__ import annotations

import contextlib
import socket
import sys
import threading
import time

from bore.wire.lane import LONG, RAW_THRESHOLD
from tests.processes.case import count
from tests.processes.lanescase import BIG, DEBUG, LaneCase, lost, opened, used
from tests.promptness import within
from tests.support import PATIENCE, bore, digest, eventually, pattern, receiveAll

if sys.platform != "linux":
    from twisted.trial.unittest import SkipTest

    raise SkipTest("there are no lanes on this system")


class VisitorTests(LaneCase):
    """Visitors on lanes."""

    def test_oneAfterAnotherIsOnTheSameLane(self) -> None:
        port = self.startBoth()
        for n in range(1, 21):
            self.assertServed(port, 1)
            eventually(lambda: count(self.bore, " is gone: ") == n, "its lane is idle")  # noqa: B023
        self.assertLessEqual(len(set(self.assertUsed(20))), 2)
        self.assertEqual(count(self.bore, "is taken"), 0)
        self.assertLessEqual(opened(self.bore), 6)
        self.assertEqual(lost(self.bore), 0)
        self.assertNothingSaid()

    def test_manyAtOnceHaveALaneEach(self) -> None:
        port = self.startBoth()
        visitors = [self.visitor(port) for _ in range(100)]
        for n, visitor in enumerate(visitors):
            self.assertEchoes(visitor, b"visitor %d" % n)
        self.assertEqual(len(set(self.assertUsed(100))), 100)
        for visitor in visitors:
            visitor.close()
        # New visitors use the lanes of those that have left.
        eventually(lambda: count(self.bore, " is gone: ") == 100, "they are gone")
        before = opened(self.bore)
        for visitor in [self.visitor(port) for _ in range(100)]:
            self.assertEchoes(visitor)
        self.assertLessEqual(opened(self.bore), before + 4)
        self.assertNothingSaid()

    def test_whoSaysNothingIsServedByWhoSpeaksFirst(self) -> None:
        self.service.serve = lambda sock: sock.sendall(b"welcome")
        port = self.startBoth()
        for _ in range(3):
            self.assertEqual(receiveAll(self.visitor(port)), b"welcome")
        self.assertUsed(3)

    def test_withASecretTheyAreProvedOnce(self) -> None:
        port = self.startBoth("--secret", "hush, for a long time", server=("--secret", "hush, for a long time"))
        self.assertServed(port, 10)
        self.assertUsed(10)
        self.assertLessEqual(opened(self.bore), 6)
        self.assertNothingSaid()

    def test_lanesZeroIsTheBaseProtocol(self) -> None:
        port = self.startBoth("--lanes", "0")
        self.assertServed(port, 10)
        eventually(lambda: count(self.bore, "is taken") == 10, "all were accepted")
        self.assertEqual((used(self.bore), opened(self.bore)), ([], 0))
        self.assertNothingSaid()

    def test_theServersBoundOnIdleOnesIsKept(self) -> None:
        port = self.startBoth("--lanes", "2", server=("--max-lanes", "2"))
        for visitor in [self.visitor(port) for _ in range(20)]:
            self.assertEchoes(visitor)
            visitor.close()
        eventually(lambda: opened(self.bore) - lost(self.bore) <= 2, "only two are left")
        self.assertServed(port, 5)

    def test_aClientThatWantsMoreThanTheServerKeepsOpensWhatItKeeps(self) -> None:
        port = self.startBoth("--lanes", "6", server=("--max-lanes", "2"))
        self.haveLanes(2)
        time.sleep(2)  # for more than these
        self.assertEqual((opened(self.bore), lost(self.bore)), (2, 0))
        self.assertServed(port, 5)

    def test_aServiceThatIsNotThereIsToldToTheVisitorAndCostsNoLane(self) -> None:
        port = self.startBoth()
        self.service.close()
        for _ in range(10):
            self.assertTurnedAway(self.visitor(port))
        self.assertLessEqual(opened(self.bore), 6)
        self.assertEqual(lost(self.bore), 0)

    def test_aVisitorThatCutsIsCutAtTheServiceAndCostsNoLane(self) -> None:
        resets: list[type[BaseException]] = []
        done = threading.Semaphore(0)

        def serve(sock: socket.socket) -> None:
            sock.sendall(b"welcome")
            try:
                receiveAll(sock)
            except OSError as e:
                resets.append(type(e))
            done.release()

        self.service.serve = serve
        port = self.startBoth()
        for _ in range(5):
            visitor = self.visitor(port)
            self.assertHears(visitor, b"welcome")
            visitor.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            visitor.close()
            self.assertTrue(done.acquire(timeout=PATIENCE))
        self.assertEqual(resets, [ConnectionResetError] * 5)
        self.assertEqual(lost(self.bore), 0)

    def test_proxyProtocolHeadersAreOfTheVisitorOnTheLane(self) -> None:
        heard: list[bytes] = []
        self.service.serve = lambda sock: heard.append(receiveAll(sock))
        port = self.startBoth("--proxy-protocol", "v1")
        expected = []
        for n in range(5):
            source = f"127.77.3.{n + 1}"
            visitor = self.visitor(port, source=source)
            visitor.sendall(b"words %d" % n)
            visitor.shutdown(socket.SHUT_WR)
            number = visitor.getsockname()[1]
            self.assertEqual(receiveAll(visitor), b"")
            expected.append(b"PROXY TCP4 %s %s %d %d\r\nwords %d" % (
                source.encode(), self.host.encode(), number, port, n
            ))  # fmt: skip
        self.assertEqual(heard, expected)
        self.assertUsed(5)


class BulkTests(LaneCase):
    """Much, over lanes."""

    def test_aDownloadArrivesWhole(self) -> None:
        data = pattern(1, BIG)
        self.service.serve = lambda sock: sock.sendall(data)
        port = self.startBoth()
        for _ in range(2):
            self.assertEqual(digest(receiveAll(self.visitor(port))), digest(data))
        self.assertUsed(2)
        self.assertServedAfterwards(port)

    def test_anUploadArrivesWhole(self) -> None:
        data = pattern(2, BIG)
        self.service.serve = lambda sock: sock.sendall(digest(receiveAll(sock)).encode())
        port = self.startBoth()
        for _ in range(2):
            self.assertEqual(self.ask(port, data), digest(data).encode())
        self.assertUsed(2)
        self.assertServedAfterwards(port)

    def test_longUploadsCostNoLanes(self) -> None:
        upload = pattern(3, LONG + 10_000)

        def serve(sock: socket.socket) -> None:
            sock.sendall(b"go on")
            sock.shutdown(socket.SHUT_WR)
            with contextlib.closing(sock):
                uploads.append(receiveAll(sock))

        uploads: list[bytes] = []
        self.service.serve = serve
        port = self.startBoth()
        for n in range(1, 21):
            visitor = self.visitor(port)
            self.assertEqual(receiveAll(visitor), b"go on")
            visitor.sendall(upload)
            visitor.close()
            eventually(lambda: len(uploads) == n and count(self.bore, " is gone: ") == n, "the upload is there")  # noqa: B023
        self.assertEqual(uploads, [upload] * 20)
        self.assertLessEqual(len(set(used(self.bore))), 4)
        self.assertLessEqual(opened(self.bore), 6)
        self.assertEqual(lost(self.bore), 0)
        self.assertNothingSaid()

    def test_anUploadIsNotHeldUpUntilItIsAnswered(self) -> None:
        data = pattern(5, 1 << 20)

        def serve(sock: socket.socket) -> None:
            receiveAll(sock)

        self.service.serve = serve
        port = self.startBoth()
        for _ in range(2):
            with within(1):
                self.assertEqual(self.ask(port, data), b"")

    def test_bothWaysAtOnceArriveWhole(self) -> None:
        port = self.startBoth()
        for size in (RAW_THRESHOLD - 1, RAW_THRESHOLD, RAW_THRESHOLD + 1, BIG):
            data = pattern(size, size)
            visitor = self.visitor(port)
            sender = threading.Thread(target=lambda to, what: (to.sendall(what), to.shutdown(1)), args=(visitor, data))
            sender.start()
            self.assertEqual(digest(receiveAll(visitor)), digest(data))
            sender.join()
        self.assertNothingSaid()

    def test_aSlowReaderHoldsUpNobody(self) -> None:
        data = pattern(3, BIG)
        self.service.serve = lambda sock: sock.sendall(data) if sock.recv(1) == b"b" else sock.sendall(b"small")
        port = self.startBoth()
        slow = self.visitor(port)
        slow.sendall(b"b")
        time.sleep(0.5)
        for _ in range(5):
            visitor = self.visitor(port)
            visitor.sendall(b"s")
            self.assertEqual(receiveAll(visitor), b"small")
        self.assertEqual(digest(receiveAll(slow)), digest(data))

    def assertServedAfterwards(self, port: int) -> None:
        self.service.serve = lambda sock: sock.sendall(receiveAll(sock))
        self.assertServed(port, 5)
        self.assertNothingSaid()


class PortableTests(LaneCase):
    """BORE_RELAY=portable: a side that has no lanes."""

    def body(self, portable: bool) -> dict[str, str]:
        return {"BORE_RELAY": "portable"} if portable else {}

    def check(self, server: bool, client: bool) -> None:
        """Have visitors, with either side portable."""
        words = ("server", "--bind-addr", self.host, "--control-port", "0", *DEBUG)
        self.bore = self.start(bore(*words, environment=self.body(server)))
        to = f"{self.host}:{self.bore.port('listening on ')}"
        service = ("local", str(self.service.port), "-l", "127.0.0.1", "-t", to, *DEBUG)
        self.local = self.start(bore(*service, environment=self.body(client)))
        port = self.local.port("listening at ")
        self.assertServed(port, 5)
        for visitor in [self.visitor(port) for _ in range(20)]:
            self.assertEchoes(visitor)
        data = pattern(4, 4 << 20)
        self.assertEqual(digest(self.ask(port, data)), digest(data))
        self.assertEqual((used(self.bore), used(self.local), opened(self.bore)), ([], [], 0))
        self.assertNothingSaid()

    def test_aPortableServerHasNone(self) -> None:
        self.check(True, False)

    def test_aPortableClientHasNone(self) -> None:
        self.check(False, True)

    def test_neitherHaveTwoPortableOnes(self) -> None:
        self.check(True, True)
