"""The limits of server and client: what exceeds them is refused, logged once, and affects no other peer."""

from __future__ import annotations

import contextlib
import shutil
import signal
import socket
import sys
import time

from twisted.trial.unittest import SkipTest

from tests.forwarder import Forwarder
from tests.processes.case import ProcessCase
from tests.support import CHECKOUT, Program, connect, eventually, receiveAll, receiveExactly, temporaryFolder

#: Addresses of this machine to come from, beside the usual 127.0.0.1.
OTHER, THIRD = "127.77.0.1", "127.77.0.2"


class BoundsCase(ProcessCase):
    """What the tests of bounds have in common."""

    def fromAnotherAddress(self, control: int, source: str) -> int:
        """A control port for clients that are to seem to come from another address."""
        way = Forwarder(self.host, 0, (self.host, control), source)
        self.addCleanup(way.close)
        return way.port

    def assertServedSoon(self, port: int) -> None:
        """Both ends have to notice first that a peer is gone."""

        def isServed() -> bool:
            with connect(self.host, port, 1.0) as visitor:
                return self.isServed(visitor)

        eventually(isServed, "a visitor is served")

    def assertRefused(self, control: int, text: str) -> None:
        client = self.launch(f"{self.host}:{control}", "--no-reconnect")
        self.assertEqual(client.wait(), 1, client.transcript())
        self.assertEqual(client.err, [f"bore local: server error: {text}"])

    def isServed(self, visitor: socket.socket) -> bool:
        """Whether a visitor is, or was closed instead."""
        try:
            visitor.sendall(b"hello")
            return receiveExactly(visitor, 5) == b"hello"
        except OSError:
            return False

    def leave(self, client: Program) -> None:
        client.process.send_signal(signal.SIGTERM)
        self.assertEqual(client.wait(), 0)


class TunnelTests(BoundsCase):
    """--max-tunnels and --max-tunnels-per-source."""

    def test_noMoreTunnelsThanAllowed(self) -> None:
        server, control = self.server("--max-tunnels", "2")
        (first, _), (_, port) = self.client(control), self.client(control)
        elsewhere = self.fromAnotherAddress(control, OTHER)
        for way in (control, elsewhere, control):
            self.assertRefused(way, "too many tunnels: this server allows 2 (its option --max-tunnels)")
        self.assertComplains(server, "the limit of tunnels is reached, 2: no more are opened")
        self.assertServes(port)
        self.leave(first)
        server.waitFor("closed")
        self.assertServes(self.client(elsewhere)[1])

    def test_noMoreTunnelsFromOneAddressThanAllowed(self) -> None:
        server, control = self.server("--max-tunnels-per-source", "2")
        (first, _), (_, port) = self.client(control), self.client(control)
        for _ in range(2):
            allows = "this server allows 2 (its option --max-tunnels-per-source)"
            self.assertRefused(control, f"too many tunnels from your address: {allows}")
        limit = "the limit of tunnels from 127.0.0.1 is reached, 2: no more are opened for it"
        self.assertComplains(server, limit)
        self.assertServes(port)
        self.assertServes(self.client(self.fromAnotherAddress(control, OTHER))[1])
        self.leave(first)
        server.waitFor("closed")
        self.assertServes(self.client(control)[1])

    def test_aTunnelWhoseClientIsAwayCountsAndItsClientComesBackToIt(self) -> None:
        home = temporaryFolder(self)
        server, control = self.server("--max-tunnels", "1")
        client, port = self.client(control, home=home)
        client.kill()
        server.waitFor("kept for")
        self.assertRefused(control, "too many tunnels: this server allows 1 (its option --max-tunnels)")
        self.assertEqual(self.client(control, home=home)[1], port)
        self.assertServes(port)

    def test_aClientThatIsRefusedTriesAgainAndGetsItsTunnelWhenThereIsRoom(self) -> None:
        server, control = self.server("--max-tunnels", "1")
        first, _ = self.client(control)
        second = self.launch(f"{self.host}:{control}", "--max-reconnect-delay", "0.2")
        second.waitFor(f"no tunnel from {self.host}:{control}: server error: too many tunnels")
        self.leave(first)
        self.assertServes(second.port("listening at "))
        self.assertComplains(server, "the limit of tunnels is reached, 1: no more are opened")


class VisitorTests(BoundsCase):
    """--max-visitors, at either end, and --visitor-rate."""

    def test_theServerTakesNoMoreVisitorsThanAllowed(self) -> None:
        server, control = self.server("--max-visitors", "2")
        (_, port), (_, other) = self.client(control), self.client(control)
        visitors = [self.visitor(port) for _ in range(2)]
        for visitor in visitors:
            self.assertEchoes(visitor)
        for _ in range(3):
            self.assertTurnedAway(self.visitor(port))
        self.assertComplains(server, f"port {port}: the limit of visitors is reached, 2: more are closed")
        self.assertServes(other)
        for visitor in visitors:
            self.assertEchoes(visitor)
        visitors[0].close()
        self.assertServedSoon(port)

    def test_theClientTakesNoMoreVisitorsThanAllowed(self) -> None:
        _, control = self.server()
        client, port = self.client(control, "--max-visitors", "2")
        _, other = self.client(control)
        visitors = [self.visitor(port) for _ in range(2)]
        for visitor in visitors:
            self.assertEchoes(visitor)
        for _ in range(3):
            with contextlib.suppress(ConnectionResetError):  # one that is turned away may be reset while it connects
                self.visitor(port)
        client.waitFor("the limit of visitors is reached, 2: more are turned away")
        self.assertServes(other)
        for visitor in visitors:
            self.assertEchoes(visitor)
        visitors[0].close()
        self.assertServedSoon(port)
        self.assertComplains(client, "the limit of visitors is reached, 2: more are turned away")

    def test_noMoreNewVisitorsPerSecondFromOneAddressThanAllowed(self) -> None:
        server, control = self.server("--visitor-rate", "1")
        (_, port), (_, second) = self.client(control), self.client(control)
        begin = time.monotonic()
        visitors = [self.visitor(port) for _ in range(30)]
        self.assertServes(second)  # the bound is each tunnel's own
        self.assertEchoes(self.visitor(port, OTHER))
        self.assertEchoes(visitors[0])
        served = sum(self.isServed(visitor) for visitor in visitors)
        seconds = time.monotonic() - begin
        self.assertTrue(1 <= served <= seconds + 2, f"{served} in {seconds} s")
        self.assertComplains(
            server, f"port {port}: the limit of new visitors per second from 127.0.0.1 is reached, 1: more are closed"
        )


class AwayTests(BoundsCase):
    """--max-waiting, while the client is away."""

    def away(self, *words: str) -> tuple[Program, int, int]:
        """A server, its control port, and a public port without a client."""
        self.home = temporaryFolder(self)
        server, control = self.server(*words)
        client, port = self.client(control, home=self.home)
        client.kill()
        server.waitFor("kept for")
        return server, control, port

    def test_nobodyMayWait(self) -> None:
        server, control, port = self.away("--max-waiting", "0")
        _, other = self.client(control)
        for _ in range(3):
            self.assertTurnedAway(self.visitor(port))
        server.waitFor(f"warn  port {port}: the client is away, visitors are closed")
        self.assertServes(other)
        self.assertEqual(self.client(control, home=self.home)[1], port)
        self.assertServes(port)

    def test_twoAreAcceptedAndAllAreServedWhenTheClientIsBack(self) -> None:
        server, control, port = self.away("--max-waiting", "2")
        visitors = [self.visitor(port) for _ in range(10)]
        self.assertComplains(server, f"port {port}: visitors that wait for the client: 2; more are not accepted yet")
        self.client(control, home=self.home)
        for visitor in visitors:
            self.assertEchoes(visitor)
        self.assertServes(port)


class PendingTests(BoundsCase):
    """Connections to the control port that send nothing."""

    def test_theOldestOfTooManyFromOneAddressIsRefused(self) -> None:
        server, control = self.server("--max-pending-per-source", "2")
        silent = [self.visitor(control, OTHER) for _ in range(4)]
        refusal = b'{"Error":"too many connections that say nothing"}\0'
        for visitor in silent[:2]:
            self.assertEqual(receiveAll(visitor), refusal)
        said = f"the limit of connections from {OTHER} without a message is reached, 2: the oldest are closed"
        self.assertComplains(server, said)

    def test_othersFindTheirWayThroughACrowdThatSaysNothing(self) -> None:
        server, control = self.server("--max-pending-per-source", "2")
        _, port = self.client(control)
        for _ in range(20):
            self.visitor(control, OTHER)
        self.assertServes(port)
        self.assertServes(self.client(self.fromAnotherAddress(control, THIRD))[1])
        # And so does a client at the very address that they come from.
        self.assertServes(self.client(self.fromAnotherAddress(control, OTHER))[1])
        said = f"the limit of connections from {OTHER} without a message is reached, 2: the oldest are closed"
        self.assertComplains(server, said)

    def test_anAddressThatHasATunnelMayHaveMore(self) -> None:
        server, control = self.server("--max-pending-per-source", "2")
        _, port = self.client(self.fromAnotherAddress(control, OTHER))
        for _ in range(10):
            self.visitor(control, OTHER)
        self.assertServes(port)
        self.assertComplains(server)

    def test_theOldestOfTooManyAltogetherIsRefused(self) -> None:
        server, control = self.server("--max-pending", "2")
        first = self.visitor(control, OTHER)
        for source in (OTHER, THIRD):
            self.visitor(control, source)
        self.assertIn(b"too many connections that say nothing", receiveAll(first))
        self.assertComplains(
            server,
            "the limit of connections without a message is reached, 2: those of the addresses with most are closed",
        )
        self.assertServes(self.client(control)[1])


class DescriptorTests(BoundsCase):
    """The last descriptors are for clients."""

    def test_visitorsThatTakeAllDescriptorsKeepNoClientOutAndAreServedInTheEnd(self) -> None:
        if shutil.which("prlimit") is None:
            raise SkipTest("there is no prlimit on this system")
        words = ["prlimit", "--nofile=160:160", sys.executable, "-m", "bore", "server", "--bind-addr", self.host]
        server = self.start(Program([*words, "--control-port", "0"], cwd=str(CHECKOUT)))
        control = server.port("listening on ")
        _, port = self.client(control)
        visitors = [self.visitor(port) for _ in range(120)]
        server.waitFor("warn  no descriptors are left for visitors")
        for visitor in visitors[:50]:
            self.assertEchoes(visitor)
        _, other = self.client(control)
        for visitor in visitors[:20]:
            visitor.close()
        self.assertServes(other)
        for visitor in visitors[20:]:
            self.assertEchoes(visitor)
            visitor.close()
