"""How many visitors a client takes before they have waited for too long."""

from __future__ import annotations

from typing import Final

from twisted.internet.interfaces import IReactorTime

from bore.wire.limits import ACCEPT_TIMEOUT

#: As long as fewer visitors wait than that, nothing is measured: any client takes them in time.
MEASURED: Final = 256

#: The number of visitors that may wait at least: for a client that takes 150 in a second, or more.
LEAST: Final = 1024

#: Seconds within which the last visitor should be taken. The client may become slower in the meantime.
_IN_TIME: Final = ACCEPT_TIMEOUT * 2 / 3


class Uptake:
    """
    Measures how fast a client takes the visitors of a tunnel, and so how many of them may wait.

    A visitor that was accepted is closed when it has waited for ACCEPT_TIMEOUT; one that waits in the kernel is not. A
    client may need milliseconds for each visitor, as for a handshake inside TLS. If all visitors of a burst were
    accepted at once, it would lose the last of them.
    """

    __slots__ = ("_before", "_clock", "_since")

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._since = float("-inf")
        self._before = 0

    def allows(self, waiting: int, taken: int) -> bool:
        """
        Whether one more visitor may wait.

        :param waiting: how many wait already.
        :param taken: how many the client has taken since the tunnel was opened.
        """
        now = self._clock.seconds()
        if now - self._since > ACCEPT_TIMEOUT:
            self._since, self._before = now, taken
        return waiting < LEAST or waiting * (now - self._since) < (taken - self._before) * _IN_TIME
