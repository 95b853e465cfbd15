"""Records in memory that outlives the process, as another process has a descriptor of it (memfd_create(2))."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Final

#: The size of a record, in bytes. It divides that of a page: a process that is killed leaves no half of one.
SIZE: Final = 1024

#: How many are read at most.
_MOST: Final = 1 << 16


class Records:
    """
    Records by their number.

    :param fd: a file with records; None: a new one.
    :ivar descriptor: the file, which belongs to the records.
    """

    def __init__(self, fd: int | None = None) -> None:
        self.descriptor = os.memfd_create("txbore", os.MFD_CLOEXEC) if fd is None else fd

    def read(self) -> Iterator[tuple[int, bytes]]:
        """
        Read all records.

        :raises OSError: when it is not such a file.
        """
        for number in range(min(os.fstat(self.descriptor).st_size // SIZE, _MOST)):
            content = os.pread(self.descriptor, SIZE, number * SIZE).rstrip(b"\0")
            if content:
                yield number, content

    def write(self, number: int, content: bytes) -> bool:
        """
        Write a record.

        :param content: without NUL at its end.
        :returns: whether it fits.
        """
        if len(content) > SIZE:
            return False
        os.pwrite(self.descriptor, content.ljust(SIZE, b"\0"), number * SIZE)
        return True

    def erase(self, number: int) -> None:
        """Remove a record, which need not be there."""
        os.pwrite(self.descriptor, bytes(SIZE), number * SIZE)

    def close(self) -> None:
        """Close the file."""
        os.close(self.descriptor)
