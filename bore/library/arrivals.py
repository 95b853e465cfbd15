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
from bore.wire import proxyheader
from bore.wire.more import More

#: The size of a visitor's address that is not known.
_UNKNOWN: Final = IPv4Address("TCP", "0.0.0.0", 0)

#: Seconds that protocols have when the tunnel is closed, and their visitors have left.
END_TIMEOUT: Final = 1.0


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
        self,
        sock: socket.socket,
        protocol: IProtocol,
        reactor: IReactor,
        peer: IAddress,
        host: IAddress,
        gone: Callable[[VisitorTransport], None],
    ) -> None:
        super().__init__(sock, protocol, reactor)
        self.logstr = self._getLogPrefix(protocol)
        self.connected = 1
        self._peer = peer
        self._host = host
        self._gone = gone

    def start(self) -> None:
        """Connect the protocol, and begin to read."""
        self.startReading()  # type: ignore[no-untyped-call]
        self.protocol.makeConnection(self)

    def connectionLost(self, reason: Failure) -> None:
        """See IReadWriteDescriptor."""
        try:
            super().connectionLost(reason)
        finally:
            self._gone(self)

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
        self._missing = proxyheader.FIXED
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
            data = self._socket.recv(self._missing)
            if not data:  # the visitor has left
                self._end()
                return
            self._header += data
            found = proxyheader.announcement(self._header)
        except BlockingIOError:
            return
        except (OSError, ValueError):
            self._end()
            return
        if isinstance(found, More):
            self._missing = found.count
            return
        self._reactor.removeReader(self)
        self._arrived(self._socket, _UNKNOWN if found.source is None else addressFor(*found.source))

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
        self._transports: set[VisitorTransport] = set()
        self._started = False
        self._ended: Deferred[None] | None = None
        self.host: IAddress = _UNKNOWN

    def start(self) -> None:
        """Start the factory, as a port of Twisted does when it listens."""
        self._factory.doStart()
        self._started = True

    async def end(self) -> None:
        """Wait for the transports whose visitors have left, abort them after END_TIMEOUT, and stop the factory."""
        assert self._reactor is not None
        if self._transports:
            self._ended = Deferred()
            timeout = self._reactor.callLater(END_TIMEOUT, self._abort)
            await self._ended
            if timeout.active():
                timeout.cancel()
        if self._started:
            self._started = False
            self._factory.doStop()

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
            return
        transport = VisitorTransport(sock, protocol, self._reactor, peer, self.host, self._gone)
        self._transports.add(transport)
        try:
            transport.start()
        except Exception:
            self._log.failure("the protocol of a visitor has raised an exception when it was connected")
            transport.abortConnection()  # type: ignore[no-untyped-call]

    def _abort(self) -> None:
        for transport in list(self._transports):
            transport.abortConnection()  # type: ignore[no-untyped-call]

    def _gone(self, transport: VisitorTransport) -> None:
        self._transports.discard(transport)
        if self._ended is not None and not self._transports:
            ended, self._ended = self._ended, None
            ended.callback(None)
