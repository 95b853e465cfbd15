"""The connections of a session beside its control connection."""

from __future__ import annotations

import socket
from collections.abc import Callable
from math import inf

from twisted.internet.defer import Deferred, fail
from twisted.internet.error import ConnectionDone, TimeoutError
from twisted.internet.interfaces import IReadWriteDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

from bore.client.patience import Patience
from bore.relay.interface import Stream
from bore.streams.dial import ServerDialer
from bore.streams.encryption import RECORD, channelBinding, stuckAt
from bore.streams.reactor import IReactor
from bore.streams.tcpinfo import sinceReceived
from bore.wire.datasession import DataSession
from bore.wire.errors import WireError
from bore.wire.extension import HandedOn, Lane
from bore.wire.limits import ACCEPT_TIMEOUT
from bore.wire.messages import Accept
from bore.wire.proof import clientProof
from bore.wire.secret import Secret


class DataConnections:
    """
    Opens connections to the server of a session, each with the message that says its purpose.

    :param server: dials the server.
    :param secret: the secret that is shared with the server, or None.
    :param user: the user whose secret it is; empty: it is a shared one.
    :ivar server: dials the server.
    :ivar carriers: the sockets on which visitors of the session are served.
    """

    def __init__(self, reactor: IReactor, server: ServerDialer, secret: Secret | None, user: str = "") -> None:
        self._reactor = reactor
        self.server = server
        self._secret = secret
        self._user = user
        self.carriers: set[socket.socket] = set()

    @property
    def patience(self) -> float:
        """Seconds for which it pays to wait for an idle lane before a new connection is opened."""
        return self.server.patience

    def leadTo(self, worker: int) -> None:
        """The worker of the server that has the session: see :class:`bore.streams.dial.ServerDialer`."""
        self.server.leadTo(worker)

    def sinceReceived(self) -> float:
        """Seconds since bytes of the server were received for a visitor; infinity where that is not known."""
        return min(map(sinceReceived, self.carriers), default=inf)

    def open(
        self,
        request: Accept | Lane | HandedOn,
        patience: Patience | None = None,
        reached: Callable[[], None] | None = None,
    ) -> Stream | Deferred[Stream]:
        """
        Open one.

        :param patience: waits for a descriptor if there is none; None: the attempt fails.
        :param reached: called when the server is reached, before anything is sent.
        :returns: the connection behind the messages, now or later, or a failure.
        """
        sendsFirst = self._secret is None  # else the server does, with its challenge
        sock = self.server.dial(sendsFirst) if patience is None else patience.dial(self.server, sendsFirst)
        if isinstance(sock, Deferred):
            return sock.addCallback(self._begin, request, reached)
        return self._begin(sock, request, reached)

    def _begin(
        self, sock: socket.socket, request: Accept | Lane | HandedOn, reached: Callable[[], None] | None
    ) -> Stream | Deferred[Stream]:
        if reached is not None:
            reached()
        proof = None if self._secret is None else clientProof(self._secret, channelBinding(sock), self._user)
        session = DataSession(request, proof)
        data = session.greeting()
        if not data:
            return _Proving(self._reactor, sock, session).done
        try:
            _send(sock, data)
        except OSError as e:
            sock.close()
            return fail(Failure(e))
        return Stream(sock)


def _send(sock: socket.socket, data: bytes) -> None:
    """
    Send a few bytes on a fresh connection, whose empty buffer takes them at once.

    :raises OSError: if it does not.
    """
    if sock.send(data) < len(data):
        raise BlockingIOError("a fresh connection takes nothing")


@implementer(IReadWriteDescriptor)
class _Proving:
    """Answers the challenge on a fresh data connection; inside TLS it waits for the server's proof, too."""

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
            data = self._socket.recv(RECORD)
        except BlockingIOError:
            if stuckAt(self._socket):
                self._reactor.removeReader(self)
                self._reactor.addWriter(self)
            return
        except OSError as e:
            self._fail(e)
            return
        try:
            if not data:
                raise ConnectionDone
            answer = self._session.feed(data)
            if answer:
                _send(self._socket, answer)
        except (OSError, WireError, ConnectionDone) as e:
            self._fail(e)
            return
        if self._session.complete:
            self._reactor.removeReader(self)
            self._timeout.cancel()
            self.done.callback(Stream(self._socket, self._session.takeRest()))

    def doWrite(self) -> None:
        """There is room for what OpenSSL has to write before it reads on."""
        self._reactor.removeWriter(self)
        self._reactor.addReader(self)
        self.doRead()

    def connectionLost(self, reason: Failure) -> None:
        """The poll reports an error of the socket, or the reactor ends."""
        self._fail(reason.value)

    def _timedOut(self) -> None:
        self._fail(TimeoutError())

    def _fail(self, error: BaseException | None) -> None:
        self._close()
        self.done.errback(Failure(error))

    def _close(self) -> None:
        if self._timeout.active():
            self._timeout.cancel()
        self._reactor.removeReader(self)
        self._reactor.removeWriter(self)
        self._socket.close()
