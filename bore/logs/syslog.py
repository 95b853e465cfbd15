"""The system's log, as syslog(3) writes to it, without its waiting."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from typing import Final

from twisted.logger import ILogObserver, LogEvent, formatTime
from zope.interface import implementer

from bore.logs.observers import levelOf, priorityOf, text

#: Where the daemon listens: on Linux, and on macOS.
_PLACES: Final = ("/dev/log", "/var/run/syslog")

#: LOG_USER of syslog(3), which twistd uses as well.
_FACILITY: Final = 1 << 3


@implementer(ILogObserver)
class SyslogObserver:
    """
    Sends each event to the local syslog daemon, with the priority of its level.

    syslog(3) waits for a daemon that does not read, and the whole program would wait with it. Here what the daemon does
    not take is dropped and counted, and the count is sent when it takes something again.

    :param prefix: what the program is called there.
    :param places: where the daemon may listen, instead of the usual places.
    """

    def __init__(self, prefix: str, places: tuple[str, ...] = _PLACES) -> None:
        self._prefix = prefix
        self._places = places
        self._socket: socket.socket | None = None
        self._dropped = 0

    def __call__(self, event: LogEvent) -> None:
        first, *rest = text(event).split("\n")
        for line in (first, *("\t" + each for each in rest)):
            if self._dropped and self._send(
                _WARNING, f"{self._dropped} lines of the log were dropped: nobody read them"
            ):
                self._dropped = 0
            if not self._send(priorityOf(levelOf(event)), line):
                self._dropped += 1

    def _send(self, priority: int, line: str) -> bool:
        """Send a line, and say whether the daemon has taken it."""
        now = formatTime(time.time(), "%b %d %H:%M:%S")
        data = f"<{_FACILITY | priority}>{now} {self._prefix}[{os.getpid()}]: {line}".encode(errors="backslashreplace")
        for _ in range(2):  # the daemon may have been started anew since the last line
            try:
                self._socket = self._socket or self._connect()
                self._socket.send(data, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return False
            except OSError:
                self._close()
            else:
                return True
        return False

    def _connect(self) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        sock.setblocking(False)
        for place in self._places:
            with contextlib.suppress(FileNotFoundError):
                sock.connect(place)
                return sock
        sock.close()
        raise FileNotFoundError

    def _close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


_WARNING: Final = priorityOf("warn")
