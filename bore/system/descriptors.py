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


class Count:
    """
    How many descriptors are open, at most: those that were opened since they were counted last are known, those that
    were closed are not.

    :param size: counts those that are open, quickly; 0: it cannot.
    :param length: counts them slowly; 0: it cannot. Then the system has to say when there are no more.
    :ivar open: so many are open, at most.
    """

    __slots__ = ("_counted", "_length", "_size", "open")

    def __init__(self, size: Callable[[], int] = sizeOfFolder, length: Callable[[], int] = lengthOfList) -> None:
        self._size = size
        self._length = length
        self._counted = float("-inf")
        self.open = 0

    def renew(self, now: float) -> None:
        """Count anew, if that is not too dear to be done again already."""
        size = self._size()
        if size:
            self.open = size
        elif now - self._counted >= _INTERVAL:
            self._counted = now
            self.open = self._length()


#: Those of this process. They belong to all services in it.
OF_PROCESS: Final = Count()


class Descriptors:
    """
    Knows how many descriptors may be opened for visitors.

    It is told of those that are opened, and assumes that nothing is ever closed: only when it would have to say that
    there are none left are those that are open counted. So it costs nothing while there are many.

    :param limit: how many may be open; 0: any number.
    :param count: how many are open.
    :ivar limit: how many may be open; 0: any number.
    """

    __slots__ = ("_clock", "_count", "limit")

    def __init__(self, clock: IReactorTime, limit: int, count: Count = OF_PROCESS) -> None:
        self._clock = clock
        self._count = count
        self.limit = limit
        if limit:
            count.renew(clock.seconds())

    @property
    def spare(self) -> int:
        """How many more may be opened; below 0 too many are open."""
        return self.limit - self._count.open if self.limit else _PLENTY

    def opened(self, count: int = 1) -> None:
        """So many were opened, or are about to be."""
        self._count.open += count

    def has(self, wanted: int) -> bool:
        """Whether so many may be opened."""
        if not self.limit or self._count.open + wanted <= self.limit:
            return True
        self.renew()
        return self._count.open + wanted <= self.limit

    def renew(self) -> None:
        """Count those that are open."""
        self._count.renew(self._clock.seconds())
