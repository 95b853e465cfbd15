"""Tunnels whose public address is a Unix socket of the server."""

from __future__ import annotations

import contextlib
import signal
import socket
import threading
from pathlib import Path

from bore.streams.socketoptions import closeWithReset
from bore.wire.publicaddress import UnixPath
from tests.original import CONTROL_PORT, original
from tests.ports import freePort
from tests.processes.case import ProcessCase
from tests.processes.unixcase import UnixCase, answerHttp
from tests.support import (
    PATIENCE,
    LocalService,
    Program,
    bore,
    connect,
    eventually,
    pattern,
    receiveAll,
    temporaryFolder,
)


class VisitorsTests(UnixCase):
    """Who visits is served as at a port."""

    def test_onLanesWithoutAndPortable(self) -> None:
        question = pattern(7, 3_000_000)
        for words, relay in (((), ""), (("--lanes", "0"), ""), ((), "portable")):
            client = self.tunnel(*words, relay=relay)
            for _ in range(3):
                self.assertServes(self.web)
            self.assertEqual(self.ask(self.web, question), question)
            with connect(self.host, self.web) as visitor:
                self.assertEchoes(visitor)
            client.process.terminate()
            self.assertEqual(client.wait(), 0)
            eventually(lambda: not self.files(), "the file is gone")
        self.assertComplains(self.up)

    def test_aServerWithPortableRelayServesThem(self) -> None:
        folder = temporaryFolder(self)
        words = ("server", "--bind-addr", self.host, "--control-port", "0", "--unix-folder", str(folder))
        self.control = self.start(bore(*words, environment={"BORE_RELAY": "portable"})).port("listening on ")
        self.web = UnixPath(str(folder / "web.sock"))
        self.tunnel()
        question = pattern(9, 1_000_000)
        self.assertEqual(self.ask(self.web, question), question)

    def test_aStreamThatIsCutOnEitherSideEndsOnTheOther(self) -> None:
        ended = threading.Semaphore(0)

        def cut(sock: socket.socket) -> None:
            if sock.recv(1) == b"1":
                sock.sendall(bytes(100_000))
                closeWithReset(sock)
            else:
                with contextlib.suppress(OSError):
                    while sock.recv(1 << 16):
                        pass
                ended.release()

        service = LocalService(cut)
        self.addCleanup(service.close)
        for words in ((), ("--lanes", "0")):
            client = self.tunnel(*words, port=service.port)
            with connect(self.host, self.web) as visitor:
                visitor.sendall(b"1")
                with contextlib.suppress(ConnectionResetError):
                    self.assertLessEqual(len(receiveAll(visitor)), 100_000)
            visitor = connect(self.host, self.web)
            visitor.sendall(b"2" * 100_000)
            visitor.close()
            self.assertTrue(ended.acquire(timeout=PATIENCE))
            client.process.terminate()
            client.wait()

    def test_aLocalUnixSocketToo(self) -> None:
        path = temporaryFolder(self) / "app.sock"
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(path))
        listener.listen()
        service = LocalService(answerHttp, listener=listener)
        self.addCleanup(service.close)
        to = f"{self.host}:{self.control}"
        client = self.start(bore("local", f"unix:{path}", "-p", str(self.web), "-t", to))
        client.waitFor(f"listening at {self.web}")
        with connect(self.host, self.web) as visitor:
            visitor.sendall(b"GET /page HTTP/1.0\r\n\r\n")
            self.assertTrue(receiveAll(visitor).endswith(b"\r\n\r\n/page"))

    def test_insideTls(self) -> None:
        folder, home = temporaryFolder(self), temporaryFolder(self)
        self.web = UnixPath(str(folder / "web.sock"))
        words = ("server", "--bind-addr", self.host, "--control-port", "0", "--tls", "--unix-folder", str(folder))
        control = self.start(bore(*words, environment={"XDG_STATE_HOME": str(home)})).port("listening on ")
        local, to = f"{self.service.port}:{self.web}", f"tls://{self.host}:{control}"
        client = self.start(bore("local", local, "-l", "127.0.0.1", "-t", to))
        client.waitFor(f"listening at {self.web}")
        self.assertServes(self.web)

    def test_whatHasToBeAPortIsSaid(self) -> None:
        local, to = f"{self.service.port}:unix:/elsewhere/web.sock", f"{self.host}:{self.control}"
        client = self.start(bore("local", local, "-t", to, "--no-reconnect"))
        client.waitFor("is not in the folder of this server for Unix sockets")
        self.assertEqual(client.wait(), 1)
        _, self.control = self.server()
        client = self.start(bore("local", local, "-t", f"{self.host}:{self.control}", "--no-reconnect"))
        client.waitFor("this server opens no Unix sockets: start it with --unix-folder to allow them")
        self.assertEqual(client.wait(), 1)


class LossTests(UnixCase):
    """What becomes of the file when a process is lost."""

    def test_aServerThatWasKilledLeavesAFileThatTheNextOneReplaces(self) -> None:
        client = self.tunnel()
        self.up.process.kill()
        self.up.wait()
        self.assertEqual(self.files(), ["web.sock"])
        self.server("--unix-folder", str(self.folder), port=self.control)
        client.waitFor(f"listening at {self.web}", after=1)
        self.assertServes(self.web)

    def test_aServerThatIsStoppedLeavesNone(self) -> None:
        self.tunnel()
        self.up.process.terminate()
        self.assertEqual(self.up.wait(), 0)
        self.assertEqual(self.files(), [])

    def test_visitorsWaitForALostClient(self) -> None:
        home = temporaryFolder(self)
        client = self.tunnel(home=home)
        client.process.kill()
        self.up.waitFor(f"{self.web}: ")
        self.up.waitFor("is gone, kept for 60 s")
        with connect(self.host, self.web) as visitor:
            visitor.sendall(b"hello")
            self.tunnel(home=home)
            self.up.waitFor("is back")
            self.assertHears(visitor, b"hello")
        self.assertServes(self.web)

    def test_twoServersThatStartAtOnceDoNotTakeEachOthersFile(self) -> None:
        client = self.tunnel()
        client.process.kill()
        self.up.process.kill()
        self.up.wait()
        client.wait()
        servers = [self.server("--unix-folder", str(self.folder)) for _ in range(2)]
        local = f"{self.service.port}:{self.web}"
        clients = [
            self.start(bore("local", local, "-l", "127.0.0.1", "-t", f"{self.host}:{control}", "--no-reconnect"))
            for _, control in servers
        ]
        for each in clients:
            eventually(
                lambda each=each: bool(each.out) or each.process.poll() is not None,  # type: ignore[misc]
                "each is up, or refused",
            )
        self.assertEqual(sum(bool(each.out) for each in clients), 1, [each.transcript() for each in clients])
        self.assertServes(self.web)


class ReloadTests(UnixCase):
    """A client's file in which a tunnel moves."""

    def test_fromAPortToASocketAndBack(self) -> None:
        port = freePort(self.host)
        path = self.write(port)
        client = self.start(bore("up", str(path)))
        client.waitFor(f"listening at {self.host}:{port}")
        with connect(self.host, port) as visitor:
            self.assertEchoes(visitor)
            self.write(f'"{self.web}"')
            client.process.send_signal(signal.SIGHUP)
            client.waitFor(f"listening at {self.web}")
            self.assertServes(self.web)
            self.assertFree(port)
            self.assertEchoes(visitor, b"and still here")
        with connect(self.host, self.web) as visitor:
            self.assertEchoes(visitor)
            self.write(0)
            client.process.send_signal(signal.SIGHUP)
            again = client.port(f"listening at {self.host}:", after=1)
            self.assertServes(again)
            eventually(lambda: not self.files(), "the file is gone")
            self.assertEchoes(visitor, b"and still here")

    def write(self, port: object) -> Path:
        path = self.folder.parent / f"{self.folder.name}.toml"
        self.addCleanup(path.unlink, missing_ok=True)
        table = f"[tunnel.web]\nlocal = {self.service.port}\nport = {port}\n"
        path.write_text(f'server = "{self.host}:{self.control}"\nlocal-host = "127.0.0.1"\n{table}')
        return path


class OriginalTests(ProcessCase):
    """An original server, which opens ports only."""

    def test_theClientSaysWhatIsMissing(self) -> None:
        server = self.start(Program([original(), "server", "--bind-addr", self.host]))
        server.waitFor("server listening")
        client = self.start(bore("local", "80:unix:/run/a", "-t", f"{self.host}:{CONTROL_PORT}"))
        self.assertEqual(client.wait(), 1)
        client.waitFor("'80:unix:/run/a': this server does not open Unix sockets, as it does not know the extension")
        self.assertFalse([line for line in server.out if "new client" in line], server.transcript())

    def test_otherTunnelsOfTheClientAreServed(self) -> None:
        server = self.start(Program([original(), "server", "--bind-addr", self.host]))
        server.waitFor("server listening")
        words = ("80:unix:/run/a", str(self.service.port))
        client = self.start(bore("local", *words, "-l", "127.0.0.1", "-t", f"{self.host}:{CONTROL_PORT}"))
        self.assertServes(client.port("listening at "))
        client.waitFor("this server does not open Unix sockets")
        client.waitFor("this tunnel is given up")
