"""A network that goes silent: nobody is told anything."""

from __future__ import annotations

import re
import sys
import time

from twisted.trial.unittest import SynchronousTestCase

from tests.interop.test_original import original
from tests.lab import Lab
from tests.support import LocalService, Program, echo, eventually


class SilenceTests(SynchronousTestCase):
    """The server and the client each notice that the other has vanished."""

    def setUp(self) -> None:
        self.lab = Lab(self.id().rsplit("_", 1)[-1][:20])
        self.addCleanup(self.lab.close)
        self.service = LocalService(echo)
        self.addCleanup(self.service.close)

    def start(self, place: str, *words: str) -> Program:
        program = self.lab.start(place, *words)
        self.addCleanup(program.kill)
        return program

    def ours(self, place: str, *words: str) -> Program:
        return self.start(place, sys.executable, "-m", "bore", *words)

    def tunnel(self, client: Program) -> int:
        found = re.search(Lab.SERVER + r":(\d+)", client.waitFor("listening at"))
        assert found is not None
        return int(found.group(1))

    def secondsUntilFree(self, port: int) -> float:
        begin = time.monotonic()
        self.lab.pass_(False)
        eventually(lambda: not self.lab.isOpen("server", Lab.SERVER, port), "the port is free", 30)
        return time.monotonic() - begin

    def test_aVanishedOriginalClientLosesItsPort(self) -> None:
        path = original()
        self.ours("server", "server").waitFor("listening on")
        client = self.start("client", path, "local", str(self.service.port), "--to", Lab.SERVER)
        self.assertLess(self.secondsUntilFree(self.tunnel(client)), 15)

    def test_aVanishedClientLosesItsPortAndHasItBackAfterwards(self) -> None:
        self.ours("server", "server").waitFor("listening on")
        client = self.ours("client", "local", str(self.service.port), "--to", Lab.SERVER, "--max-reconnect-delay", "2")
        port = self.tunnel(client)
        self.assertLess(self.secondsUntilFree(port), 15)
        client.waitFor("lost ")
        self.assertIn("nothing came from it for 8 s", client.err[0])
        self.lab.pass_(True)
        eventually(lambda: self.lab.isOpen("server", Lab.SERVER, port), "the same port is back", 15)
