"""How many descriptors this process has open, and how many more it may open for visitors."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Final

from twisted.internet.interfaces import IReactorTime

#: Where the descriptors of this process are listed. Since Linux 6.2 the size of the folder is their number.
_FOLDER: Final = "/proc/self/fd" if sys.platform == "linux" else "/dev/fd"

#: To list the folder takes about a millisecond for each thousand: it is done at this interval at most, in seconds.
_INTERVAL: Final = 0.25

#: More than any process has.
_PLENTY: Final = 1 << 40


def sizeOfFolder() -> int:
    """The number of open descriptors, in one system call; 0 where the system does not keep it."""
    try:
        return os.stat(_FOLDER).st_size if sys.platform == "linux" else 0
    except OSError:
        return 0


def lengthOfList() -> int:
    """The number of open descriptors; 0 where the system does not list them."""
    try:
        return len(os.listdir(_FOLDER)) - 1  # without the one by which it was listed
    except OSError:
        return 0


class Descriptors:
    """
    Knows how many descriptors may be opened for visitors.

    It is told of those that are opened, and assumes that nothing is ever closed: only when it would have to say that
    there are none left are those that are open counted. So it costs nothing while there are many.

    :param limit: how many may be open; 0: any number.
    :param size: counts those that are open, quickly; 0: it cannot.
    :param list: counts them slowly; 0: it cannot. Then the system has to say when there are no more.
    :ivar spare: so many may be opened, at least.
    """

    __slots__ = ("_clock", "_counted", "_limit", "_list", "_size", "spare")

    def __init__(
        self,
        clock: IReactorTime,
        limit: int,
        size: Callable[[], int] = sizeOfFolder,
        list: Callable[[], int] = lengthOfList,
    ) -> None:
        self._clock = clock
        self._limit = limit
        self._size = size
        self._list = list
        self._counted = float("-inf")
        self.spare = 0 if limit else _PLENTY

    @property
    def limit(self) -> int:
        """How many may be open; 0: any number."""
        return self._limit

    def opened(self, count: int = 1) -> None:
        """So many were opened."""
        self.spare -= count

    def has(self, wanted: int) -> bool:
        """Whether so many may be opened."""
        return self.spare >= wanted or self.count() >= wanted

    def count(self) -> int:
        """Count those that are open, and say how many may be opened; below 0: too many are open."""
        if not self._limit:
            self.spare = _PLENTY
            return self.spare
        used = self._size()
        if not used:
            now = self._clock.seconds()
            if now - self._counted < _INTERVAL:
                return self.spare
            self._counted = now
            used = self._list()
        self.spare = self._limit - used
        return self.spare
