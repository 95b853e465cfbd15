"""The processes of workers: how they are started, watched and ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from twisted.internet.interfaces import IDelayedCall, IReadDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

from bore.streams.reactor import IReactor
from bore.workers.signals import IGNORED

#: What a worker runs first. It is run as a file, and finds this package where it was found here.
_SCRIPT: Final = Path(__file__).parent.parent / "workerstart.py"

#: How often it is looked whether a process has exited, where the system does not notify of that, in seconds.
_LOOK: Final = 0.2

#: How many lines of its output are kept, and how many bytes of a line.
_LINES: Final = 20
_LINE: Final = 2000

#: How much is read at once.
_READ: Final = 1 << 16


def interpreter() -> list[str]:
    """
    The words that start this Python with the options that it was started with.

    The working directory is no place for modules, unless it was here.
    """
    flags: list[str] = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]  # as multiprocessing does
    return [sys.executable, *flags, "-P", str(_SCRIPT)]


def startProcess(words: Sequence[str], keep: Sequence[int], output: int) -> int:
    """
    Start a process of this program that ignores the signals of the supervisor.

    :param words: what follows the words of :func:`interpreter`.
    :param keep: the descriptors that it gets, with the same numbers.
    :param output: the descriptor for its standard output and standard error.
    :returns: its id. The caller has to wait for its end.
    :raises OSError: when it cannot be started.
    """
    # From its first instruction on: it inherits that they are blocked, ignores them, and unblocks them.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, IGNORED)
    try:
        process = subprocess.Popen(  # noqa: S603
            [*interpreter(), *words], stdin=subprocess.DEVNULL, stdout=output, stderr=output, pass_fds=tuple(keep)
        )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    process.returncode = 0  # the object must not wait for it
    return process.pid


def endingOf(status: int) -> str:
    """How a process has ended, in words, by its status of wait(2)."""
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"


@implementer(IReadDescriptor)
class _Reader:
    """Calls when a descriptor can be read."""

    def __init__(self, reactor: IReactor, fd: int, readable: Callable[[], None]) -> None:
        self._reactor = reactor
        self._fd = fd
        self._readable = readable
        if fd >= 0:
            reactor.addReader(self)

    def fileno(self) -> int:
        return self._fd

    def logPrefix(self) -> str:
        return "WorkerProcess"

    def doRead(self) -> None:
        self._readable()

    def connectionLost(self, reason: Failure) -> None:
        """The reactor stops, or the other end is gone."""
        self._readable()

    def close(self) -> None:
        """Close the descriptor. May be called twice."""
        if self._fd >= 0:
            self._reactor.removeReader(self)
            os.close(self._fd)
            self._fd = -1


class WorkerProcess:
    """
    The process of a worker.

    :param pid: a child of this process.
    :param output: the end of a pipe from which its output is read, if that is not the log; it belongs to this object.
        -1: its output is over.
    :param line: called with each line of that.
    :param exited: called with the status of wait(2) when it has ended, and its output was read.
    """

    def __init__(
        self,
        reactor: IReactor,
        pid: int,
        output: int,
        line: Callable[[str], None],
        exited: Callable[[int], None],
    ) -> None:
        self.pid = pid
        self._reactor = reactor
        self._line = line
        self._exited = exited
        self._status: int | None = None
        self._begun = b""
        self._timer: IDelayedCall | None = None
        self.last: deque[str] = deque(maxlen=_LINES)
        if output >= 0:
            os.set_blocking(output, False)
        self._reader = _Reader(reactor, output, self._read)
        self._watch: _Reader | None = None
        try:
            self._watch = _Reader(reactor, os.pidfd_open(pid), self._look)
        except OSError:  # Linux before 5.3, or a container that forbids it
            self._timer = reactor.callLater(_LOOK, self._look)

    @property
    def output(self) -> int:
        """The end of the pipe from which its output is read; -1: it has closed the other one."""
        return self._reader.fileno()

    @property
    def alive(self) -> bool:
        """Whether it has not ended yet."""
        return self._status is None

    def kill(self) -> None:
        """End it at once. May be called twice."""
        if self._status is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    def _look(self) -> None:
        self._timer = None
        if self._status is not None:
            return
        try:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
        except ChildProcessError:
            pid, status = self.pid, 0  # somebody else has waited for it
        if not pid:
            if self._watch is None:
                self._timer = self._reactor.callLater(_LOOK, self._look)
            return
        self._status = status
        if self._watch is not None:
            self._watch.close()
        self._read()
        self._reader.close()
        self._exited(status)

    def _read(self) -> None:
        """Read what has come of its output, unless that is over: then its descriptor belongs to somebody else."""
        if self.output < 0:
            return
        try:
            data = os.read(self.output, _READ)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._reader.close()
            data = b"\n" if self._begun else b""
        *lines, self._begun = (self._begun + data).split(b"\n")
        self._begun = self._begun[:_LINE]
        for line in lines:
            text = line[:_LINE].decode(errors="backslashreplace")
            self.last.append(text)
            self._line(text)
