"""A connected socket as a Twisted transport, and the way back."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, cast

from twisted.internet import main, tcp
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import (
    IConsumer,
    IDelayedCall,
    IProtocol,
    IPushProducer,
    IReactorFDSet,
    IReactorTime,
    ISystemHandle,
    ITCPTransport,
)
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from zope.interface import Attribute, implementer

from bore.streams.encryption import RECORD, STUCK_TIMEOUT, TlsError, isEncrypted, stuckAt

#: How many records of a control connection are read at once. How much of them is processed in a turn is limited
#: elsewhere.
_RECORDS: Final = 64

#: How many bytes of a stream are read at once.
_READ: Final = 1 << 16

#: The families of the sockets that have the options of TCP.
_TCP: Final = (socket.AF_INET, socket.AF_INET6)

#: How long a closed connection may wait for the system to take what was written to it, in seconds: as long as a client
#: has for its first message. Without a limit, a peer that reads nothing could hold it for ever.
CLOSE_TIMEOUT: Final = 3.0

_DOES_NOT_READ: Final = "it has requested new keys inside TLS, and does not read the answer"

#: The protocol of a transport whose socket was taken away.
_NO_PROTOCOL: Final = Protocol()


class IStreamTransport(ITCPTransport, ISystemHandle, IConsumer, IPushProducer):
    """The interfaces of a connected stream socket as a Twisted transport."""

    bufferSize: int = Attribute("the number of bytes to write at which its producer is paused")

    def getHandle() -> socket.socket:
        """The socket."""

    def writeNow(data: bytes) -> None:
        """
        Write a short message that comes alone, and need not be sent together with others.

        If nothing is queued, the system gets it at once: that takes less time than to wait for the reactor's poll.
        """


class IDetachable(IStreamTransport):
    """A transport whose socket can be taken away from it."""

    queued: int = Attribute("the number of bytes that count towards ``bufferSize``")

    def finish() -> bool:
        """
        Close the connection after what was written, as ``loseConnection`` does.

        :returns: whether the system has taken all of it at once. If not, the connection stays until the peer reads, for
            at most CLOSE_TIMEOUT.
        """

    def detach() -> socket.socket:
        """
        Take the socket from the transport, which is dead then and does not call its protocol again.

        Only for a transport that has no more to write than a new connection takes at once.
        """


@implementer(IDetachable)
class SocketTransport(tcp.Connection):
    """
    A Twisted transport of a connected socket.

    A connection that was closed is gone after CLOSE_TIMEOUT; what its peer has not read by then is lost.

    :param sock: belongs to the transport from now on, until :meth:`detach`.
    :param control: whether it is a control connection, of which little is read at a time: a read may have many frames,
        and a peer that writes many small records must not get more than its share of a turn.
    """

    def __init__(self, sock: socket.socket, protocol: IProtocol, reactor: IReactorFDSet, control: bool = False) -> None:
        super().__init__(sock, protocol, reactor)
        self._readSize = RECORD if control or isEncrypted(sock) else _READ
        self.logstr = self._getLogPrefix(protocol)
        self.connected = 1
        self._reading = False
        self._records = (_RECORDS if control else _READ // RECORD) if isEncrypted(sock) else 1
        self._stuck: IDelayedCall | None = None
        self._closing: IDelayedCall | None = None

    def start(self) -> None:
        """Connect the protocol, and begin to read."""
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
        """Read; inside TLS, as many records as a plain read would take. An error of TLS is reported as it is."""
        result = None
        for _ in range(self._records):
            try:
                data = self.socket.recv(self._readSize)
            except BlockingIOError:
                if stuckAt(self.socket):
                    self._getStuck()
                return None
            except TlsError as e:
                return e
            except OSError:
                return main.CONNECTION_LOST
            result = self._dataReceived(data)
            if result is not None or not self._reading:
                break
        return result

    def doWrite(self) -> Any:
        """Write; and read again, if OpenSSL had to write first."""
        if self._stuck is not None:
            self._getFree()
            if self._reading:
                tcp.Connection.startReading(self)
        return tcp.Connection.doWrite(self)

    @property
    def queued(self) -> int:
        """See :class:`IDetachable`."""
        return len(self.dataBuffer) + self._tempDataLen

    def writeNow(self, data: bytes) -> None:
        """See :meth:`IStreamTransport.writeNow`. An error is left to the reactor, which tries again and finds it."""
        if self.connected and not (self.disconnecting or self.dataBuffer or self._tempDataBuffer):
            with suppress(OSError):
                data = data[self.socket.send(data) :]
        if data:
            tcp.Connection.write(self, data)

    def loseConnection(self) -> None:
        """Close the connection after what was written, or without it after CLOSE_TIMEOUT."""
        tcp.Connection.loseConnection(self)
        if self.connected and self._closing is None:
            self._closing = self._later(CLOSE_TIMEOUT, self.abortConnection)

    def setTcpNoDelay(self, enabled: bool) -> None:
        """See ITCPTransport. A Unix socket delays nothing, and does not have the option."""
        if self.socket.family in _TCP:
            tcp.Connection.setTcpNoDelay(self, enabled)

    def connectionLost(self, reason: Failure) -> None:
        """See FileDescriptor."""
        self._getFree()
        if self._closing is not None and self._closing.active():
            self._closing.cancel()
        super().connectionLost(reason)

    def _getStuck(self) -> None:
        """OpenSSL has to write before it reads, and cannot: wait until it can, and not for bytes to read."""
        tcp.Connection.stopReading(self)
        tcp.Connection.startWriting(self)
        if self._stuck is None:
            self._stuck = self._later(STUCK_TIMEOUT, self._stuckForLong)

    def _getFree(self) -> None:
        if self._stuck is not None and self._stuck.active():
            self._stuck.cancel()
        self._stuck = None

    def _stuckForLong(self) -> None:
        tcp.Connection.stopReading(self)
        tcp.Connection.stopWriting(self)
        self.connectionLost(Failure(TlsError(errno.EPROTO, _DOES_NOT_READ)))

    def _later(self, seconds: float, do: Callable[[], None]) -> IDelayedCall:
        return cast(IReactorTime, self.reactor).callLater(seconds, do)

    def _closeWriteConnection(self) -> None:
        """End the direction to the peer."""
        if self._hasSentEnd():
            tcp.Connection._closeWriteConnection(self)

    def _postLoseConnection(self) -> Any:
        """Close the connection; all was written."""
        return tcp.Connection._postLoseConnection(self) if self._hasSentEnd() else None

    def _hasSentEnd(self) -> bool:
        """Send the end inside TLS; return whether the system has taken it. If not, this is called again."""
        if self.connected and isEncrypted(self.socket):
            try:
                self.socket.shutdown(socket.SHUT_WR)
            except BlockingIOError:
                tcp.Connection.startWriting(self)
                return False
            except OSError:
                pass  # reading will report it
        return True

    def finish(self) -> bool:
        """See :meth:`IDetachable.finish`."""
        if self.disconnecting:
            # The reactor is about to close it. Writing here would take the event for that away.
            return not (self.dataBuffer or self._tempDataBuffer)
        done = self._flush() and self._hasSentEnd()
        self.loseConnection()
        return done

    def _flush(self) -> bool:
        """Write what the system takes, and return whether that was all."""
        if self.dataBuffer or self._tempDataBuffer:
            tcp.Connection.doWrite(self)
        return not (self.dataBuffer or self._tempDataBuffer)

    def detach(self) -> socket.socket:
        """See :meth:`IDetachable.detach`."""
        self._flush()  # a connection that was silent before takes so little at once
        self.stopReading()
        tcp.Connection.stopWriting(self)
        self._getFree()
        self.connected = 0
        self.disconnected = 1
        self.protocol = _NO_PROTOCOL  # without the cycle of references both are freed at once
        return self.socket

    def getPeer(self) -> IPv4Address | IPv6Address:
        return addressOf(self.socket)

    def getHost(self) -> IPv4Address | IPv6Address:
        return _address(self.socket.getsockname())


def addressOf(sock: socket.socket) -> IPv4Address | IPv6Address:
    """The address that a socket is connected to, as a Twisted address."""
    return _address(sock.getpeername())


def _address(name: tuple[str, int] | tuple[str, int, int, int]) -> IPv4Address | IPv6Address:
    kind = IPv6Address if len(name) == 4 else IPv4Address
    return kind("TCP", *name)
