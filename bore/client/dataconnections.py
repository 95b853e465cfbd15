"""New connections to the server, beside the control connection."""

from __future__ import annotations

import socket
from collections.abc import Callable

from twisted.internet.defer import Deferred, fail
from twisted.internet.error import ConnectionDone, TimeoutError
from twisted.internet.interfaces import IReadWriteDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

from bore.client.patience import Patience
from bore.relay.interface import Stream
from bore.streams.dial import Dials
from bore.streams.reactor import IReactor
from bore.streams.sockets import RECORD, channelBinding, stuckAt
from bore.wire.datasession import DataSession
from bore.wire.errors import WireError
from bore.wire.extension import Lane
from bore.wire.limits import ACCEPT_TIMEOUT
from bore.wire.messages import Accept
from bore.wire.proof import clientProof
from bore.wire.secret import Secret


class DataConnections:
    """
    Opens connections to the server, and says what each is for.

    :param secret: what is shared with the server, or None.
    """

    def __init__(self, reactor: IReactor, secret: Secret | None) -> None:
        self._reactor = reactor
        self._secret = secret

    def open(
        self,
        server: Dials,
        request: Accept | Lane,
        patience: Patience | None = None,
        reached: Callable[[], None] | None = None,
    ) -> Stream | Deferred[Stream]:
        """
        Open one.

        :param server: dials the server.
        :param patience: waits for a descriptor if there is none; None: then it fails.
        :param reached: called when the server is reached, before anything is said.
        :returns: the connection, as it is behind what was said on it; now or later, or a failure.
        """
        sock = server.dial() if patience is None else patience.dial(server)
        if isinstance(sock, Deferred):
            return sock.addCallback(self._say, request, reached)
        return self._say(sock, request, reached)

    def _say(
        self, sock: socket.socket, request: Accept | Lane, reached: Callable[[], None] | None
    ) -> Stream | Deferred[Stream]:
        if reached is not None:
            reached()
        secret = self._secret
        session = DataSession(request, None if secret is None else clientProof(secret, channelBinding(sock)))
        words = session.greeting()
        if not words:
            return _Proving(self._reactor, sock, session).done
        try:
            _say(sock, words)
        except OSError as e:
            sock.close()
            return fail(Failure(e))
        return Stream(sock)


def _say(sock: socket.socket, words: bytes) -> None:
    """
    Say something on a fresh connection, which takes so little at once.

    :raises OSError: when it does not.
    """
    if sock.send(words) < len(words):
        raise BlockingIOError("a fresh connection takes nothing")


@implementer(IReadWriteDescriptor)
class _Proving:
    """Waits for the challenge on a fresh data connection, and answers it; inside TLS, the server's proof follows."""

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
            words = self._session.feed(data)
            if words:
                _say(self._socket, words)
        except (OSError, WireError, ConnectionDone) as e:
            self._fail(e)
            return
        if self._session.complete:
            self._reactor.removeReader(self)
            self._timeout.cancel()
            self.done.callback(Stream(self._socket, self._session.takeRest()))

    def doWrite(self) -> None:
        """What OpenSSL had to write before it reads finds room now."""
        self._reactor.removeWriter(self)
        self._reactor.addReader(self)
        self.doRead()

    def connectionLost(self, reason: Failure) -> None:
        """The poll says that something is wrong with the socket, or the reactor ends."""
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
