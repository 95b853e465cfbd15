"""Visitors of a tunnel as transports of this process, without a local port."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from typing import Final

from twisted.internet import tcp
from twisted.internet.address import HostnameAddress, IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IAddress, IProtocol, IProtocolFactory, IReadDescriptor
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from bore.streams.addresses import isLiteral
from bore.streams.reactor import IReactor
from bore.wire import proxyprotocol

#: The size of a visitor's address that is not known.
_UNKNOWN: Final = IPv4Address("TCP", "0.0.0.0", 0)


def addressFor(host: str, port: int) -> IAddress:
    """Return an address of Twisted for a host, which may be a name, and a port."""
    if not isLiteral(host):
        return HostnameAddress(host.encode("idna" if not host.isascii() else "ascii"), port)
    return IPv6Address("TCP", host, port) if ":" in host else IPv4Address("TCP", host, port)


class VisitorTransport(tcp.Connection):
    """
    The transport of a visitor.

    Its socket is one of a pair within this process; the client moves the bytes between the other one and the server.
    """

    def __init__(
        self, sock: socket.socket, protocol: IProtocol, reactor: IReactor, peer: IAddress, host: IAddress
    ) -> None:
        super().__init__(sock, protocol, reactor)
        self.logstr = self._getLogPrefix(protocol)
        self.connected = 1
        self._peer = peer
        self._host = host

    def start(self) -> None:
        """Connect the protocol, and begin to read."""
        self.startReading()  # type: ignore[no-untyped-call]
        self.protocol.makeConnection(self)

    def getPeer(self) -> IAddress:
        """Where the visitor comes from; 0.0.0.0 and port 0 if the server does not tell."""
        return self._peer

    def getHost(self) -> IAddress:
        """The public address of the tunnel."""
        return self._host

    def getTcpNoDelay(self) -> bool:
        """Nothing is delayed in this process."""
        return True

    def setTcpNoDelay(self, enabled: bool) -> None:
        """Has no effect: see :meth:`getTcpNoDelay`."""

    def getTcpKeepAlive(self) -> bool:
        """The tunnel finds out by itself whether its ends live."""
        return True

    def setTcpKeepAlive(self, enabled: bool) -> None:
        """Has no effect: see :meth:`getTcpKeepAlive`."""


@implementer(IReadDescriptor)
class _Arriving:
    """A visitor whose address is still to be read: the client sends it in front of the visitor's bytes."""

    def __init__(
        self, reactor: IReactor, sock: socket.socket, arrived: Callable[[socket.socket, IAddress], None]
    ) -> None:
        self._reactor = reactor
        self._socket = sock
        self._arrived = arrived
        self._header = b""
        self._length = proxyprotocol.FIXED
        reactor.addReader(self)

    def fileno(self) -> int:
        """See IFileDescriptor."""
        return self._socket.fileno()

    def logPrefix(self) -> str:
        """See ILoggingContext."""
        return "visitor"

    def doRead(self) -> None:
        """Read the address."""
        try:
            data = self._socket.recv(self._length - len(self._header))
            if not data:  # the visitor has left
                self._end()
                return
            self._header += data
            if len(self._header) == proxyprotocol.FIXED == self._length:
                self._length += proxyprotocol.lengthBehind(self._header)
            if len(self._header) == self._length:
                found = proxyprotocol.source(self._header)
                self._reactor.removeReader(self)
                self._arrived(self._socket, _UNKNOWN if found is None else addressFor(*found))
        except BlockingIOError:
            return
        except (OSError, ValueError):
            self._end()

    def connectionLost(self, reason: Failure) -> None:
        """See IFileDescriptor."""
        self._end()

    def _end(self) -> None:
        self._reactor.removeReader(self)
        self._socket.close()


class Arrivals:
    """
    What connects visitors with a factory of this process: a :class:`bore.streams.dial.Dialer`.

    :param factory: makes the protocol of each visitor.
    :ivar host: the public address, as transports give it.
    """

    _log: Final = Logger()

    patience = 0.0

    def __init__(self, factory: IProtocolFactory) -> None:
        self._factory = factory
        self._reactor: IReactor | None = None
        self.host: IAddress = _UNKNOWN

    def withReactor(self, reactor: IReactor) -> Arrivals:
        """Use this reactor."""
        self._reactor = reactor
        return self

    def dial(self, sendsFirst: bool = False) -> socket.socket | Deferred[socket.socket]:
        """See :class:`bore.streams.dial.Dialer`: it fails only if there are no descriptors."""
        assert self._reactor is not None
        try:
            ours, theirs = socket.socketpair()
        except OSError as e:
            return fail(Failure(OSError(e.errno or errno.EMFILE, f"cannot make a pair of sockets: {e.strerror}")))
        ours.setblocking(False)
        theirs.setblocking(False)
        _Arriving(self._reactor, theirs, self._arrived)
        return ours

    def _arrived(self, sock: socket.socket, peer: IAddress) -> None:
        assert self._reactor is not None
        try:
            protocol = self._factory.buildProtocol(peer)
        except Exception:
            self._log.failure("the factory has made no protocol for a visitor")
            protocol = None
        if protocol is None:
            sock.close()
        else:
            VisitorTransport(sock, protocol, self._reactor, peer, self.host).start()
