"""How the supervisor starts a worker, and connects it."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from twisted.logger import Logger

from bore.streams.channel import Remains
from bore.streams.reactor import IReactor
from bore.timing.turns import Turns
from bore.version import __version__
from bore.wire.workermessages import Welcome, WorkerMessage
from bore.wire.workersession import Position
from bore.workers.crew import Member
from bore.workers.line import WorkerLine
from bore.workers.process import WorkerProcess, endingOf, startProcess
from bore.workers.visitortable import VisitorTable, makeTable


class Launcher:
    """
    Starts workers.

    :param words: what follows the numbers on their command line: see :func:`bore.workerprogram.work`.
    :param log: the descriptor that they log to; None: their standard error, which is read here.
    :param copy: called with each line of their output, if it is the log.
    :param counters: the descriptor of the table of visitors that an earlier supervisor has made; None: there is none.
    :ivar counters: that of this one.
    :ivar table: the visitors of the users, which all workers share.
    :ivar received: called with each message of a worker, and its descriptors.
    :ivar cut: called when the channel to one is over.
    :ivar exited: called when the process of one has ended, and how.
    :ivar drained: called when the channel to one is no longer full.
    """

    _log: Final = Logger()

    def __init__(
        self,
        reactor: IReactor,
        words: Sequence[str],
        log: int | None,
        copy: Callable[[str], object] | None = None,
        counters: int | None = None,
    ) -> None:
        self._reactor = reactor
        self.words = words
        self._logFd = log
        self._copy = copy
        self._turns = Turns(reactor)
        self.counters = makeTable() if counters is None else counters
        self.table = VisitorTable(self.counters)
        self.received: Callable[[Member, WorkerMessage, Sequence[int]], None] = lambda member, message, fds: None
        self.cut: Callable[[Member], None] = lambda member: None
        self.exited: Callable[[Member, str], None] = lambda member, how: None
        self.drained: Callable[[], None] = lambda: None
        #: How many workers there are, for their Welcome.
        self.count = 1

    def launch(self, member: Member) -> None:
        """
        Start a worker.

        :raises OSError: when that is not possible.
        """
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        reading, writing = os.pipe()
        try:
            log = writing if self._logFd is None else self._logFd
            words = ["worker", str(theirs.fileno()), str(log), str(member.number), str(member.generation), *self.words]
            pid = startProcess(words, [theirs.fileno(), log], writing)
        except BaseException:
            ours.close()
            os.close(reading)
            raise
        finally:
            theirs.close()
            os.close(writing)
        self.connect(member, pid, reading, ours)
        self.table.addWorker(member.number)
        member.send(Welcome(__version__, member.number, member.generation, self.count), [os.dup(self.counters)])

    def connect(
        self,
        member: Member,
        pid: int,
        output: int,
        sock: socket.socket,
        position: Position | None = None,
        remains: Remains | None = None,
    ) -> None:
        """
        Watch the process of a worker, and listen to it.

        :param output: the end of the pipe from which its output is read.
        :param sock: the supervisor's end of its channel.
        :param position: where the channel stood in an earlier supervisor.
        :param remains: what was on its way there.
        """
        self.watch(member, pid, output)
        self.listen(member, sock, position, remains)

    def watch(self, member: Member, pid: int, output: int) -> None:
        """Watch the process of a worker: see :meth:`connect`."""
        member.process = WorkerProcess(
            self._reactor, pid, output, partial(self._line, member), partial(self._exited, member)
        )

    def listen(
        self, member: Member, sock: socket.socket, position: Position | None = None, remains: Remains | None = None
    ) -> None:
        """Listen to a worker: see :meth:`connect`."""
        member.line = WorkerLine(
            self._reactor,
            sock,
            lambda message, fds: self.received(member, message, fds),
            lambda: self.cut(member),
            lambda: self.drained(),
            self._turns,
            position,
            remains,
        )

    def _exited(self, member: Member, status: int) -> None:
        self.exited(member, endingOf(status))

    def _line(self, member: Member, text: str) -> None:
        """A line of the output of a worker."""
        if self._copy is not None:
            self._copy(text)
        elif member.phase.name != "STARTING":  # then it is a part of the reason why it could not start
            self._log.warn("worker {worker}: {line}", worker=member.number, line=text)
