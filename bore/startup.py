"""What ``bore`` and the twistd plugins do alike before their services start."""

from __future__ import annotations

from typing import Protocol, cast

from twisted.logger import Logger

from bore.streams.reactor import IReactor
from bore.system.clock import useMonotonicClock
from bore.system.descriptors import descriptorsForVisitors, raiseDescriptorLimit
from bore.system.memory import settle
from bore.system.namedfiles import hurry
from bore.system.signals import IReactorSignals, endOnNextSignal


class IProgramReactor(IReactor, IReactorSignals):
    """What a program needs of the reactor."""


class Program(Protocol):
    """A service that is a whole program, or the part of one that does its work."""

    def privilegedStartService(self) -> object:
        """Start what needs privileges."""

    def startService(self) -> object:
        """Start."""

    def stopService(self) -> object:
        """Stop; may return a Deferred."""

    def reload(self) -> object:
        """Read its files again."""


def prepare(reactor: object) -> IProgramReactor:
    """
    Prepare the process and the reactor. To be called before anything uses the reactor's clock.

    :returns: the reactor with its types, which Twisted's module of that name does not have.
    """
    raiseDescriptorLimit()
    useMonotonicClock(reactor)
    return cast(IProgramReactor, reactor)


def warnOfSelect() -> None:
    """Log how few visitors a reactor on select(2) can serve."""
    Logger(namespace="bore").warn(
        "the reactor on select serves about {count} visitors at a time, the others wait: 'bore --reactor poll' serves "
        "more",
        count=descriptorsForVisitors(0) // 2,
    )


def followRun(reactor: IReactorSignals) -> None:
    """
    Release memory when the program is up, and wait for no writer of a pipe then; end the process at the second signal
    that stops it.
    """
    reactor.callWhenRunning(settle)
    reactor.callWhenRunning(hurry)
    reactor.addSystemEventTrigger("before", "shutdown", endOnNextSignal)
