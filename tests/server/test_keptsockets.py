"""The listening sockets that a service manager keeps."""

from __future__ import annotations

import json
import os
import socket
from dataclasses import replace
from pathlib import Path

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from bore.server.keptsockets import KeptAddress, KeptSockets
from bore.server.settings import ServerSettings
from bore.server.users import NAMELESS, User
from bore.streams.listener import bindSocket
from bore.streams.unixlistener import UnixListeningSocket
from bore.system.descriptorstore import DescriptorStore
from bore.system.notify import Notifier
from bore.system.records import Records
from bore.wire.publicaddress import UnixPath
from bore.wire.token import digest
from tests.manager import Store
from tests.ports import freePort
from tests.support import isOpen, temporaryFolder

HOST = "127.0.0.1"
TOKEN = digest("a token")


class KeptSocketsCase(SynchronousTestCase):
    """A server that is started again and again."""

    def setUp(self) -> None:
        self.manager = Store(temporaryFolder(self) / "notify")
        self.addCleanup(self.manager.close)
        self.clock = Clock()
        self.settings = ServerSettings(bindAddr=HOST, bindTunnels=HOST)

    def begin(self, size: int = 99, **changed: object) -> KeptSockets:
        """The next process, with what the manager has by now."""
        self.manager.read()
        found = [(os.dup(fd), name) for name, all in self.manager.names.items() for fd in all]
        store = DescriptorStore(self.clock, Notifier(self.manager.path), size, found)
        self.settings = replace(self.settings, **changed)  # type: ignore[arg-type]
        return KeptSockets(self.clock, store, self.settings)

    def end(self, *sockets: socket.socket) -> None:
        """The process is killed: its copies of the sockets are closed."""
        for each in sockets:
            each.close()
        for found in self.clock.getDelayedCalls():
            found.cancel()

    def names(self) -> list[str]:
        self.manager.read()
        return sorted(self.manager.names)

    def public(self) -> tuple[int, socket.socket]:
        sock = bindSocket(HOST, 0)
        self.addCleanup(sock.close)
        return sock.getsockname()[1], sock


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
                kept.begun()
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
        kept.begun()
        self.assertEqual(self.names(), ["txbore.control-port", "txbore.state"])
        self.assertFalse(isOpen(HOST, port))

    def test_whatIsNotOursIsRemoved(self) -> None:
        other = bindSocket(HOST, 0)
        port = other.getsockname()[1]
        self.manager.put("txbore.control-port", os.open(os.devnull, os.O_RDONLY))
        self.manager.put("stored", other.detach())
        self.manager.put("txbore.state", os.open(__file__, os.O_RDONLY))
        kept = self.begin()
        self.assertEqual(kept.found, [])
        self.bind(kept)
        self.assertEqual(self.names(), ["txbore.control-port", "txbore.state"])
        self.assertFalse(isOpen(HOST, port))


class PublicAddressTests(KeptSocketsCase):
    """Public addresses, and who gets them back."""

    def test_theNextProcessKnowsWhoGetsThemBack(self) -> None:
        kept = self.begin()
        places = [self.public() for _ in range(3)]
        alice = User("alice")
        for (port, sock), user, tokens in zip(
            places, (NAMELESS, alice, alice), ((TOKEN,), (TOKEN, digest("b")), (digest("c"),)), strict=True
        ):
            kept.keep(port, sock, user, "192.0.2.1", tokens)
        kept.keep(places[2][0], places[2][1], alice, "192.0.2.2", (digest("d"),))  # another token
        kept.drop(places[0][0])
        self.end(*(sock for _, sock in places))
        kept = self.begin()
        self.assertFalse(isOpen(HOST, places[0][0]))
        self.assertEqual(
            [(each.address, each.user, each.source, each.tokens) for each in kept.found],
            [
                (places[1][0], alice, "192.0.2.1", (TOKEN, digest("b"))),
                (places[2][0], alice, "192.0.2.2", (digest("d"),)),
            ],
        )
        for each in kept.found:
            self.assertTrue(isOpen(HOST, int(str(each.address))))
            self.again(kept, each)
        self.assertEqual(len(self.begin().found), 2)

    def again(self, kept: KeptSockets, each: KeptAddress) -> None:
        self.addCleanup(each.socket.close)
        kept.keep(each.address, each.socket, each.user, each.source, each.tokens)

    def test_numbersOfRecordsAreUsedAgain(self) -> None:
        kept = self.begin()
        places = [self.public() for _ in range(4)]
        for _ in range(3):
            for port, sock in places:
                kept.keep(port, sock, NAMELESS, "", (TOKEN,))
            for port, _ in places[1:]:
                kept.drop(port)
        self.manager.read()
        (fd,) = self.manager.names["txbore.state"]
        self.assertEqual(sum(1 for _ in Records(fd).read()), 2)
        self.assertLess(os.fstat(fd).st_size, 7 * 1024)

    def test_onesOutsideTheSettingsAreClosed(self) -> None:
        for changed in (
            {"minPort": 2, "maxPort": 3},
            {"minPort": 1024, "maxPort": 65535, "bindTunnels": "127.0.0.3"},
            {"bindTunnels": HOST, "lease": 0},
        ):
            port, sock = self.public()
            kept = self.begin(lease=60, minPort=1024, maxPort=65535, bindTunnels=HOST)
            kept.keep(port, sock, NAMELESS, "", (TOKEN,))
            self.end(sock)
            self.assertEqual(self.begin(**changed).found, [], changed)
            self.assertEqual(self.names(), ["txbore.state"])
            self.assertFalse(isOpen(HOST, port))

    def test_withoutALeaseNothingIsKept(self) -> None:
        port, sock = self.public()
        self.begin(lease=0).keep(port, sock, NAMELESS, "", (TOKEN,))
        self.assertEqual(self.names(), ["txbore.state"])

    def test_noMoreThanTheManagerTakesAreKept(self) -> None:
        kept = self.begin(size=3)
        places = [self.public() for _ in range(3)]
        for port, sock in places:
            kept.keep(port, sock, NAMELESS, "", (TOKEN,))
        kept.drop(places[2][0])  # which was not kept
        kept.drop(places[0][0])
        kept.keep(*places[2], NAMELESS, "", (TOKEN,))
        self.end(*(sock for _, sock in places))
        self.assertEqual([each.address for each in self.begin().found], [places[2][0], places[1][0]])

    def test_oneThatWasForNobodyGoesToWhoeverAsksForIt(self) -> None:
        kept = self.begin()
        (port, sock), (other, second) = self.public(), self.public()
        kept.keep(port, sock, NAMELESS, "", ())
        kept.keep(other, second, NAMELESS, "", ())
        self.end(sock, second)
        kept = self.begin()
        self.assertEqual((kept.found, kept.unclaimed), ([], [port, other]))
        with socket.create_connection((HOST, port)), kept.bindPublic(HOST, port) as again:
            again.accept()[0].close()
        self.clock.advance(11)
        self.assertFalse(isOpen(HOST, other))
        kept.bindPublic(HOST, other).close()

    def test_aUnixSocketIsKeptAsLongAsItsFileIsThere(self) -> None:
        path = str(temporaryFolder(self) / "web: ä.sock")
        opened = UnixListeningSocket(path)
        kept = self.begin(unixFolders=(os.path.dirname(path),))
        kept.keep(UnixPath(path), opened.socket, NAMELESS, "", (TOKEN,))
        self.end(opened.socket)
        kept = self.begin()
        (found,) = kept.found
        self.assertEqual(found.address, UnixPath(path))
        self.assertTrue(isOpen("", UnixPath(path)))
        self.again(kept, found)
        self.end(found.socket)
        Path(path).rename(path + ".old")
        Path(path).touch()
        self.assertEqual(self.begin().found, [])
        self.assertEqual(self.names(), ["txbore.state"])

    def test_recordsThatAreWrongAreIgnored(self) -> None:
        port, sock = self.public()
        good = {"address": port, "file": None, "user": "", "source": "", "tokens": [TOKEN.hex()]}
        for wrong in (
            {"tokens": ["xyz"]},
            {"tokens": 7},
            {"address": "relative"},
            {"address": True},
            {"address": port + 1},
            {"file": [1, 2]},
            {"user": 7},
            {"source": None},
        ):
            port, sock = self.public()
            good["address"] = port
            records = Records()
            records.write(0, b'{"records":"txbore public addresses","version":1}')
            records.write(1, json.dumps(good | wrong).encode())
            records.write(2, b"[")
            self.manager.replace("txbore.state", records.descriptor)
            self.manager.put(f"txbore.{port}", os.dup(sock.fileno()))
            self.assertEqual(self.begin().found, [], wrong)
            self.assertEqual(self.names(), ["txbore.state"])
        records = Records()
        records.write(0, b'{"records":"txbore public addresses","version":2}')
        records.write(1, json.dumps(good).encode())
        self.manager.replace("txbore.state", records.descriptor)
        self.assertEqual(self.begin().found, [])

    def test_anEndInOrderLeavesThemAndOneThatTakesTimeDoesNot(self) -> None:
        kept = self.begin()
        port, sock = self.public()
        kept.keep(port, sock, NAMELESS, "", (TOKEN,))
        kept.leave(forNext=True)
        kept.drop(port)
        self.assertEqual(self.names(), [f"txbore.{port}", "txbore.state"])
        kept = self.begin()
        kept.keep(port, sock, NAMELESS, "", (TOKEN,))
        kept.leave(forNext=False)
        self.assertEqual(self.names(), [])
