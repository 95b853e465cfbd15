"""
The number of visitors of each user in each worker, in memory that all processes of a server share.

A limit on the visitors of a user (``maxVisitors``) holds for all workers together. A visitor cannot wait for an answer
of the supervisor, so each worker writes its own numbers into the table, and reads those of the others.

The supervisor makes the table, and gives rows to users and columns to workers. Each number has one writer, and is
written as a whole. It is 0 when the worker is gone.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable
from hashlib import blake2b
from typing import Final

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from bore.server.users import User

#: The users that have a row, and the workers that have a column, at most. Further ones are counted in each worker
#: alone. Memory is used only for rows that are there.
ROWS: Final = 1 << 16
COLUMNS: Final = 256

#: In numbers of 32 bits: the number of rows, that of columns, then the workers of all columns, then the rows.
_ROW_COUNT: Final = 0
_COLUMN_COUNT: Final = 1
_WORKERS: Final = 4
_BEGIN: Final = _WORKERS + COLUMNS

#: Each row begins with the hash of its user's name.
_HASH: Final = 4
_ROW: Final = _HASH + COLUMNS

_SIZE: Final = 4 * (_BEGIN + ROWS * _ROW)


class VisitorTable:
    """
    The table, as every process has it.

    :param fd: the descriptor of the memory, which stays open and belongs to the caller.
    :raises OSError: when it is not such a table.
    """

    def __init__(self, fd: int) -> None:
        self._memory = mmap.mmap(fd, _SIZE)
        self._numbers = memoryview(self._memory).cast("I")
        self._rows: dict[bytes, int] = {}

    def close(self) -> None:
        """Forget the table."""
        self._numbers.release()
        self._memory.close()

    def row(self, user: str) -> int | None:
        """Where the numbers of a user are; None: there is no row."""
        key = _key(user)
        known = self._rows
        if key not in known:
            numbers = self._numbers
            for index in range(len(known), min(numbers[_ROW_COUNT], ROWS)):
                at = _BEGIN + index * _ROW
                known[numbers[at : at + _HASH].tobytes()] = at + _HASH
        return known.get(key)

    def column(self, worker: int) -> int | None:
        """The column of a worker; None: it has none."""
        used = self._numbers[_WORKERS : _WORKERS + COLUMNS].tolist()
        return used.index(worker) if worker in used else None

    def isFirst(self, worker: int) -> bool:
        """Whether a worker has the first column that is in use: one of all has to log what is the same for all."""
        return next((each for each in self._numbers[_WORKERS : _WORKERS + COLUMNS] if each), 0) == worker

    def total(self, row: int) -> int:
        """The sum of the numbers of a row."""
        return sum(self._numbers[row : row + self._numbers[_COLUMN_COUNT]])

    def read(self, row: int, column: int) -> int:
        """Read a number."""
        return self._numbers[row + column]

    def write(self, row: int, column: int, count: int) -> None:
        """Write a number, which only the worker of its column does."""
        self._numbers[row + column] = count

    # What the supervisor does.

    def addUser(self, user: str) -> None:
        """Have a row for a user, if there is room."""
        count = self._numbers[_ROW_COUNT]
        if self.row(user) is None and count < ROWS:
            at = _BEGIN + count * _ROW
            self._numbers[at : at + _HASH] = memoryview(_key(user)).cast("I")
            self._numbers[_ROW_COUNT] = count + 1  # behind the rest of it: others may look at any time

    def addWorker(self, worker: int) -> None:
        """Have a column for a worker, if there is room."""
        free = self.column(0)
        if self.column(worker) is None and free is not None:
            self._numbers[_WORKERS + free] = worker
            self._numbers[_COLUMN_COUNT] = max(self._numbers[_COLUMN_COUNT], free + 1)

    def removeWorker(self, worker: int) -> None:
        """A worker is gone: its visitors are, too."""
        column = self.column(worker)
        if column is not None:
            for row in range(self._numbers[_ROW_COUNT]):
                self._numbers[_BEGIN + row * _ROW + _HASH + column] = 0
            self._numbers[_WORKERS + column] = 0


def makeTable() -> int:
    """
    Make the memory of an empty table.

    :returns: its descriptor.
    :raises OSError: when the system refuses.
    """
    fd = os.memfd_create("bore-visitors")
    try:
        os.ftruncate(fd, _SIZE)
    except BaseException:
        os.close(fd)
        raise
    return fd


class WorkersVisitors:
    """
    The table, as a worker uses it: see :class:`bore.server.usertunnels.SharedVisitors`.

    When a visitor comes, the number is written before it is there. When visitors have left, it is written once for all
    of a turn of the reactor.

    :param count: returns how many visitors a user has in this worker.
    """

    def __init__(self, clock: IReactorTime, table: VisitorTable, worker: int, count: Callable[[User], int]) -> None:
        self._clock = clock
        self._table = table
        self._worker = worker
        self._count = count
        self._column = table.column(worker)
        self._changed: dict[User, None] = {}
        self._published: dict[User, None] = {}
        self._soon: IDelayedCall | None = None

    def elsewhere(self, user: User) -> int:
        """See :class:`bore.server.usertunnels.SharedVisitors`."""
        row = self._table.row(user.name)
        if row is None:
            return 0
        own = 0 if self._column is None else self._table.read(row, self._column)
        return self._table.total(row) - own

    def publish(self, user: User, count: int) -> None:
        """See :class:`bore.server.usertunnels.SharedVisitors`."""
        row = self._table.row(user.name)
        if row is not None and self._column is not None:
            self._table.write(row, self._column, count)
            if count:
                self._published[user] = None
            else:
                self._published.pop(user, None)

    def changed(self, user: User) -> None:
        """See :class:`bore.server.usertunnels.SharedVisitors`."""
        self._changed[user] = None
        if self._soon is None:
            self._soon = self._clock.callLater(0, self._publish)

    def refresh(self) -> None:
        """Write all numbers again that are not 0: visitors have moved to other workers, or from them."""
        for user in list(self._published):
            self.publish(user, self._count(user))

    def stop(self) -> None:
        """Write nothing any more."""
        if self._soon is not None:
            self._soon.cancel()
            self._soon = None

    def _publish(self) -> None:
        self._soon = None
        changed, self._changed = self._changed, {}
        for user in changed:
            self.publish(user, self._count(user))


def _key(user: str) -> bytes:
    return blake2b(user.encode(), digest_size=4 * _HASH).digest()
