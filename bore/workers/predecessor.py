"""The process from which a server has taken over: a worker that retires, at the other end of a channel."""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Callable, Sequence
from typing import Final
from uuid import UUID

from bore.events import Sink
from bore.events.server import PredecessorEnded
from bore.server.core import ServerCore
from bore.server.localcustody import LocalCustody
from bore.streams.descriptorframes import LOST, closeDescriptors
from bore.streams.reactor import IReactor
from bore.version import __version__
from bore.wire.workermessages import (
    BaseSession,
    Bye,
    Connection,
    PeerAddress,
    Ready,
    Retire,
    SupervisorMessage,
    Welcome,
    WorkerMessage,
)
from bore.wire.workersession import SupervisorEnd
from bore.workers.arrivals import adoptBaseSession
from bore.workers.conversation import Conversation
from bore.workers.custodian import Custodian

#: The number of the other process: it is the only worker.
THE_WORKER: Final = 1

#: The most connections that wait until the other process is a worker.
_WAITING: Final = 256

#: How long a process takes to end that has closed its descriptors, in seconds.
_DYING: Final = 0.5


class Predecessor:
    """
    The process from which this one has taken over.

    :param sock: the channel to it.
    :param pid: its number.
    :param core: the server of this process.
    :param whole: its custody.
    :param seconds: how long its streams may go on.
    :param given: called when it has given the admin socket and the status port.
    :param refused: called when it lives and is not a worker of this one: it goes on as the server, which this process
        must not be.
    """

    def __init__(
        self,
        reactor: IReactor,
        sink: Sink,
        sock: socket.socket,
        pid: int,
        core: ServerCore,
        whole: LocalCustody,
        seconds: float,
        given: Callable[[], object],
        refused: Callable[[], object],
    ) -> None:
        self._reactor = reactor
        self._sink = sink
        self._core = core
        self._waiting: list[tuple[Connection, int]] = []
        self._whole = whole
        self._given: Callable[[], object] | None = given
        self._refused = refused
        self._process = os.pidfd_open(pid)
        self._pid = pid
        self._seconds = seconds
        self._talk: Conversation[WorkerMessage, SupervisorMessage] = Conversation(
            reactor, sock, SupervisorEnd(), self._received, self._lost
        )
        self.custodian = Custodian(whole, self._talk.send)

    @property
    def hasTunnels(self) -> bool:
        """Whether there are tunnels whose clients have not come to this process yet."""
        return any(each.share is self.custodian.share for each in self._whole.held())

    def begin(self) -> None:
        """Have it retire. This process serves clients from now on."""
        # There are no counters that several workers share.
        self._talk.send(Welcome(__version__, THE_WORKER, 1, 1), (os.open(os.devnull, os.O_RDONLY),))
        self._core.server.follow(self._handOn)

    def _received(self, message: WorkerMessage, descriptors: Sequence[int]) -> None:
        match message:
            case Ready():
                self._takeGiven()
                self._talk.send(Retire(self._seconds))
                waiting, self._waiting = self._waiting, []
                for connection, descriptor in waiting:
                    self._talk.send(connection, (descriptor,))
            case BaseSession() if LOST not in descriptors:
                adoptBaseSession(self._core, message, descriptors[0])
            case Bye():
                self._end()
            case _ if self.custodian.received(message, descriptors):
                pass
            case _:
                closeDescriptors(descriptors)

    def _lost(self, reason: str | None) -> None:
        if self._given is None:  # it is a worker
            self._end()
        else:
            self._reactor.callLater(_DYING, self._neverTaken)

    def _neverTaken(self) -> None:
        """It has closed the channel without a word: it goes on, unless it is dead."""
        if select.select([self._process], [], [], 0)[0]:
            self._end()
        else:
            self._refused()

    def _handOn(
        self, worker: int, sock: socket.socket, peer: PeerAddress, early: bytes, challenge: UUID | None
    ) -> None:
        """Hand on a connection for a visitor that is not here: an original client was told of it before."""
        connection = Connection(False, peer, early, challenge)
        if self._talk.end.maySend(Connection) and not self._talk.full:
            self._talk.send(connection, (sock.detach(),))
        elif self._given is not None and len(self._waiting) < _WAITING:
            self._waiting.append((connection, sock.detach()))
        else:
            sock.close()

    def _takeGiven(self) -> None:
        given, self._given = self._given, None
        if given is not None:
            given()

    def _end(self) -> None:
        os.close(self._process)
        self._core.server.follow(None)
        closeDescriptors([descriptor for _, descriptor in self._waiting])
        self._waiting.clear()
        self._takeGiven()
        self._talk.close()
        self.custodian.gone()
        self._sink.emit(PredecessorEnded(self._pid))
