"""Which program has a port."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from bore.system.portowner import ownerOf
from tests.ports import freePort


class OwnerTests(SynchronousTestCase):
    """A port of this process."""

    def setUp(self) -> None:
        if not Path("/proc/net/tcp").exists():
            raise SkipTest("this system has no /proc/net/tcp")

    def test_itIsNamedOfEitherFamily(self) -> None:
        for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
            with socket.create_server((host, 0), family=family) as listener:
                self.assertTrue(ownerOf(listener.getsockname()[1]).endswith(f" (process {os.getpid()})"))

    def test_aPortOnWhichNoProgramListensHasNone(self) -> None:
        port = freePort()
        self.assertEqual(ownerOf(port), "")
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", port))
            self.assertEqual(ownerOf(port), "")
