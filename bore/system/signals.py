"""Signals: which ones stop the program, and which ones have it read, or open, its files again."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import Final, NoReturn

from twisted.internet.error import ReactorNotRunning
from twisted.internet.interfaces import IReactorCore, IReactorFromThreads, IReactorTime
from twisted.logger import Logger

_log = Logger()

#: Some shells send SIGHUP to their jobs before they give the terminal up: it is checked again after this time, in
#: seconds.
_TERMINAL_GOES: Final = 1.0

#: The process with this id gets only the signals that it catches, without default actions (pid_namespaces(7)).
_INIT: Final = 1

#: The signals that stop the program. The second one ends it at once.
_STOP: Final = ("SIGINT", "SIGTERM")


class IReactorSignals(IReactorCore, IReactorTime, IReactorFromThreads):
    """What signals need of a reactor; all of Twisted's have it."""

    def sigInt(number: int, frame: FrameType | None = None) -> None:
        """Stop as soon as the reactor runs, and have twistd end by this signal: the handler of SIGINT."""

    def sigTerm(number: int, frame: FrameType | None = None) -> None:
        """The same: the handler of SIGTERM."""


def handleStop(reactor: IReactorSignals) -> None:
    """
    Handle SIGINT and SIGTERM as the reactor does once it runs. To be called before the log says that a server listens.

    A signal that comes before the reactor runs has it stop in order when it does. The second one ends the process at
    once. Signals that are ignored, or handled by somebody else, stay so.
    """
    for name, act in zip(_STOP, (reactor.sigInt, reactor.sigTerm), strict=True):
        number = getattr(signal, name)
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(number, partial(_stopBy, act))


def _stopBy(act: Callable[[int, FrameType | None], object], number: int, frame: FrameType | None) -> None:
    endOnNextSignal()
    act(number, frame)


def handleHangup(reactor: IReactorSignals, reload: Callable[[], object]) -> None:
    """
    Handle SIGHUP, where there is such a signal.

    If it was ignored when the process started (nohup), it stays ignored. If the process had a terminal that is gone
    when the signal arrives, the process stops. Otherwise it reads its files again: a daemon has no terminal, and an
    administrator who sends the signal wants that.

    :param reload: called in the reactor to read the files again.
    """
    if not hasattr(signal, "SIGHUP") or signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
        return
    hadTerminal = hasTerminal()

    def look() -> bool:
        gone = hadTerminal and not hasTerminal()
        if gone:
            _log.info("the terminal is gone: stopping")
            stop(reactor)
        return gone

    def hungUp() -> None:
        if not look():
            reload()
            if hadTerminal:
                reactor.callLater(_TERMINAL_GOES, look)

    signal.signal(signal.SIGHUP, lambda *_: reactor.callFromThread(hungUp))


def handleRotation(reactor: IReactorSignals, reopen: Callable[[], object]) -> None:
    """
    Handle SIGUSR1, where there is such a signal, beside what handles it already.

    :param reopen: called in the reactor to open the files again that the program writes.
    """
    if not hasattr(signal, "SIGUSR1"):
        return
    former = signal.getsignal(signal.SIGUSR1)

    def rotate(number: int, frame: FrameType | None) -> None:
        if callable(former):
            former(number, frame)
        reactor.callFromThread(reopen)

    signal.signal(signal.SIGUSR1, rotate)


def handleUpgrade(reactor: IReactorSignals, upgrade: Callable[[], object]) -> None:
    """
    Handle SIGUSR2, where there is such a signal.

    :param upgrade: called in the reactor to have new code take over.
    """
    if hasattr(signal, "SIGUSR2"):
        signal.signal(signal.SIGUSR2, lambda *_: reactor.callFromThread(upgrade))


def stop(reactor: IReactorCore) -> None:
    """Stop the reactor, unless it is stopping already."""
    with contextlib.suppress(ReactorNotRunning):
        reactor.stop()


def endOnNextSignal() -> None:
    """Have the next SIGINT or SIGTERM end the process at once; it is stopping already."""
    for name in _STOP:
        number = getattr(signal, name)
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _end if os.getpid() == _INIT else signal.SIG_DFL)


def _end(number: int, _frame: object) -> NoReturn:
    os._exit(128 + number)  # the exit status of a shell for a process that the signal has ended


def hasTerminal() -> bool:
    """Whether a terminal controls this process (credentials(7)); after a hangup there is none."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NONBLOCK | getattr(os, "O_NOCTTY", 0)))
    except OSError:
        return False
    return True
