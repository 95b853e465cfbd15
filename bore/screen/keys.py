"""Single keys from a terminal, read while this process is in its foreground."""

from __future__ import annotations

import contextlib
import os
import termios
from collections.abc import Callable
from typing import Any, Final

from twisted.internet.interfaces import IReactorFDSet, IReadDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

#: Bytes that are read in one turn.
_SIZE: Final = 64

#: The flags of a terminal, as tcgetattr(3) returns them.
_LOCAL_FLAGS: Final = 3
_CHARACTERS: Final = 6


def isForeground(fd: int) -> bool:
    """Whether this process is in the foreground of a terminal, so that it may read from it and change it."""
    try:
        return os.tcgetpgrp(fd) == os.getpgrp()
    except OSError:  # it does not control this process: nobody stops it for that
        return os.isatty(fd)


@implementer(IReadDescriptor)
class Keys:
    """
    Has a terminal deliver each key at once, and without showing it.

    Keys that send signals keep doing that. The terminal is restored by :meth:`end`. A read never blocks, and nothing is
    changed in the background, where it would stop the process.

    :param fd: the terminal.
    """

    def __init__(self, reactor: IReactorFDSet, fd: int) -> None:
        self._reactor = reactor
        self._fd = fd
        self._pressed: Callable[[bytes], None] = lambda keys: None
        self._former: list[Any] | None = None

    def fileno(self) -> int:
        """See IReadDescriptor."""
        return self._fd

    def logPrefix(self) -> str:
        """See ILoggingContext."""
        return "keys"

    def begin(self, pressed: Callable[[bytes], None]) -> None:
        """
        Read keys, if this process is in the foreground.

        :param pressed: called with the bytes of keys.
        """
        self._pressed = pressed
        if not isForeground(self._fd):
            self.forget()
            return
        with contextlib.suppress(OSError, termios.error):
            found = termios.tcgetattr(self._fd)
            if self._former is None or found[_LOCAL_FLAGS] & termios.ICANON:  # a shell may have restored it
                termios.tcsetattr(self._fd, termios.TCSANOW, _unbuffered(found))
                self._former = found
            self._reactor.addReader(self)

    def end(self) -> None:
        """Restore the terminal, and read nothing more from it."""
        former = self._former
        self.forget()
        if former is not None and isForeground(self._fd):
            with contextlib.suppress(OSError, termios.error):  # it is gone
                termios.tcsetattr(self._fd, termios.TCSANOW, former)

    def forget(self) -> None:
        """Read nothing more, and leave the terminal to the process that is in the foreground now."""
        self._former = None
        with contextlib.suppress(OSError):
            self._reactor.removeReader(self)

    def doRead(self) -> None:
        """See IReadDescriptor."""
        try:
            keys = os.read(self._fd, _SIZE)
        except OSError:  # EIO: it is in the background, or the terminal is gone
            keys = b""
        if keys:
            self._pressed(keys)
        else:
            self._reactor.removeReader(self)  # the next begin() tries again

    def connectionLost(self, reason: Failure) -> None:
        """See IReadDescriptor: the terminal is gone."""
        self.forget()


def _unbuffered(former: list[Any]) -> list[Any]:
    """The settings of a terminal that delivers keys at once, and of which a read never waits."""
    changed = [*former]
    changed[_LOCAL_FLAGS] &= ~(termios.ICANON | termios.ECHO)
    characters = [*former[_CHARACTERS]]
    characters[termios.VMIN], characters[termios.VTIME] = 0, 0
    changed[_CHARACTERS] = characters
    return changed
