"""File descriptors: the limit of this process, how many are open, and how many more visitors may use."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:  # options, which use the limit, are read without Twisted
    from twisted.internet.interfaces import IReactorTime

#: Descriptors that a server keeps for its clients when visitors have taken the others.
FOR_CLIENTS: Final = 64

#: Descriptors that a client keeps for its control connection, look-ups and files.
FOR_CONTROL: Final = 8

#: The directory with the descriptors of this process. Since Linux 6.2 its size is their number.
_FOLDER: Final = "/proc/self/fd" if sys.platform == "linux" else "/dev/fd"

#: The shortest time between two listings of the directory, in seconds: each takes about a millisecond per thousand
#: descriptors.
_INTERVAL: Final = 0.25

#: More than any process has.
_PLENTY: Final = 1 << 40


#: What macOS allows a process, where the hard limit is infinite and cannot be set (OPEN_MAX).
_OPEN_MAX: Final = 10240

#: select(2) takes only descriptors below this number (FD_SETSIZE).
_SELECTABLE: Final = 1024


def usesSelect() -> bool:
    """Whether Twisted's reactor is the one on select(2)."""
    reactor = sys.modules.get("twisted.internet.reactor")
    return type(reactor).__module__ == "twisted.internet.selectreactor"


def attainable(hard: int, infinity: int, select: bool) -> int:
    """
    The number of descriptors that a process may have open when it has raised its limit.

    :param hard: the hard limit.
    :param infinity: the value of a limit that is none.
    :param select: whether the reactor is the one on select(2), which fails with others than it can watch.
    """
    most = _OPEN_MAX if hard == infinity else hard
    return min(most, _SELECTABLE) if select else most


def raiseDescriptorLimit() -> None:
    """
    Raise the soft limit of descriptors as far as possible; with a reactor on select(2) as far as that can count.

    The usual soft limit of 1024 is there for programs that use select(2); each visitor takes two descriptors.
    """
    if os.name == "posix":
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = attainable(hard, resource.RLIM_INFINITY, usesSelect())
        # A soft limit above what select can watch is lowered: then a socket that cannot be watched cannot be made.
        if wanted > soft or (usesSelect() and wanted < soft):
            with suppress(OSError, ValueError):  # macOS has further limits: the soft one stays
                resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def descriptorsForVisitors(kept: int) -> int:
    """
    The number of descriptors that visitors may use; 0 if the system has no limit.

    :param kept: how many are kept for other things; at most an eighth of them.
    """
    if os.name != "posix":
        return 0
    import resource

    limit = attainable(resource.getrlimit(resource.RLIMIT_NOFILE)[1], resource.RLIM_INFINITY, usesSelect())
    return limit - min(kept, limit // 8)


def strangersShare(wanted: int, descriptors: int) -> int:
    """
    How many connections of strangers a server may have: never more than a quarter of its descriptors, as a flood of
    them would leave none for clients and visitors.

    :param wanted: how many it may have otherwise; 0: any number.
    :param descriptors: how many there are; 0: any number.
    """
    most = descriptors // 4
    return min(wanted, most) if wanted and most else wanted or most


def sizeOfFolder() -> int:
    """The number of open descriptors, by one system call; 0 where the system does not know it."""
    try:
        return os.stat(_FOLDER).st_size if sys.platform == "linux" else 0
    except OSError:
        return 0


def lengthOfList() -> int:
    """The number of open descriptors, by listing them; 0 where the system cannot."""
    try:
        return len(os.listdir(_FOLDER)) - 1  # without the one that listed them
    except OSError:
        return 0


class OpenCount:
    """
    An upper bound of the number of open descriptors.

    Those that were opened since the last count are added to it; those that were closed are not subtracted.

    :param size: counts quickly; returns 0 if it cannot.
    :param length: counts slowly; returns 0 if it cannot. If neither can, the bound stays 0.
    :ivar open: the bound.
    """

    __slots__ = ("_counted", "_length", "_size", "open")

    def __init__(self, size: Callable[[], int] = sizeOfFolder, length: Callable[[], int] = lengthOfList) -> None:
        self._size = size
        self._length = length
        self._counted = float("-inf")
        self.open = 0

    def renew(self, now: float) -> None:
        """Count again, unless the last slow count was a moment ago."""
        size = self._size()
        if size:
            self.open = size
        elif now - self._counted >= _INTERVAL:
            self._counted = now
            self.open = self._length()


#: The count of this process, which all its services share.
OF_PROCESS: Final = OpenCount()


class Descriptors:
    """
    The descriptors for visitors.

    It is told of those that are opened, and assumes that none is closed, apart from those that are closed to free a
    descriptor. Only when none would be left does it count; so it costs nothing while there are many.

    :param limit: how many may be open; 0: unlimited.
    :param count: how many are open.
    :ivar limit: how many may be open; 0: unlimited.
    """

    __slots__ = ("_clock", "_count", "limit")

    def __init__(self, clock: IReactorTime, limit: int, count: OpenCount = OF_PROCESS) -> None:
        self._clock = clock
        self._count = count
        self.limit = limit
        if limit:
            count.renew(clock.seconds())

    @property
    def spare(self) -> int:
        """How many more may be opened; below 0 if too many are open."""
        return self.limit - self._count.open if self.limit else _PLENTY

    def opened(self, count: int = 1) -> None:
        """Note that descriptors were opened, or are about to be."""
        self._count.open += count

    def closed(self) -> None:
        """Note that a descriptor was closed to free it: where counting is slow, the next count is later."""
        self._count.open -= 1

    def has(self, wanted: int) -> bool:
        """Whether a number of descriptors may be opened."""
        if not self.limit or self._count.open + wanted <= self.limit:
            return True
        self.renew()
        return self._count.open + wanted <= self.limit

    def renew(self) -> None:
        """Count the open descriptors."""
        self._count.renew(self._clock.seconds())
