"""What goes wrong between client and server in the middle of TLS."""

from __future__ import annotations

import socket
import sys
import threading

from tests.forwarder import CLOSE_NOTIFY, GARBAGE, Forwarder, Passage
from tests.processes.case import count
from tests.processes.tlscase import TlsCase
from tests.support import PATIENCE, echo, eventually, pattern, receiveAll, receiveExactly

#: More than a lane carries in frames.
BULK = 1 << 20

#: Less than that, and more than a handshake.
FEW = 20_000

LANES = ("0", "4") if sys.platform == "linux" else ("0",)


class DamageCase(TlsCase):
    """A server, a client, and a way between them that can do harm."""

    def setUp(self) -> None:
        super().setUp()
        self.bore, control = self.tlsServer("--log-level", "debug")
        self.way = Forwarder(self.host, 0, (self.host, control))
        self.addCleanup(self.way.close)

    def tunnel(self, lanes: str) -> int:
        """Start a client with that many lanes; return its public port."""
        known = len(self.way.passages)
        self.local, port = self.tlsClient(self.way.port, "--lanes", lanes, "--no-state")
        self.way.settle(known + 1 + int(lanes))
        self.control = self.way.passages[known]
        return port

    def served(self, port: int) -> tuple[socket.socket, Passage]:
        """A visitor that is being served, and the connection that brings it."""
        before = self.way.counts()
        visitor = self.visitor(port)
        self.assertEchoes(visitor, b"something to tell the connection by" * 100)
        return visitor, self.way.busiest(before)

    def assertCut(self, sock: socket.socket) -> None:
        """A stream ends by a reset, whatever may come before it, and not in order."""
        with self.assertRaises(ConnectionResetError):
            while sock.recv(1 << 16):
                pass
            self.fail("an end in order")


class GarbageTests(DamageCase):
    """Bytes that neither side has sent."""

    def test_inAConnectionWithAVisitorTheyCostThatVisitorAndNobodyElse(self) -> None:
        for lanes in LANES:
            port = self.tunnel(lanes)
            other, _ = self.served(port)
            for toServer in (True, False):
                with self.subTest(lanes=lanes, toServer=toServer):
                    visitor, passage = self.served(port)
                    self.assertIsNot(passage, self.control)
                    passage.insert(GARBAGE, toServer)
                    self.assertCut(visitor)
                    eventually(lambda passage=passage: passage.isOver, "the connection is closed")  # type: ignore[misc]
                    self.assertServes(port)
                    self.assertEchoes(other)
            self.assertEqual((count(self.local, "lost "), self.control.isOver), (0, False))
            self.assertNoTraceback(self.local, self.bore)
            self.local.kill()

    def test_anEndThatWasNotSaidInsideTlsIsNoEndInOrder(self) -> None:
        endings: list[str] = []

        def serve(sock: socket.socket) -> None:
            try:
                echo(sock)
                endings.append("in order")
            except ConnectionResetError:
                endings.append("reset")

        for lanes in LANES:
            port = self.tunnel(lanes)
            for toServer in (True, False):
                with self.subTest(lanes=lanes, toServer=toServer):
                    self.service.serve = serve
                    endings.clear()
                    visitor, passage = self.served(port)
                    passage.insert(CLOSE_NOTIFY, toServer)
                    self.assertCut(visitor)
                    eventually(lambda: bool(endings), "the service knows")
                    self.assertEqual(endings, ["reset"])
            self.local.kill()

    def test_inTheControlConnectionTheyCostItAndTheSessionIsTakenUpAgain(self) -> None:
        port = self.tunnel(LANES[-1])
        visitor, _ = self.served(port)
        for number, toServer in enumerate((True, False)):
            with self.subTest(toServer=toServer):
                self.control.insert(GARBAGE, toServer)
                self.local.waitFor("lost ", after=number)
                self.bore.waitFor(f"port {port}: ", after=2 * number)
                eventually(lambda: count(self.bore, "is back") == number + 1, "the session is back")  # noqa: B023
                self.assertEchoes(visitor)
                self.assertServes(port)
                self.control = self.way.heartbeats()
        self.assertEqual(count(self.local, "the public address changed"), 0)
        self.assertNoTraceback(self.local, self.bore)


class TruncationTests(DamageCase):
    """A connection that an attacker in between ends by FIN, as if it were complete."""

    def setUp(self) -> None:
        super().setUp()
        self.endings: list[str] = []
        self.cut = threading.Event()
        self.service.serve = self._give

    def _give(self, sock: socket.socket) -> None:
        """Send as much as is asked for, and write down how the visitor's words end."""
        size = int.from_bytes(sock.recv(4), "big")
        try:
            sock.sendall(pattern(size, size))
        except (ConnectionResetError, BrokenPipeError):
            self.endings.append("reset")
        else:
            self._hear(sock)

    def test_isAResetForVisitorAndServiceWhateverWasMovedBefore(self) -> None:
        for lanes in LANES:
            port = self.tunnel(lanes)
            for size in (FEW, BULK):
                with self.subTest(lanes=lanes, size=size):
                    self.endings.clear()
                    before = self.way.counts()
                    visitor = self.visitor(port)
                    visitor.sendall(size.to_bytes(4, "big"))
                    self.assertHears(visitor, pattern(size, size))
                    self.way.busiest(before).end()
                    self.assertCut(visitor)
                    eventually(lambda: bool(self.endings), "the service knows")
                    self.assertEqual(self.endings, ["reset"])
            self.local.kill()

    def test_isAResetForTheDirectionThatIsStillOpen(self) -> None:
        for lanes in LANES:
            port = self.tunnel(lanes)
            for size in (FEW, BULK):
                with self.subTest(lanes=lanes, size=size, ended="by the visitor"):
                    self.service.serve = self._giveToWhoHasEnded
                    before = self.way.counts()
                    visitor = self.visitor(port)
                    visitor.sendall(size.to_bytes(4, "big"))
                    visitor.shutdown(socket.SHUT_WR)
                    self.assertHears(visitor, pattern(size, size))
                    self.way.busiest(before).end()
                    self.assertCut(visitor)
                    self.cut.set()
                with self.subTest(lanes=lanes, size=size, ended="by the service"):
                    self.service.serve = self._endFirst
                    self.endings.clear()
                    before = self.way.counts()
                    visitor = self.visitor(port)
                    visitor.sendall(pattern(size, size))
                    self.assertEqual(visitor.recv(1), b"")
                    eventually(lambda: sum(self.way.counts()) - sum(before) > size, "it is there")  # noqa: B023
                    self.way.busiest(before).end()
                    eventually(lambda: bool(self.endings), "the service knows")
                    self.assertEqual(self.endings, ["reset"])
            self.local.kill()

    def _giveToWhoHasEnded(self, sock: socket.socket) -> None:
        """Send as much as is asked for, and leave it open."""
        size = int.from_bytes(receiveAll(sock), "big")
        self.cut.clear()
        sock.sendall(pattern(size, size))
        self.cut.wait(PATIENCE)

    def _endFirst(self, sock: socket.socket) -> None:
        """A service that sends nothing, and records how the visitor's stream ends."""
        sock.shutdown(socket.SHUT_WR)
        self._hear(sock)

    def _hear(self, sock: socket.socket) -> None:
        try:
            while sock.recv(1 << 16):
                pass
            self.endings.append("in order")
        except ConnectionResetError:
            self.endings.append("reset")

    def test_inTheMiddleOfADownloadIsAReset(self) -> None:
        size = 16 * BULK
        for lanes in LANES:
            port = self.tunnel(lanes)
            with self.subTest(lanes=lanes):
                self.endings.clear()
                before = self.way.counts()
                visitor = self.visitor(port)
                visitor.sendall(size.to_bytes(4, "big"))
                self.assertEqual(len(receiveExactly(visitor, BULK)), BULK)
                self.way.busiest(before).end()
                self.assertCut(visitor)
                eventually(lambda: bool(self.endings), "the service knows")
                self.assertEqual(self.endings, ["reset"])
            self.local.kill()

    def test_ofAnUploadIsNeverAnEndInOrder(self) -> None:
        endings: list[tuple[int, str]] = []

        def take(sock: socket.socket) -> None:
            taken = 0
            try:
                while data := sock.recv(1 << 16):
                    taken += len(data)
                endings.append((taken, "in order"))
            except ConnectionResetError:
                endings.append((taken, "reset"))

        self.service.serve = take
        for lanes in LANES:
            port = self.tunnel(lanes)
            for size in (FEW, BULK):
                with self.subTest(lanes=lanes, size=size):
                    endings.clear()
                    before = self.way.counts()
                    visitor = self.visitor(port)
                    visitor.sendall(pattern(size, size))
                    eventually(
                        lambda: sum(self.way.counts()) - sum(before) > size,  # noqa: B023
                        "it is on its way",
                    )
                    self.way.busiest(before).end()
                    eventually(lambda: bool(endings), "the service knows")
                    self.assertEqual(endings[0][1], "reset")
                    self.assertCut(visitor)
            self.local.kill()

    def test_ofTheControlConnectionCostsItAndTheSessionIsTakenUpAgain(self) -> None:
        self.service.serve = echo
        port = self.tunnel(LANES[-1])
        visitor, _ = self.served(port)
        self.control.end()
        self.local.waitFor("lost ")
        eventually(lambda: count(self.bore, "is back") == 1, "the session is back")
        self.assertEchoes(visitor)
        self.assertServes(port)
