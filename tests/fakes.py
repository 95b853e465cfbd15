"""The few things that tests pretend to be."""

from __future__ import annotations

import select
import socket
from typing import cast

from twisted.internet.address import IPv4Address
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase


class FakeTransport(StringTransport):
    """A transport without a network, over a socket that is not connected."""

    def __init__(self) -> None:
        super().__init__(peerAddress=IPv4Address("TCP", "192.0.2.1", 7835))
        self.socket = socket.socket()
        self.aborted = False
        self.detached = False
        self.full = False
        self.bufferSize = 1 << 16
        self.queued = 0

    def getHandle(self) -> socket.socket:
        return self.socket

    def writeNow(self, data: bytes) -> None:
        self.write(data)

    def abortConnection(self) -> None:
        self.aborted = True
        self.disconnecting = True

    def detach(self) -> socket.socket:
        self.detached = True
        return self.socket

    def finish(self) -> bool:
        self.loseConnection()
        return not self.full

    def takeWritten(self) -> bytes:
        """What was written since the last call."""
        data: bytes = self.value()
        self.clear()
        return data


class FakeReactor(MemoryReactorClock):
    """A clock that the test advances, and descriptors that are watched when it says so."""

    def turn(self, most: int = 1000) -> int:
        """
        Call for everything that a level-triggered poll finds to read, until it finds nothing.

        :param most: how many calls these are at most; with more the poll spins.
        :returns: how many calls that were.
        """
        calls = 0
        while True:
            poll = select.poll()
            readers = {reader.fileno(): reader for reader in self.getReaders()}
            for descriptor in readers:
                poll.register(descriptor, select.POLLIN)
            ready = poll.poll(0)
            if not ready:
                return calls
            for descriptor, _ in ready:
                if descriptor in readers and readers[descriptor].fileno() == descriptor:
                    readers[descriptor].doRead()
                    calls += 1
            assert calls <= most, "the poll spins"


def logObserver(events: list[LogEvent]) -> ILogObserver:
    """An observer that keeps every event."""
    return cast(ILogObserver, events.append)


def captureLog(case: SynchronousTestCase) -> list[LogEvent]:
    """All that is logged from now on, until the test has ended."""
    events: list[LogEvent] = []
    observer = logObserver(events)
    globalLogPublisher.addObserver(observer)
    case.addCleanup(globalLogPublisher.removeObserver, observer)
    return events
