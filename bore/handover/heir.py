"""A successor, as the process sees it that has started it."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from typing import Final, Protocol

from twisted.internet.interfaces import IDelayedCall

from bore.client.estate import Inherited
from bore.handover.line import Line
from bore.handover.messages import Back, Bequest, End, Leaving, Message, Opened, Ready, Started, Trouble
from bore.handover.start import launch
from bore.streams.reactor import IReactor

#: How long a successor has until all tunnels are up, in seconds.
PATIENCE: Final = 30.0

#: A successor that does not let go of the tunnels within this time, in seconds, is killed.
_LEAVE: Final = 5.0


class Testator(Protocol):
    """What has started a successor."""

    def opened(self, heir: Heir, tunnels: Sequence[Inherited]) -> None:
        """The successor has these tunnels."""

    def ready(self, heir: Heir) -> None:
        """The successor has all tunnels."""

    def failed(self, heir: Heir, why: str) -> None:
        """The successor does not have them in time, or has ended before."""

    def ended(self, heir: Heir) -> None:
        """The successor, which is ready, was asked to end, and all others with it."""


class Heir:
    """
    A successor that is started.

    :param command: its command line.
    :param descriptors: what it inherits.
    :param patience: how long it has until all tunnels are up, in seconds.
    :raises OSError: if it cannot be started.
    :ivar pid: its process; 0: that is not known yet.
    """

    def __init__(
        self,
        reactor: IReactor,
        command: Sequence[str],
        descriptors: Sequence[int],
        testator: Testator,
        patience: float = PATIENCE,
    ) -> None:
        self._reactor = reactor
        self._testator = testator
        self._trouble = ""
        self._isSettled = False
        self.pid = 0
        sock, self._launcher = launch(command, os.environ, descriptors)
        self._timer: IDelayedCall | None = reactor.callLater(patience, self._late, patience)
        self._line = Line(reactor, sock, self._received, self._lost)

    def bequeath(self, bequest: Bequest) -> None:
        """Have it take over."""
        self._line.send(bequest)

    def settle(self, message: Message) -> None:
        """Send it how it ends: that it is the client now, or has to end with this process."""
        self._isSettled = True
        self._cancel()
        self._line.send(message)

    def dismiss(self) -> None:
        """Have it let go of all tunnels, and kill it if it does not."""
        self.settle(Back())
        if self._line.isOpen:
            self._timer = self._reactor.callLater(_LEAVE, self._kill)

    def _received(self, message: Message) -> None:
        match message:
            case Started(pid):
                self.pid = pid
            case Trouble(why):
                self._trouble = why
            case Opened(tunnels) if not self._isSettled:
                self._testator.opened(self, tunnels)
            case Ready() if not self._isSettled:
                self._testator.ready(self)
            case Leaving():
                self._cancel()
            case End():
                self._testator.ended(self)
            case _:
                pass

    def _late(self, patience: float) -> None:
        self._timer = None
        why = f": {self._trouble}" if self._trouble else ""
        self._testator.failed(self, f"it does not have all tunnels after {patience:g} s{why}")

    def _lost(self) -> None:
        """It has ended, or has let go of the line."""
        self._cancel()
        with suppress(subprocess.TimeoutExpired):
            self._launcher.wait(timeout=1)
        if not self._isSettled:
            self._isSettled = True
            self._testator.failed(self, f"it has ended: {self._trouble or 'the log has its reason'}")

    def _kill(self) -> None:
        """It has the line, and so it lives: its number names no other process."""
        self._timer = None
        if self.pid:
            with suppress(OSError):
                os.kill(self.pid, signal.SIGKILL)

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
