"""The connections that a worker gets from the supervisor, and those that it hands on to other workers."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Sequence
from typing import Final
from uuid import UUID

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from bore.server import session
from bore.server.core import ServerCore
from bore.server.users import Login, User
from bore.streams.addresses import socketAddress
from bore.streams.descriptorframes import LOST, socketOf
from bore.wire.errors import FrameTooLong
from bore.wire.secret import Secret
from bore.wire.workermessages import BaseSession, Connection, DropOldest, HandOn, PeerAddress, Pending, WorkerMessage
from bore.workers.pending import ReportedConnections

#: The sources in one message at most: that many fit.
_AT_ONCE: Final = 1000


class Arrivals:
    """
    Serves the connections that come from the supervisor.

    :param send: sends the supervisor a message with its descriptors, which belong to the callee.
    """

    _log: Final = Logger()

    def __init__(
        self, clock: IReactorTime, core: ServerCore, send: Callable[[WorkerMessage, Sequence[int]], None]
    ) -> None:
        self._clock = clock
        self._core = core
        self._send = send
        self._seen = 0
        self._report: IDelayedCall | None = None
        core.server.control.setHandOn(self._handOn)

    def connection(self, message: Connection, descriptor: int) -> None:
        """Serve a connection."""
        self._seen += 1
        self.changed()
        if descriptor == LOST:
            return  # its client sees that it is closed, and comes again
        core = self._core
        core.server.descriptors.opened()
        sock = socketOf(descriptor, message.peer)
        try:
            if message.early:
                core.server.control.goOn(sock, message.peer, message.early, message.challenge)
            elif not message.encrypted:
                core.plain(sock, message.peer)
            elif core.encrypted is not None:
                core.encrypted(sock, message.peer)
            else:
                sock.close()
        except Exception:
            # An error of ours ends this connection, and no other one.
            self._log.failure("the connection from {peer} failed", peer=socketAddress(message.peer))
            sock.close()

    def baseSession(self, message: BaseSession, descriptor: int) -> None:
        """Go on with a session of the base protocol."""
        if descriptor != LOST:  # its client sees that it is closed
            adoptBaseSession(self._core, message, descriptor)

    def dropOldest(self, message: DropOldest) -> None:
        """There are too many unclassified connections of a source."""
        unclassified = self._core.server.unclassified
        if isinstance(unclassified, ReportedConnections):
            unclassified.dropOldest(message.source)

    def changed(self) -> None:
        """The numbers of unclassified connections have changed: they are reported in the next turn of the reactor."""
        if self._report is None:
            self._report = self._clock.callLater(0, self._reportNow)

    def stop(self) -> None:
        """Report nothing more."""
        if self._report is not None:
            self._report.cancel()
            self._report = None

    def _reportNow(self) -> None:
        self._report = None
        unclassified = self._core.server.unclassified
        changes = unclassified.takeChanges() if isinstance(unclassified, ReportedConnections) else ()
        for start in range(0, max(1, len(changes)), _AT_ONCE):
            self._send(Pending(self._seen, changes[start : start + _AT_ONCE]), ())

    def _handOn(
        self, worker: int, sock: socket.socket, peer: PeerAddress, early: bytes, challenge: UUID | None
    ) -> None:
        try:
            self._send(HandOn(worker, peer, early, challenge), [os.dup(sock.fileno())])
        except (OSError, FrameTooLong):
            self._log.failure("the connection from {peer} could not be handed on", peer=socketAddress(peer))
        sock.close()


def adoptBaseSession(core: ServerCore, message: BaseSession, descriptor: int) -> None:
    """Go on with a session of the base protocol, which comes from another process."""
    core.server.descriptors.opened()
    sock = socket.socket(fileno=descriptor)
    sock.setblocking(False)
    secret = None if message.secret is None else Secret.fromKey(message.secret)
    login = Login(User(message.user), message.peer, secret, encrypted=False)
    core.server.control.adopt(session.BaseSession(sock, login, message.source, message.address, message.token))
