"""The choice of public ports."""

from __future__ import annotations

import random
import socket

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from bore.server.control import ControlProtocol
from bore.server.ports import Ports
from bore.server.settings import ServerSettings
from bore.streams.listener import bindSocket
from bore.wire import extension
from bore.wire.errors import BindFailed, NoFreePort, PortForbidden, PortInUse, PortNotAllowed
from bore.wire.messages import Hello, encode
from tests.ports import freePort, loopbackHost
from tests.server.case import ControlCase, SessionCase


class PortsCase(SynchronousTestCase):
    """Ports of an address that no other test uses."""

    def setUp(self) -> None:
        self.host = loopbackHost()
        self.clock = Clock()
        self.binds: list[int] = []

    def bind(self, host: str, port: int) -> socket.socket:
        self.binds.append(port)
        return bindSocket(host, port)

    def ports(self, lowest: int = 1024, highest: int = 65535, host: str | None = None, seed: int = 1) -> Ports:
        settings = ServerSettings(minPort=lowest, maxPort=highest, bindTunnels=host or self.host)
        return Ports(self.clock, settings, random.Random(seed).randint, self.bind)

    def take(self, all: Ports, asked: int = 0) -> socket.socket:
        """Listen on the first of the candidates that is free, as the server does."""
        for port in all.candidates(asked):
            try:
                return all.bind(port)
            except (PortInUse, PortForbidden):
                if asked:
                    raise
                all.avoid(port)
        raise NoFreePort

    def open(self, all: Ports, asked: int = 0) -> int:
        sock = self.take(all, asked)
        self.addCleanup(sock.close)
        port: int = sock.getsockname()[1]
        return port

    def listen(self, port: int) -> socket.socket:
        """Another program's port."""
        sock = socket.create_server((self.host, port))
        self.addCleanup(sock.close)
        return sock


class OpenPortTests(PortsCase):
    """Binding ports."""

    def test_aClientGetsThePortThatItAsksFor(self) -> None:
        port = freePort(self.host)
        self.assertEqual(self.open(self.ports(), port), port)

    def test_theRangeIncludesItsEnds(self) -> None:
        port = freePort(self.host)
        self.assertEqual(self.open(self.ports(port, port), port), port)
        self.assertRaises(PortNotAllowed, self.take, self.ports(port, port), port - 1)
        self.assertRaises(PortNotAllowed, self.take, self.ports(port, port), port + 1)

    def test_aPortThatIsTakenIsRefused(self) -> None:
        all = self.ports()
        port = self.open(all)
        refused = self.assertRaises(PortInUse, self.take, all, port)
        self.assertEqual(str(refused), f"port {port} is already in use on the server")
        self.assertRaises(PortInUse, self.take, self.ports(), port)

    def test_anAddressThatCannotBeBoundIsRefused(self) -> None:
        all = self.ports(host="192.0.2.1")
        refused = self.assertRaises(BindFailed, self.take, all, 20000)
        self.assertIn("failed to bind to port 20000: ", str(refused), "with the reason, such as too many open files")
        self.binds.clear()
        self.assertRaises(BindFailed, self.take, all, 0)
        self.assertEqual(len(self.binds), 1, "the next port of the same address would not be had either")

    def test_aRandomPortIsWithinTheRange(self) -> None:
        all = self.ports(30000, 30500)
        for _ in range(20):
            self.assertIn(self.open(all), range(30000, 30501))


class RandomPortTests(PortsCase):
    """Drawing random ports."""

    def test_eachPortOfARangeTakesOneBindAndThenThereIsNone(self) -> None:
        all = self.ports(20000, 20199)
        opened = [self.open(all) for _ in range(200)]
        self.assertEqual(sorted(opened), list(range(20000, 20200)))
        self.assertNotEqual(opened, sorted(opened))
        self.assertEqual(len(self.binds), 200)
        for _ in range(100):
            self.assertRaises(NoFreePort, self.take, all, 0)
        self.assertEqual(len(self.binds), 200)

    def test_aPortThatIsFreeAgainIsDrawn(self) -> None:
        all = self.ports(20000, 20009)
        socks = {port: self.take(all, port) for port in range(20000, 20010)}
        for port in (20004, 20009, 20000):
            socks[port].close()
            all.free(port)
            socks[port] = self.take(all, 0)
            self.assertEqual(socks[port].getsockname()[1], port)
        for sock in socks.values():
            sock.close()

    def test_portsOfOtherProgramsAreTriedOnceInAWhile(self) -> None:
        others = {port: self.listen(port) for port in range(20000, 20010) if port != 20007}
        all = self.ports(20000, 20009)
        self.assertEqual(self.open(all), 20007)
        self.binds.clear()
        for _ in range(50):
            self.assertRaises(NoFreePort, self.take, all, 0)
        self.assertLessEqual(len(self.binds), 50 + 9, "one for each draw, but for those that were not known")
        others[20003].close()
        for _ in range(9):  # each tries the one that was tried the longest ago
            try:
                self.assertEqual(self.open(all), 20003)
            except NoFreePort:
                continue
            break
        else:
            self.fail("the port that is free again was not found")
        others[20005].close()
        self.clock.advance(10)
        self.assertEqual(self.open(all), 20005)

    def test_afterAHundredAndFiftyTriesThereIsNone(self) -> None:
        for port in range(20000, 20160):
            self.listen(port)
        all = self.ports(20000, 20159)
        self.assertRaises(NoFreePort, self.take, all, 0)
        self.assertEqual((len(self.binds), len(set(self.binds))), (150, 150))
        self.assertRaises(NoFreePort, self.take, all, 0)
        self.assertEqual(len(self.binds), 161)

    @given(st.lists(st.sampled_from(["open", "close", "ask", "other", "gone", "time"]), max_size=30), st.integers())
    def test_aFreePortIsAlwaysFoundAndNoneIsGivenTwice(self, steps: list[str], seed: int) -> None:
        chance = random.Random(seed)
        clock, held, others = Clock(), set[int](), set[int]()

        def bind(host: str, port: int) -> socket.socket:
            if port in held or port in others:
                raise OSError(98, "taken")
            held.add(port)
            return socket.socket()

        all = Ports(clock, ServerSettings(minPort=2000, maxPort=2003), chance.randint, bind)
        for step in steps:
            before = len(held)
            port = chance.randint(2000, 2003)
            match step:
                case "open" | "ask":
                    try:
                        self.take(all, 0 if step == "open" else port).close()
                        self.assertEqual(len(held), before + 1)
                    except NoFreePort:
                        pass  # ports of others may be free again: one of them is tried
                    except PortInUse:
                        self.assertIn(port, held | others)
                case "close" if held:
                    all.free(held.pop())
                case "other" if port not in held:
                    others.add(port)
                case "gone":
                    others.clear()
                case "time":
                    clock.advance(10)
        clock.advance(10)
        for _ in range(4 - len(held | others)):
            self.take(all, 0).close()
        self.assertEqual(held | others, {2000, 2001, 2002, 2003})
        self.assertRaises(NoFreePort, self.take, all, 0)


class ChangedRangeTests(PortsCase):
    """Another range, while ports are taken."""

    @given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(0, 6)), max_size=6), st.integers())
    def test_portsAreDrawnFromTheNewOneUntilItIsFull(self, ranges: list[tuple[int, int, int]], seed: int) -> None:
        chance = random.Random(seed)
        all = Ports(Clock(), ServerSettings(), chance.randint, lambda host, port: socket.socket())
        taken: set[int] = set()
        for end, other, count in ranges:
            lowest, highest = 2000 + min(end, other), 2000 + max(end, other)
            all.apply(ServerSettings(minPort=lowest, maxPort=highest))
            for _ in range(count):
                free = set(range(lowest, highest + 1)) - taken
                port = next(all.candidates(0), None)
                if port is None:
                    self.assertEqual(free, set())
                    break
                self.assertIn(port, free)
                all.bind(port).close()
                taken.add(port)
            if taken and chance.random() < 0.5:
                all.free(taken.pop())

    def test_aPortOfTheOldOneThatWasAvoidedIsNotTried(self) -> None:
        all = self.ports(2000, 2000)
        all.avoid(2000)
        all.apply(ServerSettings(minPort=2001, maxPort=2001))
        all.avoid(2001)
        self.assertEqual(list(all.candidates(0)), [2001])


class FullRangeTests(ControlCase):
    """A full range of ports, at the control port."""

    ports = (20000, 20002)

    def ask(self) -> bytes:
        protocol, transport = self.connect()
        protocol.dataReceived(encode(Hello(0)))
        frame = transport.takeWritten().split(b"\0")[0]
        self.held[frame] = protocol
        return frame

    def test_aPortIsFreeWhenItsTunnelIsClosed(self) -> None:
        self.held: dict[bytes, ControlProtocol] = {}
        expected = {b'{"Hello":%d}' % port for port in range(20000, 20003)}
        self.assertEqual({self.ask() for _ in range(3)}, expected)
        for frame in expected:
            self.assertEqual(self.ask(), b'{"Error":"failed to find an available port"}')
            self.lose(self.held[frame])
            self.assertEqual(self.ask(), frame)


class RangeTests(SessionCase):
    """A port outside the range, at the control port."""

    ports = (20000, 20002)

    def test_aClientOfTheExtensionIsSentTheRange(self) -> None:
        protocol, transport = self.begin()
        protocol.dataReceived(extension.encode(extension.Open(1, 80)))
        [refused] = self.said(transport)
        assert isinstance(refused, extension.Refused)
        self.assertEqual(refused.code, "port-not-allowed")
        self.assertEqual(refused.message, "port 80 is outside this server's range, 20000 to 20002")
        self.assertEqual(refused.range, (20000, 20002))

    def test_anOriginalClientIsSentTheOriginalsText(self) -> None:
        protocol, transport = self.connect()
        protocol.dataReceived(encode(Hello(80)))
        self.assertEqual(transport.takeWritten(), b'{"Error":"client port number not in allowed range"}\0')
