"""A port that speaks TLS."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable
from typing import Final, Protocol
from weakref import WeakSet

from OpenSSL import SSL
from twisted.internet.interfaces import IReadDescriptor
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from bore.events import Sink
from bore.events.server import ConnectionRefused, HandshakeFailed, HandshakeTimedOut
from bore.streams.addresses import SocketAddress, socketAddress, sourceOf
from bore.streams.errortexts import errorText
from bore.streams.listener import Accepted
from bore.streams.reactor import IReactor
from bore.timing.turns import HANDSHAKE_COST, Turns
from bore.tls.contexts import NODE_PROTOCOL
from bore.tls.handshakes import Handshake
from bore.tls.servercertificate import ServerCertificate
from bore.tls.tlssocket import TlsSocket
from bore.wire.errors import CertificateRefused, NeedsTls, ProxyHeader, Refusal
from bore.wire.limits import FIRST_MESSAGE_TIMEOUT
from bore.wire.messages import Error, encode
from bore.wire.proxyprotocol import SIGNATURES

#: A record of a TLS handshake begins with this byte (RFC 8446, section 5.1), and no message of ours does.
_HANDSHAKE: Final = b"\x16"

#: How many bytes of a new connection are examined: the longest signature of another protocol.
_FIRST: Final = max(map(len, SIGNATURES))

#: How many certificates are verified in one turn of the reactor; each takes about 0.2 ms.
_MAX_VERIFIED: Final = 50

_REFUSED: Final = (
    f"{CertificateRefused.text}: it is revoked, or no authority in the server's --tls-client-ca has signed it"
)

#: How many bytes of a plain client are read before its connection is closed: closing with unread bytes would destroy
#: the answer to them.
_MAX_UNREAD: Final = 4096


class Unclassified(Protocol):
    """Limits the connections that have not sent their first message yet, in number and in time."""

    def add(self, connection: _NewConnection, source: str, /) -> None:
        """Add a connection. ``refuse``, ``timedOut`` or ``drop`` is called on those that have to go."""

    def take(self, connection: _NewConnection, /) -> None:
        """Remove a connection, which is ready or closed."""


class TlsPort:
    """
    Makes the TLS handshake on accepted connections, and passes them on.

    :param sink: gets the events.
    :param unclassified: limits the connections before and in the handshake.
    :param accepted: called with each connection after the handshake.
    :param endSessions: ends the sessions on some sockets, and returns the sockets that had one.
    :param nodes: called with each connection of another node of the cluster; None: there is no cluster.
    """

    def __init__(
        self,
        reactor: IReactor,
        sink: Sink,
        certificate: ServerCertificate,
        unclassified: Unclassified,
        accepted: Accepted,
        endSessions: Callable[[set[socket.socket], Refusal], set[socket.socket]],
        nodes: Accepted | None = None,
    ) -> None:
        self.reactor = reactor
        self.sink = sink
        self.certificate = certificate
        self.unclassified = unclassified
        self.turns = Turns(reactor)
        self._passOn = accepted
        self._endSessions = endSessions
        self.nodes = nodes
        self._passedOn: WeakSet[TlsSocket] = WeakSet()
        certificate.acceptedChanged = self._acceptedChanged

    def accepted(self, sock: socket.socket, address: SocketAddress) -> None:
        """Serve a connection that was accepted on the port."""
        _NewConnection(self, sock, address).start()

    def passOn(self, sock: TlsSocket, address: SocketAddress) -> None:
        """Pass a connection on after the handshake."""
        self._passedOn.add(sock)
        self._passOn(sock, address)

    def _acceptedChanged(self) -> None:
        self._endUnsigned(list(self._passedOn), {})

    def _endUnsigned(self, sockets: list[TlsSocket], judged: dict[tuple[bytes, ...], bool]) -> None:
        """
        End the connections whose certificates would no longer be accepted: sessions get an error, lanes and streams are
        cut.

        :param judged: the chains of other connections, and whether they are accepted: a client has few.
        """
        over: set[socket.socket] = set()
        end = len(judged) + _MAX_VERIFIED
        while sockets and len(judged) < end:
            sock = sockets.pop()
            if sock.fileno() >= 0:
                presented = sock.chainBytes
                if presented not in judged:
                    judged[presented] = self.certificate.accepts(sock)
                if not judged[presented]:
                    over.add(sock)
        for each in over - self._endSessions(over, CertificateRefused(_REFUSED)):
            with contextlib.suppress(OSError):
                socket.socket.shutdown(each, socket.SHUT_RDWR)  # without close_notify: its owner finds it cut
        if sockets:
            self.reactor.callLater(0, self._endUnsigned, sockets, judged)


@implementer(IReadDescriptor)
class _NewConnection:
    """A connection before or in its handshake."""

    _log: Final = Logger()

    def __init__(self, port: TlsPort, sock: socket.socket, address: SocketAddress) -> None:
        self._port = port
        self._socket = sock
        self._address = address
        self._context: SSL.Context | None = None
        self._handshake: Handshake | None = None
        self._beganTls = False

    def start(self) -> None:
        self._port.unclassified.add(self, sourceOf(self._address))
        self._port.reactor.addReader(self)

    def fileno(self) -> int:
        return self._socket.fileno()

    def logPrefix(self) -> str:
        return "TlsPort"

    def doRead(self) -> None:
        """Read the first bytes, or the end."""
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
            self._beganTls = True
            turns = self._port.turns
            turns.begin()
            if turns.over:
                turns.wait(self._beginHandshake)
            else:
                self._beginHandshake()

    def _beginHandshake(self) -> None:
        """Begin the handshake. It takes much longer than a message, so a turn has a limited number of them."""
        if self._socket.fileno() < 0:
            return  # it was dropped in the meantime
        self._port.turns.spend(HANDSHAKE_COST)
        self._context = self._port.certificate.context
        encrypted = TlsSocket(self._socket, self._context, None)
        self._handshake = Handshake(self._port.reactor, encrypted, FIRST_MESSAGE_TIMEOUT)
        self._handshake.done.addCallbacks(self._handshakeDone, self._handshakeFailed).addErrback(self._broken)

    def connectionLost(self, reason: Failure) -> None:
        """The poll has reported an error of the socket, or the reactor stops."""
        self._end()

    def refuse(self, refusal: Refusal) -> None:
        """See :class:`Unclassified`. Before the handshake, no message can be sent."""
        self.drop()

    def timedOut(self) -> bool:
        """See :class:`Unclassified`. A client that sends nothing may wait for a plain challenge: it gets an error."""
        if not self._beganTls:
            self._refusePlain(NeedsTls())
        else:
            self._port.sink.emit(HandshakeTimedOut(self._peer, sourceOf(self._address)))
            self.drop()
        return False

    def drop(self) -> None:
        """See :class:`Unclassified`."""
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
            self._socket.recv(_MAX_UNREAD)
        self._end()

    def _handshakeDone(self, sock: TlsSocket) -> None:
        self._port.unclassified.take(self)
        nodes = self._port.nodes
        if nodes is not None and sock.protocol == NODE_PROTOCOL:
            nodes(sock, self._address)
            return
        certificate = self._port.certificate
        changed = certificate.context is not self._context
        if (changed or certificate.accepted.revoked) and not certificate.accepts(sock):
            sock.close()
            return
        self._port.passOn(sock, self._address)

    def _broken(self, reason: Failure) -> None:
        self._log.failure("the connection of {peer} failed behind its handshake", reason, peer=self._peer)

    def _handshakeFailed(self, reason: Failure) -> None:
        self._port.unclassified.take(self)
        self._port.sink.emit(HandshakeFailed(self._peer, sourceOf(self._address), errorText(reason.value)))
