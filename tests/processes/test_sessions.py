"""A tunnel that outlives its processes and its connections."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

from tests.forwarder import Forwarder
from tests.ports import freePort
from tests.processes.case import ProcessCase, count
from tests.support import temporaryFolder


class SessionCase(ProcessCase):
    """Has a folder for the state of its clients."""

    def setUp(self) -> None:
        super().setUp()
        self.home = temporaryFolder(self)


class ClientTests(SessionCase):
    """A client that dies, leaves, or is stopped."""

    def test_aClientThatIsKilledFindsItsPortAgain(self) -> None:
        server, control = self.server()
        client, port = self.client(control, home=self.home)
        client.kill()
        self.assertIn(f"port {port}: ", server.waitFor("is gone, kept for 60 s"))
        again, same = self.client(control, home=self.home)
        self.assertEqual(same, port)
        self.assertServes(port)
        self.assertIn(f"port {port}: ", server.waitFor("is back"))
        for program in (server, again):
            self.assertComplains(program)

    def test_whoComesWhileTheClientIsAwayIsServedWhenItIsBack(self) -> None:
        server, control = self.server()
        client, port = self.client(control, home=self.home)
        client.kill()
        server.waitFor("kept for")
        visitors = [self.visitor(port) for _ in range(20)]
        for number, visitor in enumerate(visitors):
            visitor.sendall(b"%02d" % number)
        self.client(control, home=self.home)
        for number, visitor in enumerate(visitors):
            self.assertHears(visitor, b"%02d" % number)
        self.assertComplains(server)

    def test_aClientThatComesBackTakesItsTunnelFromItsOwnDeadSession(self) -> None:
        """The server has not noticed yet that the old one is dead: it is stopped, and its connections are there."""
        server, control = self.server()
        client, port = self.client(control, home=self.home)
        os.kill(client.pid, signal.SIGSTOP)
        elsewhere = Path(shutil.copytree(self.home, temporaryFolder(self) / "copy"))
        _, same = self.client(control, home=elsewhere)
        self.assertEqual(same, port)
        self.assertServes(port)
        os.kill(client.pid, signal.SIGCONT)
        client.waitFor("server error: another session has taken the tunnel over")
        client.waitFor("is already in use on the server")
        self.assertServes(port)
        self.assertEqual(count(server, "is back"), 1, "they do not drive each other out")

    def test_aClientThatIsToldToEndSaysGoodbyeAndThePortIsFreeAtOnce(self) -> None:
        server, control = self.server()
        client, port = self.client(control, home=self.home)
        client.process.send_signal(signal.SIGTERM)
        self.assertEqual(client.wait(), 0)
        server.waitFor("said goodbye")
        server.waitFor(f"port {port}: closed")
        self.assertFree(port)
        self.assertEqual(count(server, "kept for"), 0)

    def test_thePortIsFreeWhileARunningVisitorKeepsTheClient(self) -> None:
        server, control = self.server()
        client, port = self.client(control)
        visitor = self.visitor(port)
        self.assertEchoes(visitor)
        client.process.send_signal(signal.SIGTERM)
        server.waitFor(f"port {port}: closed")
        self.assertFree(port)
        self.assertEchoes(visitor)
        visitor.close()
        self.assertEqual(client.wait(), 0)

    def test_aClientThatHasLeftAsksForTheSamePortWhenItIsStartedAgain(self) -> None:
        server, control = self.server()
        for _ in range(2):
            client, port = self.client(control, home=self.home)
            client.process.send_signal(signal.SIGINT)
            self.assertEqual(client.wait(), 0)
            server.waitFor(f"port {port}: closed")
        self.assertCounts(server, f"port {port}: opened", 2)

    def test_aPortOfTheUsersChoiceIsHadBackAsWell(self) -> None:
        _, control = self.server()
        chosen = freePort(self.host)
        for _ in range(2):
            client, port = self.client(control, "-p", str(chosen), home=self.home)
            self.assertEqual(port, chosen)
            client.kill()

    def test_aClientThatWasStoppedForFiveSecondsServesWhoCameMeanwhile(self) -> None:
        server, control = self.server()
        client, port = self.client(control)
        joined = self.visitor(port)
        self.assertEchoes(joined)
        os.kill(client.pid, signal.SIGSTOP)
        early = self.visitor(port)
        joined.sendall(b"said to a stopped one")
        server.waitFor("does not answer, kept for 60 s")
        late = self.visitor(port)
        os.kill(client.pid, signal.SIGCONT)
        client.waitFor("no answer to heartbeats")
        for visitor in (early, late):
            self.assertEchoes(visitor)
        self.assertHears(joined, b"said to a stopped one")
        self.assertEchoes(joined)
        server.waitFor("is back")
        self.assertEqual(len(client.out), 1, client.transcript())


class ServerTests(SessionCase):
    """A server that dies."""

    def test_thePortIsTheSameAtAServerThatWasKilled(self) -> None:
        server, control = self.server()
        client, port = self.client(control, home=self.home)
        server.kill()
        client.waitFor("lost ")
        server, _ = self.server(port=control)
        server.waitFor(f"port {port}: opened for ")
        self.assertServes(port)
        self.assertEqual(len(client.out), 1, client.transcript())

    def test_thePortIsTheSameWhenBothWereKilled(self) -> None:
        server, control = self.server()
        client, port = self.client(control, home=self.home)
        client.kill()
        server.kill()
        self.server(port=control)
        self.assertEqual(self.client(control, home=self.home)[1], port)
        self.assertServes(port)


class LeaseTests(SessionCase):
    """How long a port is kept."""

    def test_withoutALeaseThePortIsFreeWhenTheClientDies(self) -> None:
        server, control = self.server("--lease", "0")
        client, port = self.client(control)
        client.kill()
        self.assertRegex(server.waitFor("is gone"), f"port {port}: 127.0.0.1:[0-9]+ is gone$")
        self.assertFree(port)
        _, again = self.client(control, "-p", str(port))
        self.assertEqual(again, port)

    def test_aShortLeaseEndsAndThePortIsFree(self) -> None:
        server, control = self.server("--lease", "1")
        client, port = self.client(control)
        client.kill()
        self.assertIn(f"port {port}: ", server.waitFor("is gone, kept for 1 s"))
        visitor = self.visitor(port)
        server.waitFor(f"port {port}: the client did not come back, the port is free")
        self.assertFree(port)
        self.assertTurnedAway(visitor)


class CutTests(SessionCase):
    """A control connection that is cut on its way."""

    def setUp(self) -> None:
        super().setUp()
        self.bore, self.control = self.server()
        self.way = Forwarder(self.host, 0, (self.host, self.control))
        self.addCleanup(self.way.close)

    def test_joinedStreamsGoOnWhileTheControlConnectionIsCut(self) -> None:
        client, port = self.client(self.way.port)
        visitors = [self.visitor(port) for _ in range(3)]
        for visitor in visitors:
            self.assertEchoes(visitor)
        self.way.session.cut()
        client.waitFor("lost ")
        self.bore.waitFor("kept for")
        for visitor in visitors:
            self.assertEchoes(visitor)
        self.bore.waitFor("is back")
        for visitor in visitors:
            self.assertEchoes(visitor, b"and again")
        self.assertServes(port)
        self.assertEqual(len(client.out), 1, client.transcript())

    def test_aConnectionThatIsCutOverAndOverCostsNoVisitor(self) -> None:
        client, port = self.client(self.way.port, "--max-reconnect-delay", "0.1")
        for times in range(5):
            self.way.session.cut()
            self.assertServes(port)
            self.bore.waitFor("is back", after=times)
        self.assertEqual(len(client.out), 1, client.transcript())
        self.assertComplains(self.bore)

    def test_aSessionIsHadBackWithoutAFileAsWell(self) -> None:
        client, port = self.client(self.way.port, "--no-state")
        self.way.session.cut()
        self.bore.waitFor("is back")
        self.assertServes(port)
        self.assertEqual(len(client.out), 1, client.transcript())
