"""A server behind HAProxy: everything per address concerns the addresses that it announces."""

from __future__ import annotations

import shutil
import socket
from pathlib import Path
from typing import Final

from twisted.trial.unittest import SkipTest

from tests.original import CONTROL_PORT, original
from tests.ports import freePort, loopbackHost
from tests.processes.tlscase import SECRET, TlsCase
from tests.processes.workerscase import WorkersCase
from tests.support import CHECKOUT, Program, bore, connect, receiveAll, temporaryFolder

#: From where visitors come, whose address is not that of HAProxy (127.0.0.1), and from where they may not.
_VISITOR: Final = "127.77.1.2"
_DENIED: Final = "127.66.1.2"

_TRUST: Final = ("--trusted-proxies", "127.0.0.1", "--deny", "127.66.0.0/16", "--log-level", "debug")

_EXAMPLE: Final = CHECKOUT / "examples" / "haproxy" / "haproxy.cfg"


class BalancerCase(WorkersCase, TlsCase):
    """
    HAProxy in front of a server.

    :ivar front: the address of HAProxy.
    """

    def setUp(self) -> None:
        path = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin:/usr/local/sbin")
        if path is None:
            raise SkipTest("HAPROXY IS NOT HERE: apt install haproxy")
        super().setUp()
        self.haproxy = path
        self.front = loopbackHost()
        self.lowest = freePort(self.host)
        self.range = ("--min-port", str(self.lowest), "--max-port", str(self.lowest + 5))

    def balance(self, control: int, send: str) -> Program:
        """Start HAProxy as in the example, with one node that is there, and two that are not."""
        text = _EXAMPLE.read_text(encoding="utf-8").replace("send-proxy-v2", send)
        for old, new in {
            "bind :7835": f"bind {self.front}:{control}",
            "bind :20000-20999": f"bind {self.front}:{self.lowest}-{self.lowest + 5}",
            "port 7835": f"port {control}",
            "198.51.100.1:7835": f"{self.host}:{control}",
            "198.51.100.1\n": f"{self.host}\n",
            "198.51.100.": "127.98.100.",
        }.items():
            self.assertIn(old, text)
            text = text.replace(old, new)
        file = Path(temporaryFolder(self), "haproxy.cfg")
        file.write_text(text)
        program = self.start(Program([self.haproxy, "-db", "-f", str(file)]))
        for each in ("control/node2", "control/node3", "visitors/node2", "visitors/node3"):
            program.waitFor(f"{each} is DOWN")
        return program

    def tunnelFrom(self, control: int, *words: str, scheme: str = "") -> int:
        """A client whose local service is sent the addresses of visitors; its public port."""
        words = ("--proxy-protocol", "v1", "--no-state", *words)
        return self.launch(f"{scheme}{self.front}:{control}", *words, home=self.home).port("listening at ")

    def line(self, visitor: socket.socket, port: int) -> bytes:
        """What the local service is sent of a visitor from its own address."""
        return f"PROXY TCP4 {_VISITOR} {self.front} {visitor.getsockname()[1]} {port}\r\n".encode()

    def assertKnown(self, port: int) -> None:
        """A visitor of HAProxy has its own address at the local service, and no byte of it is lost."""
        with self.visitor(port, _VISITOR, self.front) as visitor:
            visitor.sendall(b"hello")
            self.assertHears(visitor, self.line(visitor, port) + b"hello")
            self.assertEchoes(visitor)
        denied = self.visitor(port, _DENIED, self.front)
        denied.sendall(b"hello")
        self.assertTurnedAway(denied)

    def assertChecksUnnoticed(self, program: Program, haproxy: Program) -> None:
        """HAProxy has found the server, and the log has nothing about that, not even at level debug."""
        self.assertNotIn("node1 is DOWN", haproxy.transcript())
        self.assertNotRegex(program.transcript(), "trusted proxy|handshake|no message|closed: |refused: ")


class VersionTwoTests(BalancerCase):
    """send-proxy-v2, and a server of one process."""

    def test_visitorsOfEveryTunnelHaveTheirOwnAddresses(self) -> None:
        server, control = self.server(*_TRUST, *self.range, port=CONTROL_PORT)
        haproxy = self.balance(control, "send-proxy-v2")
        for words in ((), ("--lanes", "0")):
            port = self.tunnelFrom(control, "-p", str(self.lowest + len(words)), *words)
            self.assertKnown(port)
            self.assertChecksUnnoticed(server, haproxy)
        self.assertControl(server, control)
        self.assertDirect(port, server)
        self.assertServesOriginals()

    def assertServesOriginals(self) -> None:
        """The original client has its control port and its data connections through HAProxy, too."""
        port = self.lowest + 5
        words = ("local", str(self.service.port), "-l", "127.0.0.1", "-t", self.front, "-p", str(port))
        self.start(Program([original(), *words])).waitFor("listening at ")
        visitor = self.visitor(port, _VISITOR, self.front)
        self.assertEchoes(visitor)

    def assertControl(self, server: Program, control: int) -> None:
        """The log has the client's own address."""
        client = self.visitor(control, _VISITOR, self.front)
        address = f"{_VISITOR}:{client.getsockname()[1]}"
        client.sendall(b'{"Hello":1}\0')
        self.assertIn(b"not in allowed range", receiveAll(client))
        server.waitFor(f"{address} refused: ")

    def assertDirect(self, port: int, server: Program) -> None:
        """From elsewhere a header is not believed; and without one the proxy itself is closed."""
        header = b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 443\r\n"
        visitor = self.visitor(port, _VISITOR)
        visitor.sendall(header)
        self.assertHears(visitor, self.line(visitor, port) + header)
        proxy = connect(self.host, port)
        self.addCleanup(proxy.close)
        proxy.sendall(b"GET / HTTP/1.1\r\n\r\n")
        self.assertTurnedAway(proxy)
        server.waitFor("trusted proxy 127.0.0.1:")


class VersionOneTests(BalancerCase):
    """send-proxy, TLS on the control port, a secret, workers, and the relay without splice."""

    def test_visitorsHaveTheirOwnAddresses(self) -> None:
        words = ("--tls", *SECRET, *_TRUST, *self.range, "--workers", "2", "--bind-addr", self.host)
        admin = ("--admin-socket", str(self.folder / "admin.sock"))
        environment = {"BORE_RELAY": "portable", "XDG_STATE_HOME": str(self.serverHome)}
        server = self.start(bore("server", "--control-port", "0", *words, *admin, environment=environment))
        control = server.port("listening on ")
        self.untilReady(server, 2)
        self.addCleanup(self.endAll, server)
        haproxy = self.balance(control, "send-proxy")
        for _ in range(2):
            self.assertKnown(self.tunnelFrom(control, *SECRET, scheme="tls://"))
        self.assertChecksUnnoticed(server, haproxy)
        server.waitFor("opened for 127.0.0.1:")
