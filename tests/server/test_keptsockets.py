"""The control ports that a service manager keeps."""

from __future__ import annotations

import os
import socket

from bore.events import Sink
from bore.server.keptsockets import KeptSockets
from bore.streams.listener import bindSocket
from tests.ports import freePort
from tests.server.keptcase import HOST, KeptSocketsCase
from tests.support import isOpen


class ControlPortTests(KeptSocketsCase):
    """The control ports."""

    def bind(self, kept: KeptSockets, port: int = 0, name: str = "control-port") -> socket.socket:
        sock = kept.bindControl(name, self.settings.bindAddr, port)
        self.addCleanup(sock.close)
        return sock

    def test_theNextProcessHasThatOfTheLastOne(self) -> None:
        first = self.bind(self.begin())
        port = first.getsockname()[1]
        self.assertEqual(self.names(), ["txbore.control-port", "txbore.state"])
        for wanted in (port, 0, port):
            self.end(first)
            with socket.create_connection((HOST, port)) as client:
                kept = self.begin()
                again = self.bind(kept, wanted)
                kept.begun(Sink())
                accepted, address = again.accept()
                accepted.close()
                self.assertEqual(address, client.getsockname())
            first = again
        self.assertEqual(self.names(), ["txbore.control-port", "txbore.state"])

    def test_thoseOfTwoOptionsAreNotConfused(self) -> None:
        kept = self.begin()
        ports = [self.bind(kept, 0, name).getsockname()[1] for name in ("control-port", "tls-port")]
        kept = self.begin()
        again = [self.bind(kept, 0, name).getsockname()[1] for name in ("tls-port", "control-port")]
        self.assertEqual(again, ports[::-1])

    def test_oneOfAnotherPortOrAddressIsClosed(self) -> None:
        first = self.bind(self.begin())
        port = first.getsockname()[1]
        self.end(first)
        kept = self.begin()
        second = self.bind(kept, freePort(HOST))
        self.assertFalse(isOpen(HOST, port))
        self.end(second)
        kept = self.begin(bindAddr="127.0.0.2")
        third = self.bind(kept, second_port := freePort("127.0.0.2"))
        self.assertEqual(third.getsockname(), ("127.0.0.2", second_port))
        self.assertEqual(len(self.manager.names["txbore.control-port"]), 1)
        self.assertEqual(self.names(), ["txbore.control-port", "txbore.state"])

    def test_theSamePortAtAnotherAddressCanBeBoundAtOnce(self) -> None:
        first = self.bind(self.begin())
        port = first.getsockname()[1]
        self.end(first)
        second = self.bind(self.begin(bindAddr="0.0.0.0"), port)
        self.assertEqual(second.getsockname(), ("0.0.0.0", port))

    def test_oneThatIsNotUsedAnyMoreIsClosed(self) -> None:
        kept = self.begin()
        ports = [self.bind(kept, 0, name) for name in ("control-port", "tls-port")]
        port = ports[1].getsockname()[1]
        self.end(*ports)
        kept = self.begin()
        self.bind(kept)
        kept.begun(Sink())
        self.assertEqual(self.names(), ["txbore.control-port", "txbore.state"])
        self.assertFalse(isOpen(HOST, port))

    def test_whatIsNotOursIsRemoved(self) -> None:
        other = bindSocket(HOST, 0)
        port = other.getsockname()[1]
        self.manager.put("txbore.control-port", os.open(os.devnull, os.O_RDONLY))
        self.manager.put("stored", other.detach())
        self.manager.put("txbore.state", os.open(__file__, os.O_RDONLY))
        kept = self.begin()
        self.bind(kept)
        self.assertEqual(self.names(), ["txbore.control-port", "txbore.state"])
        self.assertFalse(isOpen(HOST, port))
