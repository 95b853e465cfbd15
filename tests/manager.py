"""A service manager, as programs see it: it receives notices, and keeps descriptors for them."""

from __future__ import annotations

import os
import socket
import sys
from array import array
from pathlib import Path

#: Starts a program with the descriptors that it inherits from here, as systemd passes them.
_LAUNCH = """
import os, sys
count = int(sys.argv[1])
os.environ["LISTEN_PID"] = str(os.getpid())
for target, fd in enumerate(map(int, sys.argv[3 : 3 + count]), 3 + 1000):
    os.dup2(fd, target)
for target in range(3, 3 + count):
    os.dup2(target + 1000, target)
os.closerange(3 + count, 3000)
os.environ["LISTEN_FDS"], os.environ["LISTEN_FDNAMES"] = str(count), sys.argv[2]
os.execv(sys.executable, [sys.executable, *sys.argv[3 + count :]])
"""


class Store:
    """
    The socket of a manager that has a descriptor store.

    :ivar path: its address.
    :ivar names: the descriptors of each name.
    :ivar notices: the lines of those notices that are not about the store.
    """

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self.names: dict[str, list[int]] = {}
        self.notices: list[list[str]] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.path)
        self._socket.setblocking(False)

    def close(self) -> None:
        self._socket.close()
        for each in [fd for found in self.names.values() for fd in found]:
            os.close(each)
        self.names.clear()

    def read(self) -> None:
        """Read what has come."""
        while True:
            try:
                data, ancillary, _, _ = self._socket.recvmsg(1 << 16, 4096)
            except BlockingIOError:
                return
            descriptors = array("i")
            for _, _, rights in ancillary:
                descriptors.frombytes(rights[: len(rights) - len(rights) % descriptors.itemsize])
            self._obey(data.decode().split("\n"), list(descriptors))

    def _obey(self, lines: list[str], descriptors: list[int]) -> None:
        values = dict(line.partition("=")[::2] for line in lines)
        name = values.get("FDNAME", "stored")
        if "FDSTORE" in values:
            self.put(name, *descriptors)
        elif "FDSTOREREMOVE" in values:
            self.replace(name)
        else:
            self.notices.append(lines)

    def put(self, name: str, *descriptors: int) -> None:
        """Keep descriptors; one that is there already is not kept twice."""
        for fd in descriptors:
            if any(_isSame(fd, each) for found in self.names.values() for each in found):
                os.close(fd)
            else:
                self.names.setdefault(name, []).append(fd)

    def replace(self, name: str, *descriptors: int) -> None:
        """Keep these instead of others with the name."""
        for fd in self.names.pop(name, []):
            os.close(fd)
        if descriptors:
            self.put(name, *descriptors)

    @property
    def environment(self) -> dict[str, str]:
        """What a program has in its environment."""
        return {"NOTIFY_SOCKET": self.path, "FDSTORE": "100"}

    def launch(self, *words: str) -> tuple[list[str], list[int]]:
        """The command line that starts Python with what is stored, and the descriptors that it has to inherit."""
        passed = [(name, fd) for name, found in self.names.items() for fd in found]
        descriptors = [fd for _, fd in passed]
        names = ":".join(name for name, _ in passed)
        return [sys.executable, "-c", _LAUNCH, str(len(passed)), names, *map(str, descriptors), *words], descriptors


def _isSame(one: int, other: int) -> bool:
    """Whether two descriptors are of the same file."""
    found = [os.fstat(each) for each in (one, other)]
    return found[0].st_ino == found[1].st_ino and found[0].st_dev == found[1].st_dev
