"""Visitors, as the client sees them: for each one a connection to the server and one to the local service."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Final
from uuid import UUID

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone, TimeoutError
from twisted.internet.interfaces import IReadDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

from bore.client.settings import ClientSettings
from bore.relay.face import Ending, Relay, Stream
from bore.streams.bursts import Burst, Overflow
from bore.streams.dial import Dialer
from bore.streams.reactor import IReactor
from bore.streams.visitorlog import VisitorLog
from bore.wire.clientsession import DataSession
from bore.wire.errors import WireError
from bore.wire.limits import ACCEPT_TIMEOUT, MAX_FRAME

#: Visitors that may be on their way to the local service at the same time. A server that announces more gets no
#: connection for them, and drops them when their time is over.
MAX_DIALLING: Final = 1024


class Visitors:
    """
    Brings visitors to the local service.

    :param local: dials the local service.
    :ivar witness: called for each visitor that has come through to this client.
    :ivar unaccepted: visitors for whom no data connection could be made.
    :ivar unserved: visitors for whom the local service could not be reached.
    """

    log = VisitorLog()

    def __init__(self, reactor: IReactor, relay: Relay, settings: ClientSettings) -> None:
        self.reactor = reactor
        self.relay = relay
        self.local = Dialer(reactor, settings.localHost, settings.localPort)
        self.localName = settings.local
        self.secret = settings.secret
        self.witness: Callable[[], None] | None = None
        self._maxVisitors = settings.maxVisitors
        self._dialling: dict[UUID, _Visitor] = {}
        self._crowd = Overflow(reactor, "{limit} visitors are being connected, more are left out")
        self._throng = Overflow(reactor, "{limit} visitors may be there, more are turned away")
        self.unaccepted = Burst(reactor)
        self.unserved = Burst(reactor)

    def came(self, id: UUID, server: Dialer, header: bytes = b"") -> None:
        """
        Serve a visitor.

        :param server: dials the server that has announced it.
        :param header: what the local service is told first.
        """
        self._noticed()
        if id in self._dialling:
            return  # announced again, by a session that took over
        if len(self._dialling) >= MAX_DIALLING:
            self._crowd.happened(limit=MAX_DIALLING)
        else:
            full = 0 < self._maxVisitors <= len(self._dialling) + len(self.relay)
            if full:
                self._throng.happened(limit=self._maxVisitors)
            visitor = self._dialling[id] = _Visitor(self, id, header, full)
            visitor.start(server)

    def stop(self) -> None:
        """Let go of the visitors that are not connected yet."""
        for visitor in list(self._dialling.values()):
            visitor.stop()

    def _noticed(self) -> None:
        """A visitor has come through to this client, whatever becomes of it."""
        if self.witness is not None:
            self.witness()

    def settled(self, id: UUID) -> None:
        """This visitor is connected, or will never be."""
        self._dialling.pop(id, None)


class _Visitor:
    """
    One visitor on its way.

    Both connections are made at the same time. The visitor is accepted even if the local service cannot be reached:
    only then can it be told at once, by closing.

    :param refused: it is accepted for being told no, as there are too many.
    """

    __slots__ = ("_header", "_id", "_local", "_refused", "_server", "_steps", "_stopped", "_visitors")

    def __init__(self, visitors: Visitors, id: UUID, header: bytes, refused: bool) -> None:
        self._visitors = visitors
        self._id = id
        self._header = header
        self._server: Stream | None = None
        self._local: socket.socket | None = None
        self._refused = refused
        self._stopped = False
        self._steps: list[Deferred[None]] = []

    def start(self, server: Dialer) -> None:
        if VisitorLog.wanted:
            self._visitors.log.debug("visitor {id}", id=self._id)
        local = None if self._refused else self._visitors.local.dial()
        if isinstance(local, Deferred):
            self._steps.append(local.addCallbacks(self._localReached, self._localFailed))
        else:
            self._local = local
        remote = server.dial()
        if isinstance(remote, Deferred):
            self._steps.append(remote.addCallback(self._accept).addErrback(self._acceptFailed))
        else:
            self._accept(remote)

    def stop(self) -> None:
        """Close what is open."""
        self._stopped = True
        self._visitors.settled(self._id)
        for step in self._steps:
            step.cancel()
        if self._server is not None:
            self._server.socket.close()
        if self._local is not None:
            self._local.close()

    def _accept(self, sock: socket.socket) -> None:
        """Say Accept on the new data connection."""
        session = DataSession(self._id, self._visitors.secret)
        words = session.greeting()
        if words:
            try:
                _say(sock, words)
            except OSError as e:
                sock.close()
                self._acceptFailed(Failure(e))
                return
            self._accepted(Stream(sock))
        else:
            proving = _Proving(self._visitors.reactor, sock, session).done
            self._steps.append(proving.addCallbacks(self._accepted, self._acceptFailed))

    def _accepted(self, server: Stream) -> None:
        self._server = server
        self._join()

    def _acceptFailed(self, reason: Failure) -> None:
        if self._stopped:
            return
        if self._visitors.unaccepted.begins():
            error = reason.getErrorMessage()
            self._visitors.log.warn("visitor {id}: no data connection: {error}", id=self._id, error=error)
        self.stop()

    def _localReached(self, local: socket.socket) -> None:
        self._local = local
        self._join()

    def _localFailed(self, reason: Failure) -> None:
        if self._stopped:
            return
        if self._visitors.unserved.begins():
            self._visitors.log.warn(
                "visitor {id}: cannot connect to {local}: {error}",
                id=self._id,
                local=self._visitors.localName,
                error=reason.getErrorMessage(),
            )
        self._refused = True
        self._join()

    def _join(self) -> None:
        """Go on, if both connections have got as far as they can."""
        if self._server is None:
            return
        if self._refused:
            self.stop()
        elif self._local is not None:
            self._visitors.settled(self._id)
            server = Stream(self._server.socket, self._header + self._server.early)
            self._visitors.relay.join(server, Stream(self._local), self._left)

    def _left(self, ending: Ending) -> None:
        if VisitorLog.wanted:
            self._visitors.log.debug(
                "visitor {id} is gone: {reason}; {fromVisitor} bytes from it, {toVisitor} to it",
                id=self._id,
                reason=ending.reason.value,
                fromVisitor=ending.toRight,
                toVisitor=ending.toLeft,
            )


def _say(sock: socket.socket, words: bytes) -> None:
    """
    Say something on a fresh connection, which takes so little at once.

    :raises OSError: when it does not.
    """
    if sock.send(words) < len(words):
        raise BlockingIOError("a fresh connection takes nothing")


@implementer(IReadDescriptor)
class _Proving:
    """Waits for the challenge on a fresh data connection, and answers it with the proof and Accept."""

    def __init__(self, reactor: IReactor, sock: socket.socket, session: DataSession) -> None:
        self._reactor = reactor
        self._socket = sock
        self._session = session
        self.done: Deferred[Stream] = Deferred(lambda _: self._close())
        self._timeout = reactor.callLater(ACCEPT_TIMEOUT, self._timedOut)
        reactor.addReader(self)

    def fileno(self) -> int:
        return self._socket.fileno()

    def logPrefix(self) -> str:
        return "Proving"

    def doRead(self) -> None:
        try:
            data = self._socket.recv(MAX_FRAME)
            if not data:
                raise ConnectionDone
            words = self._session.feed(data)
        except BlockingIOError:
            return
        except (OSError, WireError, ConnectionDone) as e:
            self._fail(e)
            return
        if words is not None:
            self._reactor.removeReader(self)
            self._finish(words)

    def connectionLost(self, reason: Failure) -> None:
        """The poll says that something is wrong with the socket, or the reactor ends."""
        self._fail(reason.value)

    def _finish(self, words: bytes) -> None:
        try:
            _say(self._socket, words)
        except OSError as e:
            self._fail(e)
            return
        self._timeout.cancel()
        self.done.callback(Stream(self._socket, self._session.takeRest()))

    def _timedOut(self) -> None:
        self._fail(TimeoutError())

    def _fail(self, error: BaseException | None) -> None:
        self._close()
        self.done.errback(Failure(error))

    def _close(self) -> None:
        if self._timeout.active():
            self._timeout.cancel()
        self._reactor.removeReader(self)
        self._socket.close()
