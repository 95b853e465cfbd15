"""
``python -m laboratory.manyclients HOST LOCAL_PORT COUNT``: many clients in one process.

It prints a line for everything that happens, with the time of the system's monotonic clock: ``attempt TIME PLANNED``,
with the time for which the client has planned the attempt, and ``opened TIME PORT``. SIGUSR1 cuts all control
connections (``cut TIME``); SIGUSR2 has it say ``timers TIME COUNT``.
"""

from __future__ import annotations

import gc
import re
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any, cast

from twisted.internet import epollreactor
from twisted.internet.interfaces import IDelayedCall, IReadDescriptor
from twisted.logger import ILogObserver, LogEvent, formatEvent, globalLogPublisher

from bore.streams.transport import SocketTransport
from laboratory.timers import sayTimers


class WatchedReactor:
    """
    The reactor, which notes the control connections that it reads from, and can cut them.

    :ivar late: how long ago the timer has expired whose function runs, in seconds; 0 if none does.
    """

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self.late = 0.0
        self._connections: set[SocketTransport] = set()

    def __getattr__(self, name: str) -> object:
        return getattr(self._reactor, name)

    def addReader(self, reader: IReadDescriptor) -> None:
        if isinstance(reader, SocketTransport):  # of all connections of a client, only these are Twisted's
            self._connections.add(reader)
        self._reactor.addReader(reader)

    def callLater(self, delay: float, act: Callable[..., object], *args: object, **named: object) -> IDelayedCall:
        def run() -> None:
            self.late = self._reactor.seconds() - call.getTime()
            try:
                act(*args, **named)
            finally:
                self.late = 0.0

        call: IDelayedCall = self._reactor.callLater(delay, run)
        return call

    def cut(self) -> None:
        """Cut all control connections."""
        connections, self._connections = self._connections, set()
        say("cut", time.monotonic())
        for connection in connections:
            if connection.connected:
                connection.abortConnection()


def say(*words: object) -> None:
    """A line for the process that has started us."""
    print(*words, flush=True)  # noqa: T201


def observe(reactor: WatchedReactor, event: LogEvent) -> None:
    """Report when an attempt begins, and when a tunnel is up."""
    text = event.get("log_format") or ""
    if text.startswith("Starting factory"):
        say("attempt", now := time.monotonic(), now - reactor.late)
    elif "listening at" in text:
        found = re.search(r":(\d+) ->", formatEvent(event))
        assert found is not None
        say("opened", time.monotonic(), found.group(1))


def main() -> None:
    host, local, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    epollreactor.install()
    from twisted.internet import reactor as real

    from bore.client.reconnecting import ControlFactory
    from bore.client.service import ClientService
    from bore.client.settings import ClientSettings, ServerAddress
    from bore.client.target import Target
    from bore.client.tunnelspec import TunnelSpec
    from bore.system.descriptors import FOR_CONTROL, descriptorsForVisitors

    ControlFactory.noisy = True  # it is started for each attempt, and says so
    reactor: Any = WatchedReactor(real)
    globalLogPublisher.addObserver(cast(ILogObserver, partial(observe, reactor)))
    for n in range(count):
        descriptors = descriptorsForVisitors(FOR_CONTROL)
        settings = ClientSettings((ServerAddress(host),), descriptors=descriptors)
        service = ClientService(reactor, settings, [TunnelSpec(Target(local, "127.0.0.1"))])
        # Not all at once: this is not what is tested.
        reactor.callLater(n / 200, service.startService)
    signal.signal(signal.SIGUSR1, lambda *_: reactor.callFromThread(reactor.cut))
    sayTimers(reactor)
    gc.freeze()
    reactor.run()


if __name__ == "__main__":
    main()
