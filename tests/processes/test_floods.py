"""One client's flood does not hold up the others."""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import ssl
import statistics
import threading
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from bore.tls.contexts import clientContext as ourContext
from bore.tls.tlssocket import TlsSocket
from bore.wire.lane import DATA, HEADER
from tests.processes.case import ProcessCase
from tests.processes.tlscase import TlsCase, clientContext
from tests.support import PATIENCE, Program, connect, eventually, receiveExactly, slowness
from tests.tls.rekeying import Rekeying

#: A visit takes milliseconds, and before floods were bounded it took a quarter of a second and more. Machines are slow
#: at times.
BOUND = 0.15


class _Attacker:
    """A client that speaks the extension, and does what it likes with it."""

    def __init__(self, host: str, control: int) -> None:
        self._host = host
        self._address = (host, control)
        self.sockets: list[socket.socket] = []
        self.control = self.connect(control)
        self.control.sendall(b'{"Hello":0} \0')
        self.lane = self._frame()["Extended"]["lane"]
        self.control.sendall(b'{"Open":{"tunnel":1,"port":0,"resume":null}}\0')
        self.port = self._frame()["Opened"]["port"]

    def connect(self, port: int) -> socket.socket:
        sock = connect(self._host, port)
        self.sockets.append(sock)
        return sock

    def _frame(self) -> dict[str, dict[str, object]]:
        frame = b""
        while not frame.endswith(b"\0"):
            frame += receiveExactly(self.control, 1)
        return dict(json.loads(frame[:-1]))

    def openLane(self) -> socket.socket:
        """A lane with a visitor on it, who reads all that comes."""
        lane = self.connect(self._address[1])
        lane.sendall(b'{"Lane":"%s"}\0' % str(self.lane).encode())
        self.connect(int(str(self.port))).sendall(b"x")
        assert receiveExactly(lane, 1) == b"\1", "a visitor is on the lane"
        return lane

    def close(self) -> None:
        for sock in self.sockets:
            sock.close()


class _FloodCase(TlsCase):
    """Visits of one client's tunnel, while others do what they like."""

    port: int
    victim: Program

    def visits(self, count: int) -> float:
        """The median time of a visit, in seconds; none may be lost."""
        times = []
        for _ in range(count):
            begin = time.monotonic()
            self.assertServes(self.port)
            times.append(time.monotonic() - begin)
        return statistics.median(times)

    def assertHeldUpLittle(self, bound: float = BOUND) -> None:
        """Visits take little time; the machine may have had something else to do just then, and is asked again."""

        def areQuick() -> bool:
            took = self.visits(15)
            return took < bound or took < bound * slowness()

        eventually(areQuick, "visits are quick")
        self.assertNotIn("lost", "\n".join(self.victim.err))


class FloodTests(_FloodCase):
    """Clients that send more than a server can process."""

    def setUp(self) -> None:
        super().setUp()
        self.program, self.controlPort = self.server()
        self.victim, self.port = self.client(self.controlPort)

    def attacker(self) -> _Attacker:
        attacker = _Attacker(self.host, self.controlPort)
        self.addCleanup(attacker.close)
        return attacker

    @contextlib.contextmanager
    def flooding(self, flooded: list[socket.socket], chunk: bytes, drained: list[socket.socket]) -> Iterator[None]:
        """Write the same again and again, wherever it is taken, and read what comes elsewhere."""
        stop = threading.Event()

        def flood() -> None:
            poll = select.poll()
            sockets = {sock.fileno(): sock for sock in (*flooded, *drained)}
            unsent = dict.fromkeys(sockets, b"")
            for sock in sockets.values():
                sock.setblocking(False)
                poll.register(sock, select.POLLIN if sock in drained else select.POLLIN | select.POLLOUT)
            while not stop.is_set():
                for fd, event in poll.poll(100):
                    try:
                        if event & select.POLLOUT:
                            rest = unsent[fd] or chunk
                            unsent[fd] = rest[sockets[fd].send(rest) :]
                        elif not sockets[fd].recv(1 << 18):
                            poll.unregister(fd)
                    except BlockingIOError:
                        pass
                    except OSError:
                        poll.unregister(fd)

        thread = threading.Thread(target=flood, daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join(PATIENCE)

    def test_byAnswersThatNobodyHasAskedFor(self) -> None:
        attackers = [self.attacker() for _ in range(10)]
        with self.flooding([attacker.control for attacker in attackers], b'"Alive"\0' * 32768, []):
            self.assertHeldUpLittle()

    def test_byTinyFramesOnLanes(self) -> None:
        attacker = self.attacker()
        lanes = [attacker.openLane() for _ in range(150)]
        visitors = [sock for sock in attacker.sockets if sock not in lanes and sock is not attacker.control]
        with self.flooding(lanes, (HEADER.pack(DATA, 1) + b"x") * 8192, visitors):
            self.assertHeldUpLittle()

    def test_byControlConnectionsOfWhichNothingIsRead(self) -> None:
        connections = [connect(self.host, self.controlPort) for _ in range(30)]
        for sock in connections:
            self.addCleanup(sock.close)
            sock.sendall(b'{"Hello":0}\0')
            self.assertEqual(receiveExactly(sock, 8), b'{"Hello"')
        with self.flooding(connections, bytes(1 << 16), []):
            self.assertHeldUpLittle()


class TlsFloodTests(_FloodCase):
    """Clients that have proved nothing, on a port that speaks TLS."""

    def setUp(self) -> None:
        super().setUp()
        self.program, self.controlPort = self.tlsServer("--secret", "correct horse battery staple")
        self.victim, self.port = self.tlsClient(self.controlPort, "--secret", "correct horse battery staple")

    def cpu(self) -> float:
        """The processor time that the server has used, in seconds (Linux)."""
        fields = Path(f"/proc/{self.program.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def test_byHandshakesThatAreNotGoneOnWith(self) -> None:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        with contextlib.suppress(ssl.SSLWantReadError):
            clientContext("bore/1").wrap_bio(incoming, outgoing).do_handshake()
        hello = outgoing.read()
        stop = threading.Event()

        def flood() -> None:
            connections: deque[socket.socket] = deque()
            while not stop.is_set():
                with contextlib.suppress(OSError):
                    connections.append(connect(self.host, self.controlPort))
                    connections[-1].sendall(hello)
                if len(connections) > 200:
                    connections.popleft().close()
            for sock in connections:
                sock.close()

        thread = threading.Thread(target=flood, daemon=True)
        thread.start()
        try:
            time.sleep(0.5)
            self.assertHeldUpLittle(BOUND / 3)
        finally:
            stop.set()
            thread.join(PATIENCE)

    def test_byRequestsForNewKeysOfWhichNoAnswerIsRead(self) -> None:
        """They keep neither the processor busy, nor their connections for longer than all that have proved nothing."""
        attackers = []
        for _ in range(5):
            sock = socket.socket()
            self.addCleanup(sock.close)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)
            sock.connect((self.host, self.controlPort))
            sock.setblocking(False)
            context = ourContext(())
            rekeying, tls = Rekeying(context, "CLIENT"), TlsSocket(sock, context, "")
            self.addCleanup(tls.close)
            eventually(tls.handshake, "the handshake is complete")
            attackers.append((rekeying, tls))
        gone = 0
        begin = time.monotonic()
        while gone < len(attackers):
            gone = 0
            for rekeying, tls in attackers:
                try:
                    rekeying.request(tls, 100)
                except OSError:
                    gone += 1
            self.assertLess(time.monotonic() - begin, PATIENCE, "their time is over")
        self.assertHeldUpLittle()
        before = self.cpu()
        time.sleep(1)
        self.assertLess(self.cpu() - before, 0.5)


class HostileServerTests(ProcessCase):
    """A server that sends Heartbeats without end."""

    def flooded(self, reads: float) -> Program:
        """
        A client of such a server.

        :param reads: how often the server reads, in seconds; 0: all the time.
        """
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        listener.bind((self.host, 0))
        listener.listen()
        self.addCleanup(listener.close)
        stop = threading.Event()
        self.addCleanup(stop.set)

        def read(sock: socket.socket) -> None:
            with contextlib.suppress(OSError):
                while not stop.wait(reads) and sock.recv(1 << 16):
                    pass

        def serve() -> None:
            with contextlib.suppress(OSError):
                sock, _ = listener.accept()
                self.addCleanup(sock.close)
                sock.recv(1000)
                sock.sendall(b'{"Extended":{"version":1}}\0')
                sock.recv(1000)
                sock.sendall(b'{"Opened":{"tunnel":1,"port":1234,"resume":null,"lease":0,"lane":null}}\0')
                threading.Thread(target=read, args=(sock,), daemon=True).start()
                while not stop.is_set():
                    sock.sendall(b'"Heartbeat"\0' * 5000)

        threading.Thread(target=serve, daemon=True).start()
        client = self.launch(f"{self.host}:{listener.getsockname()[1]}")
        client.waitFor("listening at")
        return client

    def memory(self, program: Program) -> int:
        """What a program has in memory, in KiB (Linux)."""
        [line] = [line for line in Path(f"/proc/{program.pid}/status").read_text().splitlines() if "VmRSS" in line]
        return int(line.split()[1])

    def test_isNotAllThatItsClientCaresFor(self) -> None:
        client = self.flooded(0)
        before = self.memory(client)
        time.sleep(2)
        self.assertLess(self.memory(client) - before, 1 << 13)
        client.process.terminate()
        self.assertEqual(client.wait(), 0)

    def test_isGivenUpIfItDoesNotRead(self) -> None:
        client = self.flooded(2)
        before = self.memory(client)
        client.waitFor("it does not read its control connection", 3 * PATIENCE)
        self.assertLess(self.memory(client) - before, 1 << 13)
