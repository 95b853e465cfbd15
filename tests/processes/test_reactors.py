"""Other reactors than Twisted's own choice."""

from __future__ import annotations

import socket
import sys

import pytest
from twisted.trial.unittest import SynchronousTestCase

from tests.ports import freePort
from tests.support import LocalService, bore, echo, eventually, receiveExactly, running

#: More visitors than a reactor on select(2) can serve at a time.
MANY = 560


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have other reactors")
class ReactorsTests(SynchronousTestCase):
    """``bore --reactor NAME``"""

    def test_aTunnelWorksWithEach(self) -> None:
        for name in ("poll", "asyncio"):
            with self.subTest(name):
                self.visitors(name, 3)

    def test_withSelectVisitorsWaitInsteadOfEndingTheProgram(self) -> None:
        log = self.visitors("select", MANY)
        self.assertIn("the reactor on select serves about 512 visitors", log)

    def test_anUnknownOneIsNamed(self) -> None:
        with running(bore("--reactor", "pol", "server")) as program:
            self.assertEqual(program.wait(), 2)
            self.assertIn("there is no reactor 'pol' on this system; known: ", program.transcript())
        with running(bore("--reactor")) as program:
            self.assertEqual(program.wait(), 2)

    def visitors(self, name: str, count: int) -> str:
        """Have visitors served by a tunnel whose ends both use a reactor; return what the server has logged."""
        service = LocalService(echo)
        self.addCleanup(service.close)
        control, public = freePort(), freePort()
        portable = {"BORE_RELAY": "portable"}
        at = ("--bind-addr", "127.0.0.1", "--control-port", str(control))
        with running(bore("--reactor", name, "server", *at, environment=portable)) as server:
            server.waitFor("listening on")
            to = f"127.0.0.1:{control}"
            words = (f"127.0.0.1:{service.port}:{public}", "--to", to, "--no-state")
            with running(bore("--reactor", name, "local", *words, environment=portable)) as client:
                client.waitFor("listening at")
                visitors = [socket.create_connection(("127.0.0.1", public)) for _ in range(count)]
                for each in visitors:
                    self.addCleanup(each.close)
                    each.sendall(b"x")
                for each in visitors:  # those that wait are served when others have left
                    each.settimeout(9)
                    self.assertEqual(receiveExactly(each, 1), b"x")
                    each.close()
                eventually(lambda: service.served >= count, "all are served")
            return server.transcript()
