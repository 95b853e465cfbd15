"""Notices to the service manager."""

from __future__ import annotations

import os
import secrets
import socket

from twisted.trial.unittest import SynchronousTestCase

from bore.system.notify import Notifier, watchdogInterval
from tests.support import temporaryFolder


class NotifierTests(SynchronousTestCase):
    """What is sent, and where."""

    def manager(self, address: str) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(sock.close)
        sock.bind(address)
        sock.settimeout(5)
        return sock

    def test_aNoticeIsADatagramOfLines(self) -> None:
        path = str(temporaryFolder(self) / "notify")
        manager = self.manager(path)
        Notifier(path).send("READY=1", "STATUS=a\nWATCHDOG=trigger")
        self.assertEqual(manager.recv(999), b"READY=1\nSTATUS=a WATCHDOG=trigger")

    def test_aNameInTheAbstractNamespaceBeginsWithAnAt(self) -> None:
        name = f"txbore-{secrets.token_hex(8)}"
        manager = self.manager(f"\0{name}")
        Notifier(f"@{name}").send("WATCHDOG=1")
        self.assertEqual(manager.recv(999), b"WATCHDOG=1")

    def test_aManagerThatIsGoneOrDoesNotReadOrHasNoAddressIsNoTrouble(self) -> None:
        path = str(temporaryFolder(self) / "notify")
        for address in (path, "@", "x" * 200, "vsock:2:1234", "a\0b"):
            self.assertTrue(Notifier(address).send("READY=1"), address)
        self.manager(path)
        notifier = Notifier(path)
        self.assertFalse(all(notifier.send("STATUS=" + "x" * 1000) for _ in range(5000)))


class WatchdogTests(SynchronousTestCase):
    """$WATCHDOG_USEC and $WATCHDOG_PID."""

    def test_itIsInMicroseconds(self) -> None:
        self.assertEqual(watchdogInterval({"WATCHDOG_USEC": "60000000"}), 60.0)
        self.assertEqual(watchdogInterval({"WATCHDOG_USEC": "1000", "WATCHDOG_PID": str(os.getpid())}), 0.001)

    def test_thatOfAnotherProcessOrNoneIsNone(self) -> None:
        for environment in (
            {},
            {"WATCHDOG_USEC": "0"},
            {"WATCHDOG_USEC": "-5"},
            {"WATCHDOG_USEC": "soon"},
            {"WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"},
        ):
            self.assertIsNone(watchdogInterval(environment), environment)
