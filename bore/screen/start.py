"""Whether there is a screen, and what it is made of."""

from __future__ import annotations

import atexit
import os
import signal
import sys
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final, cast

from twisted.internet.interfaces import IReactorFDSet
from twisted.logger import globalLogBeginner

from bore.client.service import ClientService
from bore.events import Sink
from bore.events.client import VisitorRefused
from bore.logs.observers import filtered, observer
from bore.logs.outlet import Outlet, unblocked
from bore.logs.settings import LogSettings
from bore.screen.keys import Keys, isForeground
from bore.screen.lines import Painter, wantsColor
from bore.screen.outputs import ScreenObserver, SharedOutput
from bore.screen.reading import figuresOf
from bore.screen.screen import Screen
from bore.screen.terminal import Terminal
from bore.startup import IProgramReactor
from bore.status.client import ClientStatus
from bore.status.history import History

#: Terminals that cannot move their cursor.
_DUMB: Final = ("", "dumb", "unknown")


def isTerminal(environment: Mapping[str, str], log: LogSettings) -> bool:
    """
    Whether standard output is a terminal on which there is a screen.

    A program that reads JSON from the same terminal gets nothing else.
    """
    if not sys.stdout.isatty() or environment.get("TERM", "") in _DUMB:
        return False
    return log.format == "text" or not _isSharedByLog()


def _isSharedByLog() -> bool:
    """Whether standard error is the same terminal as standard output."""
    try:
        out, err = os.fstat(sys.stdout.fileno()), os.fstat(sys.stderr.fileno())
    except (AttributeError, OSError, ValueError):
        return False
    return sys.stderr.isatty() and out.st_rdev == err.st_rdev


def beginScreen(reactor: IProgramReactor, log: LogSettings, environment: Mapping[str, str]) -> Screen:
    """
    Begin to log, to a screen on the terminal.

    Standard error is shown on it, too, if it is the same terminal. Otherwise the log is there as well.
    """
    isShared = _isSharedByLog()
    file = unblocked(sys.stdout, reactor)
    outlet = getattr(file, "buffer", None)
    assert isinstance(outlet, Outlet), "standard output is no terminal"
    sys.stdout = file
    terminal = Terminal(file, outlet)
    painter = Painter(wantsColor(environment), terminal.encoding)
    session = _Session(reactor, outlet.fileno(), _input())
    screen = Screen(reactor, terminal, painter, session.isForeground, _now, session.hasKeys)
    observers = [filtered(log, ScreenObserver(screen))]
    if isShared:
        sys.stderr = SharedOutput(screen, sys.stderr.fileno(), terminal.encoding)
    else:
        sys.stderr = unblocked(sys.stderr, reactor)
        observers.append(observer(log, sys.stderr))
    globalLogBeginner.beginLoggingTo(observers, redirectStandardIO=False)
    session.begin(screen)
    return screen


def show(screen: Screen, reactor: IProgramReactor, service: ClientService, sink: Sink, visits: bool) -> None:
    """
    Show a client from the moment on at which the reactor runs.

    :param sink: gets its events.
    :param visits: whether visits have lines.
    """
    status = ClientStatus(reactor, service, History(sink, VisitorRefused))
    sink.subscribe(screen.happened, ends=visits)
    service.watchServices(screen.firstBytes)
    reactor.callWhenRunning(screen.follow, service, lambda: figuresOf(status.snapshot(), _now()))


def _input() -> int | None:
    """The terminal that keys are read from; None: standard input is none."""
    try:
        return sys.stdin.fileno() if sys.stdin.isatty() else None
    except (AttributeError, OSError, ValueError):  # closed
        return None


def _now() -> datetime:
    return datetime.now().astimezone()


class _Session:
    """
    Joins the screen with the signals and the keys of its terminal, and restores that at every end.

    :param output: the terminal.
    :param input: the terminal that keys are read from; None: there is none.
    """

    def __init__(self, reactor: IProgramReactor, output: int, input: int | None) -> None:
        self._reactor = reactor
        self._output = output
        self._keys = None if input is None else Keys(cast(IReactorFDSet, reactor), input)
        self._screen: Screen | None = None

    @property
    def hasKeys(self) -> bool:
        """Whether keys can be pressed."""
        return self._keys is not None

    def isForeground(self) -> bool:
        """Whether the process is in the foreground of the terminal. Keys are read there, and only there."""
        found = isForeground(self._output)
        if self._keys is not None and self._screen is not None:
            if found:
                self._keys.begin(self._screen.pressed)
            else:
                self._keys.forget()
        return found

    def begin(self, screen: Screen) -> None:
        """Watch the terminal."""
        self._screen = screen
        atexit.register(self.end)
        # In the background neither may stop the process: it writes the log, and reads nothing.
        signal.signal(signal.SIGTTOU, signal.SIG_IGN)
        signal.signal(signal.SIGTTIN, signal.SIG_IGN)
        self._on(signal.SIGWINCH, screen.resized)
        self._on(signal.SIGCONT, self._resume)
        if signal.getsignal(signal.SIGTSTP) != signal.SIG_IGN:
            self._on(signal.SIGTSTP, self._suspend)
        self._reactor.addSystemEventTrigger("before", "shutdown", self.end)

    def _on(self, number: int, act: Callable[[], object]) -> None:
        signal.signal(number, lambda *_: self._reactor.callFromThread(act))

    def _resume(self) -> None:
        """The process goes on, in the foreground or in the background."""
        if self._screen is not None:
            self._screen.refresh(anew=True)

    def _suspend(self) -> None:
        """Stop the process, as the user wants it (Ctrl-Z)."""
        if self._screen is not None:
            self._screen.suspended()
        if self._keys is not None:
            self._keys.end()
        handler = signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTSTP)
        signal.signal(signal.SIGTSTP, handler)
        self._resume()

    def end(self) -> None:
        """Restore the terminal."""
        screen, self._screen = self._screen, None
        if screen is not None:
            screen.stop()
            if self._keys is not None:
                self._keys.end()
