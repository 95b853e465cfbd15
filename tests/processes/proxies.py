"""Services that receive the addresses of their visitors, and what these should be."""

from __future__ import annotations

import itertools
import shutil
import socket
from pathlib import Path

from twisted.trial.unittest import SkipTest

from tests.ports import freePort
from tests.processes.case import ProcessCase
from tests.support import Program, bore, connect, eventually, isOpen, receiveAll, temporaryFolder

VERSIONS = ("v1", "v2")


class DualCase(ProcessCase):
    """A server for both address families, and clients that tell the local service where visitors come from."""

    def setUp(self) -> None:
        super().setUp()
        self.control = self.serverForBoth()

    def serverForBoth(self, *words: str) -> int:
        """A server, by its control port."""
        server = self.start(bore("server", "--bind-addr", "::", "--control-port", "0", *words))
        return server.port("listening on ")

    def tunnel(self, localPort: int, version: str, to: str = "127.0.0.1", *words: str) -> int:
        """A client of a local service, by its public port."""
        to = f"[{to}]:{self.control}" if ":" in to else f"{to}:{self.control}"
        words = ("local", str(localPort), "-l", "127.0.0.1", "-t", to, "--proxy-protocol", version, *words)
        return self.start(bore(*words)).port("listening at ")


class RealServiceContract(DualCase):
    """
    A program that understands the header answers who has visited it, and where.

    A test case of its own for each program inherits from this.
    """

    #: What the program is called.
    name: str

    def command(self, path: str, folder: Path, port: int) -> list[str]:
        """How to run the program, so that it listens on a port of 127.0.0.1 and ends with us."""
        raise NotImplementedError

    def setUp(self) -> None:
        path = shutil.which(self.name) or shutil.which(self.name, path="/usr/sbin:/usr/local/sbin")
        if path is None:
            raise SkipTest(f"{self.name.upper()} IS NOT HERE: apt install {self.name}")
        super().setUp()
        port = freePort()
        self.start(Program(self.command(path, temporaryFolder(self), port)))
        eventually(lambda: isOpen("127.0.0.1", port), f"{self.name} listens")
        self.tunnels = [(version, self.tunnel(port, version)) for version in VERSIONS]
        self.servicePort = port

    def fetch(self, visitor: socket.socket) -> list[str]:
        """What the program answers: the visitor's address and port, and those that it has visited."""
        visitor.sendall(b"GET / HTTP/1.0\r\n\r\n")
        head, _, body = receiveAll(visitor).decode().partition("\r\n\r\n")
        self.assertIn("200", head.split("\r\n")[0])
        return body.split()

    def test_aVisitorIsKnownByItsAddressAndPort(self) -> None:
        for version, port in self.tunnels:
            visitor = self.visitor(port, source="127.77.1.2", host="127.0.0.1")
            host, number = visitor.getsockname()
            self.assertEqual(self.fetch(visitor), [host, str(number), "127.0.0.1", str(port)], version)

    def test_aVisitorOverIPv6IsKnownByItsAddressAndPort(self) -> None:
        for version, port in self.tunnels:
            visitor = connect("::1", port)
            self.addCleanup(visitor.close)
            number = visitor.getsockname()[1]
            # The client has reached its server over IPv4: what address was visited it cannot know.
            self.assertEqual(self.fetch(visitor), ["::1", str(number), "::", str(port)], version)

    def test_aClientThatIsConnectedOverIPv6TellsOfBothFamilies(self) -> None:
        port = self.tunnel(self.servicePort, "v2", "::1")
        visitors = {"::1": connect("::1", port), "127.0.0.1": connect("127.0.0.1", port)}
        for visited, (source, visitor) in zip(("::1", "0.0.0.0"), visitors.items(), strict=True):
            self.addCleanup(visitor.close)
            number = visitor.getsockname()[1]
            self.assertEqual(self.fetch(visitor), [source, str(number), visited, str(port)])

    def test_manyAtOnceAreNotMistakenForOneAnother(self) -> None:
        sources = [f"127.77.{n}.{m}" for n, m in itertools.product(range(1, 6), range(1, 9))]
        for version, port in self.tunnels:
            visitors = [self.visitor(port, source, "127.0.0.1") for source in sources]
            for source, visitor in zip(sources, visitors, strict=True):
                number = str(visitor.getsockname()[1])
                self.assertEqual(self.fetch(visitor)[:2], [source, number], version)
