"""A port that speaks TLS."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable
from typing import Final, Protocol
from weakref import WeakSet

from OpenSSL import SSL
from twisted.internet.interfaces import IReadDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

from bore.events import Sink
from bore.events.server import ConnectionRefused, HandshakeFailed, HandshakeTimedOut
from bore.streams.addresses import SocketAddress, socketAddress, sourceOf
from bore.streams.errortexts import errorText
from bore.streams.listener import Accepted
from bore.streams.reactor import IReactor
from bore.timing.turns import HANDSHAKE, Turns
from bore.tls.handshakes import Handshake
from bore.tls.servercertificate import ServerCertificate
from bore.tls.tlssocket import TlsSocket
from bore.wire.errors import CertificateRefused, NeedsTls, ProxyHeader, Refusal
from bore.wire.limits import FIRST_MESSAGE_TIMEOUT
from bore.wire.messages import Error, encode
from bore.wire.proxyprotocol import SIGNATURES

#: A record of a TLS handshake begins with this byte (RFC 8446, section 5.1), and no message of ours does.
_HANDSHAKE: Final = b"\x16"

#: So much of what has come is looked at: the longest of what is known by name.
_FIRST: Final = max(map(len, SIGNATURES))

#: So many certificates are verified in one turn of the reactor, each of which takes about 0.2 ms.
_JUDGED_AT_ONCE: Final = 50

#: So much of what a plain client has said is read, so that closing does not destroy the answer to it.
_PLAIN: Final = 4096


class Waiting(Protocol):
    """Bounds the connections that have not sent their first message yet, in number and in time."""

    def add(self, connection: _Arrival, source: str, /) -> None:
        """A connection has come; of this one, or another one, ``refuse``, ``timedOut`` or ``drop`` is called."""

    def take(self, connection: _Arrival, /) -> None:
        """A connection is ready, or closed."""


class TlsPort:
    """
    Has TLS spoken on accepted connections before anything else is.

    :param unclassified: bounds those that are not that far yet.
    :param accepted: is given those that are.
    :param endSessions: ends the sessions on some sockets, and says on which of them there were some.
    """

    def __init__(
        self,
        reactor: IReactor,
        sink: Sink,
        certificate: ServerCertificate,
        unclassified: Waiting,
        accepted: Accepted,
        endSessions: Callable[[set[socket.socket], Refusal], set[socket.socket]],
    ) -> None:
        self.reactor = reactor
        self.sink = sink
        self.certificate = certificate
        self.unclassified = unclassified
        self.turns = Turns(reactor)
        self._passOn = accepted
        self._endSessions = endSessions
        self._verified: WeakSet[TlsSocket] = WeakSet()
        certificate.authoritiesChanged = self._authoritiesChanged

    def accepted(self, sock: socket.socket, address: SocketAddress) -> None:
        """Serve a connection that was accepted on the port."""
        _Arrival(self, sock, address).start()

    def passOn(self, sock: TlsSocket, address: SocketAddress) -> None:
        """Hand a connection on that has shown what the server demands."""
        if self.certificate.authorities:
            self._verified.add(sock)
        self._passOn(sock, address)

    def _authoritiesChanged(self) -> None:
        self._endUnsigned(list(self._verified), {})

    def _endUnsigned(self, sockets: list[TlsSocket], judged: dict[tuple[bytes, ...], bool]) -> None:
        """
        End what was opened with certificates that would not be accepted any more: sessions are told so, lanes and
        running visitors are cut.

        :param judged: what was shown on other sockets, and whether it would be accepted: most of a client's are alike.
        """
        over: set[socket.socket] = set()
        end = len(judged) + _JUDGED_AT_ONCE
        while sockets and len(judged) < end:
            sock = sockets.pop()
            if sock.fileno() >= 0:
                shown = sock.chainBytes
                if shown not in judged:
                    judged[shown] = self.certificate.accepts(sock)
                if not judged[shown]:
                    over.add(sock)
        for each in over - self._endSessions(over, CertificateRefused()):
            with contextlib.suppress(OSError):
                socket.socket.shutdown(each, socket.SHUT_RDWR)  # without close_notify: whoever reads it finds it cut
        if sockets:
            self.reactor.callLater(0, self._endUnsigned, sockets, judged)


@implementer(IReadDescriptor)
class _Arrival:
    """A connection that has said nothing yet, or is shaking hands."""

    def __init__(self, port: TlsPort, sock: socket.socket, address: SocketAddress) -> None:
        self._port = port
        self._socket = sock
        self._address = address
        self._context: SSL.Context | None = None
        self._handshake: Handshake | None = None
        self._speaksTls = False

    def start(self) -> None:
        self._port.unclassified.add(self, sourceOf(self._address))
        self._port.reactor.addReader(self)

    def fileno(self) -> int:
        return self._socket.fileno()

    def logPrefix(self) -> str:
        return "TlsPort"

    def doRead(self) -> None:
        """The first bytes have come, or the end."""
        try:
            first = self._socket.recv(_FIRST, socket.MSG_PEEK)
        except BlockingIOError:
            return
        except OSError:
            first = b""
        if not first:
            self._end()
        elif not first.startswith(_HANDSHAKE):
            self._refusePlain(ProxyHeader() if first.startswith(SIGNATURES) else NeedsTls())
        else:
            self._port.reactor.removeReader(self)
            self._speaksTls = True
            turns = self._port.turns
            turns.begin()
            if turns.over:
                turns.wait(self._shake)
            else:
                self._shake()

    def _shake(self) -> None:
        """Begin the handshake. Each takes much longer than a message: only so many are begun in one turn."""
        if self._socket.fileno() < 0:
            return  # dropped meanwhile
        self._port.turns.spend(HANDSHAKE)
        self._context = self._port.certificate.context
        encrypted = TlsSocket(self._socket, self._context, None)
        self._handshake = Handshake(self._port.reactor, encrypted, FIRST_MESSAGE_TIMEOUT)
        self._handshake.done.addCallbacks(self._shaken, self._failed)

    def connectionLost(self, reason: Failure) -> None:
        """The poll says that something is wrong with the socket, or the reactor ends."""
        self._end()

    def refuse(self, refusal: Refusal) -> None:
        """See UnclassifiedConnections: nothing can be said before TLS is."""
        self.drop()

    def timedOut(self) -> None:
        """See UnclassifiedConnections. A plain client may wait for a challenge: it is told so."""
        if not self._speaksTls:
            self._refusePlain(NeedsTls())
        else:
            self._port.sink.emit(HandshakeTimedOut(self._peer, sourceOf(self._address)))
            self.drop()

    def drop(self) -> None:
        """See UnclassifiedConnections."""
        if self._handshake is not None:
            self._handshake.abandon()
        else:
            self._port.reactor.removeReader(self)
            self._socket.close()

    @property
    def _peer(self) -> str:
        return socketAddress(self._address)

    def _end(self) -> None:
        self._port.unclassified.take(self)
        self.drop()

    def _refusePlain(self, refusal: Refusal) -> None:
        self._port.sink.emit(ConnectionRefused(self._peer, sourceOf(self._address), refusal))
        with contextlib.suppress(OSError):
            self._socket.send(encode(Error(str(refusal))))
            self._socket.shutdown(socket.SHUT_WR)
            self._socket.recv(_PLAIN)
        self._end()

    def _shaken(self, sock: TlsSocket) -> None:
        self._port.unclassified.take(self)
        certificate = self._port.certificate
        if certificate.context is not self._context and not certificate.accepts(sock):  # changed in the meantime
            sock.close()
            return
        self._port.passOn(sock, self._address)

    def _failed(self, reason: Failure) -> None:
        self._port.unclassified.take(self)
        self._port.sink.emit(HandshakeFailed(self._peer, sourceOf(self._address), errorText(reason.value)))
