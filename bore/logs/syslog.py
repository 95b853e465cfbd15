"""Syslog without blocking."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from typing import Final

from twisted.logger import ILogObserver, LogEvent, formatTime
from zope.interface import implementer

from bore.logs.observers import levelOf, priorityOf, text

#: The daemon's socket: on Linux, and on macOS.
_PATHS: Final = ("/dev/log", "/var/run/syslog")

#: LOG_USER (syslog(3)), as twistd has it.
_FACILITY: Final = 1 << 3


@implementer(ILogObserver)
class SyslogObserver:
    """
    Sends each event to the local syslog daemon, with the priority of its level.

    syslog(3) blocks while the daemon does not read. Here lines that the daemon does not accept are dropped and counted,
    and their number is sent when it accepts lines again.

    :param prefix: the name of the program in the log.
    :param paths: the paths at which the daemon's socket may be.
    """

    def __init__(self, prefix: str, paths: tuple[str, ...] = _PATHS) -> None:
        self._prefix = prefix
        self._paths = paths
        self._socket: socket.socket | None = None
        self._dropped = 0

    def __call__(self, event: LogEvent) -> None:
        first, *rest = text(event).split("\n")
        for line in (first, *("\t" + each for each in rest)):
            if self._dropped and self._send(
                _WARNING, f"lines that were dropped, because the daemon did not read them: {self._dropped}"
            ):
                self._dropped = 0
            if not self._send(priorityOf(levelOf(event)), line):
                self._dropped += 1

    def _send(self, priority: int, line: str) -> bool:
        """Send a line, and return whether the daemon has accepted it."""
        now = formatTime(time.time(), "%b %d %H:%M:%S")
        data = f"<{_FACILITY | priority}>{now} {self._prefix}[{os.getpid()}]: {line}".encode(errors="backslashreplace")
        for _ in range(2):  # the daemon may have been restarted since the last line
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
        for path in self._paths:
            with contextlib.suppress(FileNotFoundError):
                sock.connect(path)
                return sock
        sock.close()
        raise FileNotFoundError

    def _close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


_WARNING: Final = priorityOf("warn")
