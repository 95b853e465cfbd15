"""
The descriptor store of the service manager (sd_notify(3), FDSTORE): it keeps descriptors of this process, and passes
them to the next one when this one ends or is killed, and is started again.

Only imported where there is one.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Final

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from bore.system.notify import Notifier

#: The variable with the size of the store (systemd 254 and later; the unit sets it for earlier ones).
VARIABLE: Final = "FDSTORE"

#: When notices are sent again that the manager has not taken, in seconds.
_AGAIN: Final = 0.1


def storeSize(environment: Mapping[str, str]) -> int:
    """How many descriptors the manager keeps for this process; 0: it has no store."""
    text = environment.get(VARIABLE, "")
    return int(text) if text.isdecimal() and len(text) < 10 else 0


class DescriptorStore:
    """
    The store of this process. Nothing waits: what the manager has not taken yet is sent again.

    :param size: how many descriptors it takes.
    :param found: the descriptors that were in the store when this process was started, and their names. They stay in
        the store until they are removed.
    """

    def __init__(self, clock: IReactorTime, notifier: Notifier, size: int, found: Iterable[tuple[int, str]]) -> None:
        self._clock = clock
        self._notifier = notifier
        self._size = size
        self._found: dict[str, list[int]] = {}
        for fd, name in found:
            os.set_inheritable(fd, False)
            self._found.setdefault(name, []).append(fd)
        self._names = set(self._found)
        self._pending: dict[str, tuple[bool, int | None]] = {}  # whether to remove it, and what to add behind that
        self._timer: IDelayedCall | None = None
        self._isClosed = False

    def take(self, name: str) -> int | None:
        """
        Take a descriptor that was in the store. It belongs to the caller from now on.

        :returns: None: there is none with this name, or there are several.
        """
        if len(self._found.get(name, ())) != 1:
            return None
        return self._found.pop(name)[0]

    def discard(self) -> int:
        """Remove what was in the store and was not taken. Listening sockets listen no more. Returns the number."""
        count = 0
        for name, descriptors in self._found.items():
            self.remove(name)
            for fd in descriptors:
                count += 1
                closeStored(fd)
        self._found.clear()
        return count

    @property
    def names(self) -> list[str]:
        """The names of the descriptors that this process has put into the store."""
        return list(self._names)

    def know(self, names: Iterable[str]) -> None:
        """There are descriptors in the store that this process has put there while it ran other code."""
        self._names.update(names)

    def keep(self, name: str, fd: int) -> bool:
        """
        Put a descriptor into the store, in the place of another one with this name. It has to be open until it is
        removed, or the process ends.

        :returns: whether there is room.
        """
        if self._isClosed or (name not in self._names and len(self._names) >= self._size):
            return False
        self._pending[name] = (name in self._names or name in self._pending, fd)
        self._names.add(name)
        self._send()
        return True

    def remove(self, name: str) -> None:
        """Remove a descriptor from the store, if it is there. To be called before it is closed."""
        if self._isClosed or name not in self._names:
            return
        self._names.discard(name)
        self._pending[name] = (True, None)
        self._send()

    def removeAll(self) -> None:
        """Remove all descriptors of this process."""
        for name in list(self._names):
            self.remove(name)

    def close(self) -> None:
        """Leave the store as it is: the next process gets what is in it."""
        self._send()
        self._isClosed = True
        self._pending.clear()
        if self._timer is not None and self._timer.active():
            self._timer.cancel()

    def _send(self) -> None:
        for name, (remove, fd) in list(self._pending.items()):
            if remove and not self._notifier.send("FDSTOREREMOVE=1", f"FDNAME={name}"):
                break
            if fd is not None and not self._notifier.send("FDSTORE=1", f"FDNAME={name}", "FDPOLL=0", descriptors=(fd,)):
                self._pending[name] = (False, fd)
                break
            del self._pending[name]
        if self._pending and (self._timer is None or not self._timer.active()):
            self._timer = self._clock.callLater(_AGAIN, self._send)


def closeStored(fd: int) -> None:
    """
    Close a descriptor of which the store may still have a copy. If it listens, its address is free at once, and those
    that wait in it are reset.
    """
    with suppress(OSError), socket.socket(fileno=os.dup(fd)) as sock:
        sock.shutdown(socket.SHUT_RDWR)
    with suppress(OSError):
        os.close(fd)
