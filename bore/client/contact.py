"""How a link stands with its server, for reports."""

from __future__ import annotations

from twisted.internet.interfaces import IReactorTime


class Contact:
    """
    Whether there is a session with an open tunnel, and since when.

    :ivar up: whether there is one.
    :ivar since: when that has become so, by the clock.
    :ivar why: why there is none; None: there is one, or no attempt has failed yet.
    :ivar retryAt: when the next attempt is made, or was, by the clock.
    """

    __slots__ = ("_clock", "retryAt", "since", "up", "why")

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self.up = False
        self.since = clock.seconds()
        self.why: str | None = None
        self.retryAt = self.since

    def opened(self) -> None:
        """A tunnel is open."""
        self.up = True
        self.since = self._clock.seconds()
        self.why = None

    def lost(self, why: str, delay: float) -> None:
        """
        The session was lost, or an attempt has failed.

        :param delay: seconds until the next one.
        """
        now = self._clock.seconds()
        if self.up or self.why is None:
            self.since = now
        self.up = False
        self.why = why
        self.retryAt = now + delay
