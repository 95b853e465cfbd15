"""A test that hangs fails, and the report names it and has the stacks of its threads."""

from __future__ import annotations

import subprocess
import sys
from typing import Final

from twisted.trial.unittest import SynchronousTestCase

from tests.support import CHECKOUT, PATIENCE, temporaryFolder

_HANGING: Final = """
import socket, threading, time
from twisted.trial.unittest import SynchronousTestCase

class HangingTests(SynchronousTestCase):
    def test_itWaitsForAByte(self):
        threading.Thread(target=self.sleepMeanwhile, daemon=True).start()
        near, far = socket.socketpair()
        near.recv(1)

    def sleepMeanwhile(self):
        time.sleep(30)

    def test_theNextOneRuns(self):
        pass
"""


class TimeLimitTests(SynchronousTestCase):
    """pytest-timeout, as setup.cfg configures it."""

    def test_aTestThatHangsIsNamedAndItsStacksAreShown(self) -> None:
        file = temporaryFolder(self) / "test_hanging.py"
        file.write_text(_HANGING)
        options = ["-c", str(CHECKOUT / "setup.cfg"), "--rootdir", str(file.parent), "-o", "timeout=0.5", "-n", "1"]
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options, str(file)],
            capture_output=True,
            text=True,
            check=False,
            timeout=2 * PATIENCE,
        )
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        for text in ("HangingTests.test_itWaitsForAByte", "Timeout (>0.5s)", "near.recv(1)", "in sleepMeanwhile"):
            self.assertIn(text, done.stdout)
        self.assertIn("1 failed, 1 passed", done.stdout)
