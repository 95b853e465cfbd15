"""Events for the program that has a tunnel or a server in it."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from bore.client.outcome import Outcome
from bore.events import Event

#: Events that wait for a reader; the oldest ones are dropped.
MAX_WAITING: Final = 1000


class _Reader:
    """One iteration."""

    def __init__(self) -> None:
        self.waiting: deque[Event] = deque(maxlen=MAX_WAITING)
        self.wanted: Deferred[None] | None = None

    def wake(self) -> None:
        wanted, self.wanted = self.wanted, None
        if wanted is not None:
            wanted.callback(None)


class Happenings:
    """
    Passes events on to functions and to asynchronous iterations, in the next turn of the reactor: these may close what
    the event is about, in whose midst it happens.
    """

    _log: Final = Logger()

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._new: list[Event] = []
        self._subscribers: list[Callable[[Event], object]] = []
        self._readers: list[_Reader] = []
        self._over = False

    def happened(self, event: Event) -> None:
        """An event."""
        if self._subscribers or self._readers:
            if not self._new:
                self._clock.callLater(0, self._pass)
            self._new.append(event)

    def subscribe(self, subscriber: Callable[[Event], object]) -> None:
        """Call a function with each event from now on."""
        self._subscribers.append(subscriber)

    def end(self) -> None:
        """There will be no more events."""
        self._pass()
        self._over = True
        for reader in list(self._readers):
            reader.wake()

    def iterate(self) -> AsyncIterator[Event]:
        """Return the events from now on, until the end."""
        reader = _Reader()
        self._readers.append(reader)
        return self._read(reader)

    def _pass(self) -> None:
        new, self._new = self._new, []
        for event in new:
            for subscriber in self._subscribers:
                try:
                    subscriber(event)
                except Exception:
                    self._log.failure("a subscriber has raised an exception at {event}", event=event)
        for reader in list(self._readers):
            reader.waiting.extend(new)
            reader.wake()

    async def _read(self, reader: _Reader) -> AsyncIterator[Event]:
        try:
            while reader.waiting or not self._over:
                if reader.waiting:
                    yield reader.waiting.popleft()
                else:
                    reader.wanted = Deferred()
                    await reader.wanted
        finally:
            self._readers.remove(reader)


class Watched:
    """
    What has events, and is closed once.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self._happenings = Happenings(clock)
        self._closed: Outcome[bool] | None = None

    def events(self) -> AsyncIterator[Event]:
        """What happens from now on (:mod:`bore.events`), until it is closed. A slow reader loses the oldest of 1000."""
        return self._happenings.iterate()

    def subscribe(self, subscriber: Callable[[Event], object]) -> None:
        """Call a function with each event from now on."""
        self._happenings.subscribe(subscriber)

    def close(self) -> Deferred[None]:
        """
        Close it.

        :returns: fires when nothing is left. It may be called again: each Deferred fires then.
        """
        if self._closed is None:
            self._closed = Outcome()
            Deferred.fromCoroutine(self._close()).addCallbacks(lambda _: True).addBoth(self._closed.settle)
        return self._closed.wait().addCallback(lambda _: None)

    async def _close(self) -> None:
        raise NotImplementedError
