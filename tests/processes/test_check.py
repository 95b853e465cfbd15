"""--check-every: the client visits its own public port."""

from __future__ import annotations

import re
import time

from tests.ports import loopbackHost
from tests.processes.case import ProcessCase, complaints
from tests.support import eventually


class WorkingTests(ProcessCase):
    """Visitors come through."""

    def test_nothingIsSaidAndTheLocalServiceSeesTheVisits(self) -> None:
        _, control = self.server()
        client, port = self.client(control, "--check-every", "3")
        eventually(lambda: self.service.served >= 2, "two visits at the local service")
        self.assertServes(port)
        self.assertEqual((client.err, self.service.errors), ([], []))

    def test_aLocalServiceThatIsDownIsNoReasonToStartTheSessionAnew(self) -> None:
        """The tunnel works: it is not the server's fault, and a new session would not help."""
        self.service.close()
        server, control = self.server("--log-level", "debug")
        client, _ = self.client(control, "--check-every", "2")
        server.waitFor("is gone", after=1)
        self.assertIn("cannot be reached", client.waitFor("warn"))
        self.assertEqual(len(complaints(client)), 1, client.transcript())


class UnreachableTests(ProcessCase):
    """The public port is at an address that the client cannot know."""

    def setUp(self) -> None:
        super().setUp()
        self.bore, self.control = self.server("--bind-tunnels", loopbackHost())
        self.to = f"{self.host}:{self.control}"

    def test_theSessionIsStartedAnewAfterThreeVisitsInVain(self) -> None:
        client, port = self.client(self.control, "--check-every", "0.2")
        self.bore.waitFor(f"port {port}: ", after=1)
        client.waitFor("check 1 of 3", after=1)
        said = complaints(client)[:4]
        for number, line in enumerate(said[:3], 1):
            self.assertRegex(line, f"check {number} of 3: .*[Cc]onnection.* refused")
        self.assertRegex(said[3], f"^lost {re.escape(self.to)}: visitors do not come through: .*refused")
        self.assertEqual(len(client.out), 1, "it has its port back")
        self.assertIsNone(client.process.poll())

    def test_theClientEndsAfterSoManySuchSessions(self) -> None:
        client = self.launch(self.to, "--check-every", "0.2", "--exit-after-failures", "2")
        self.assertEqual(client.wait(), 69, client.transcript())
        self.assertIn("bore local: failures in a row: 2, the last one: lost ", client.err[-1])
        self.assertEqual(sum("check 3 of 3" in line for line in client.err), 2)

    def test_anotherServerIsTriedInstead(self) -> None:
        elsewhere = loopbackHost()
        _, control = self.server(host=elsewhere)
        client = self.launch(self.to, "-t", f"{elsewhere}:{control}", "--check-every", "0.5")
        client.waitFor(f"listening at {elsewhere}:")
        eventually(lambda: self.service.served >= 1, "a visit at the local service")

    def test_aTunnelThatIsFullIsNotTakenForBroken(self) -> None:
        for serverWords, clientWords in ((["--max-visitors", "1"], []), ([], ["--max-visitors", "1"])):
            server, control = self.server(*serverWords)
            client, port = self.client(control, "--check-every", "0.5", *clientWords)
            visitor = self.visitor(port)
            self.assertEchoes(visitor)
            (server if serverWords else client).waitFor("the limit of visitors is reached")
            time.sleep(3)  # six checks
            self.assertEqual([x for x in complaints(client) if "check" in x], [])
            self.assertEchoes(visitor)
