"""A connected socket as a Twisted transport, and back."""

from __future__ import annotations

import socket
from typing import Any, Final, cast

from twisted.internet import main, tcp
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import (
    IConsumer,
    IProtocol,
    IPushProducer,
    IReactorFDSet,
    IReactorTime,
    ISystemHandle,
    ITCPTransport,
)
from zope.interface import Attribute, implementer

from bore.streams.sockets import RECORD, TlsError, isSealed

#: Records that are read at once: who writes many small ones must not get ahead of who reads one in each turn.
_RECORDS: Final = 64

#: When the end of a direction finds no room, it is tried again so much later, in seconds.
_AGAIN: Final = 0.05


class IStreamTransport(ITCPTransport, ISystemHandle, IConsumer, IPushProducer):
    """All that a connected stream socket can do as a Twisted transport."""

    def getHandle() -> socket.socket:
        """The socket."""


class IDetachable(IStreamTransport):
    """A transport whose socket can be taken away from it."""

    bufferSize: int = Attribute("when so many bytes wait to be written, its producer is paused")

    def detach() -> socket.socket:
        """
        Take the socket away from the transport, which is dead then and tells its protocol nothing more.

        Only for a transport that has no more left to write than a fresh connection takes at once.
        """


@implementer(IDetachable)
class SocketTransport(tcp.Connection):
    """
    A Twisted transport over a socket that is connected already.

    :param sock: belongs to the transport from now on, until :meth:`detach`.
    """

    def __init__(self, sock: socket.socket, protocol: IProtocol, reactor: IReactorFDSet) -> None:
        super().__init__(sock, protocol, reactor)
        self.logstr = self._getLogPrefix(protocol)
        self.connected = 1
        self._reading = False
        self._records = _RECORDS if isSealed(sock) else 1

    def start(self) -> None:
        """Make the connection known to the protocol, and read from it."""
        self.startReading()
        self.protocol.makeConnection(self)

    def startReading(self) -> None:
        """See FileDescriptor."""
        self._reading = True
        tcp.Connection.startReading(self)

    def stopReading(self) -> None:
        """See FileDescriptor."""
        self._reading = False
        tcp.Connection.stopReading(self)

    def doRead(self) -> Any:
        """Read; inside TLS as many records as a plain read would take. What is wrong there is told as it is."""
        result = None
        for _ in range(self._records):
            try:
                data = self.socket.recv(self.bufferSize if self._records == 1 else RECORD)
            except BlockingIOError:
                return None
            except TlsError as e:
                return e
            except OSError:
                return main.CONNECTION_LOST
            result = self._dataReceived(data)
            if result is not None or not self._reading:
                break
        return result

    def _closeWriteConnection(self) -> None:
        """End the direction to the peer. Inside TLS that is said to it, and may find no room just now."""
        if self.connected and isSealed(self.socket):
            try:
                self.socket.shutdown(socket.SHUT_WR)
            except BlockingIOError:
                cast(IReactorTime, self.reactor).callLater(_AGAIN, self._closeWriteConnection)
                return
            except OSError:
                pass  # reading tells
        tcp.Connection._closeWriteConnection(self)

    def detach(self) -> socket.socket:
        """See :meth:`IDetachable.detach`."""
        if self._tempDataBuffer:
            tcp.Connection.doWrite(self)  # so little is taken at once by a connection on which nothing else was said
        self.stopReading()
        tcp.Connection.stopWriting(self)
        self.connected = 0
        self.disconnected = 1
        return self.socket

    def getPeer(self) -> IPv4Address | IPv6Address:
        return addressOf(self.socket)

    def getHost(self) -> IPv4Address | IPv6Address:
        return _address(self.socket.getsockname())


def addressOf(sock: socket.socket) -> IPv4Address | IPv6Address:
    """Where a socket is connected to, as Twisted writes it."""
    return _address(sock.getpeername())


def _address(name: tuple[str, int] | tuple[str, int, int, int]) -> IPv4Address | IPv6Address:
    kind = IPv6Address if len(name) == 4 else IPv4Address
    return kind("TCP", *name)
