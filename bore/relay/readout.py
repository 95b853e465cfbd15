"""A Twisted transport that reads what its peer has sent before a reset."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from typing import Any, Final, Protocol, cast

from twisted.internet import main, tcp
from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IHalfCloseableProtocol, IPushProducer, IReactorFDSet
from twisted.python.failure import Failure

from bore.streams.encryption import RECORD, isEncrypted
from bore.streams.transport import SocketTransport

#: The most records without bytes for us, inside TLS, that are skipped.
_EMPTY_RECORDS: Final = 64


class IReadOutProtocol(Protocol):
    """What the transport calls beside the methods of any protocol."""

    def refused(self) -> None:
        """The peer receives nothing more. ``connectionLost`` follows behind the last byte that it had sent."""


class ReadOutTransport(SocketTransport):
    """
    A transport over a socket, for one stream of a pair.

    Other transports are lost as soon as a write fails, or the poll reports an error, and what is still to be read is
    lost with them. This one reads it first. It stops when its reader is paused, and goes on with it, without the
    reactor, as a poll would report the error for ever. What is written meanwhile is thrown away.

    :ivar isRefused: the peer receives nothing more.
    """

    def __init__(self, sock: socket.socket, protocol: Any, reactor: IReactorFDSet) -> None:
        super().__init__(sock, protocol, reactor)
        self.isRefused = False
        self._error = 0
        self._lostBy: Failure | None = None
        self._readEnded = False
        self._written: Callable[[], None] | None = None

    @property
    def unsent(self) -> int:
        """How many bytes the kernel has not taken yet."""
        return len(self.dataBuffer) - self.offset + self._tempDataLen

    @property
    def _isUnix(self) -> bool:
        """Whether it is a Unix socket, whose orderly end the poll reports as it does a reset."""
        return self.socket.family == getattr(socket, "AF_UNIX", None)

    def whenWritten(self, written: Callable[[], None]) -> None:
        """Call something when the kernel has taken all, the end of the direction included; that may be at once."""
        self._written = written
        self._lookWhetherWritten()

    def _lookWhetherWritten(self) -> None:
        isWritten = not self.unsent and (self._writeDisconnected or not self._writeDisconnecting)
        if self._written is not None and self.connected and isWritten:
            written, self._written = self._written, None
            written()

    def doWrite(self) -> Any:
        """See FileDescriptor."""
        result = super().doWrite()
        if result is None:
            self._lookWhetherWritten()
        return result

    def writeSomeData(self, data: bytes) -> Any:
        """See FileDescriptor; and keep the error, as the kernel reports it once."""
        try:
            return self.socket.send(memoryview(data)[: self.SEND_LIMIT])
        except (BlockingIOError, InterruptedError):
            return 0
        except OSError as e:
            if e.errno == errno.ENOBUFS:
                return 0
            self._error = e.errno or 0
            return main.CONNECTION_LOST

    def startReading(self) -> None:
        """See FileDescriptor."""
        if not self.isRefused:
            super().startReading()
        elif not self._reading:
            self._reading = True
            self._readOut()

    def startWriting(self) -> None:
        """See FileDescriptor."""
        if not self.isRefused:
            tcp.Connection.startWriting(self)

    def _dataReceived(self, data: bytes | None) -> Any:
        self._readEnded = not data
        return super()._dataReceived(data)

    def readConnectionLost(self, reason: Failure) -> None:
        """
        See FileDescriptor. The reactor also calls this when the poll reports an error and nothing to read, which is a
        reset that has just come.
        """
        if self._readEnded:
            super().readConnectionLost(reason)
        else:
            self.connectionLost(Failure(main.CONNECTION_LOST))

    def connectionLost(self, reason: Failure) -> None:
        """Read what there is, unless we have closed the connection ourselves."""
        if self._isUnix and self._readEnded and self._writeDisconnecting and not (self.unsent or self._aborting):
            self._endBoth()
            return
        if self.isRefused or self._aborting or self._readEnded or not reason.check(ConnectionLost):
            self._written = None
            super().connectionLost(reason)
            return
        self._lostBy = reason
        self._refuse()
        if self._reading:
            self._readOut()

    def _endBoth(self) -> None:
        """The peer has closed a Unix socket in order, and only our end was still to be written."""
        self._writeDisconnecting = False
        self._writeDisconnected = True
        cast(IHalfCloseableProtocol, self.protocol).writeConnectionLost()
        self._lookWhetherWritten()

    def _refuse(self) -> None:
        """Write no more."""
        self._error = self._error or self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        reading = self._reading
        self.stopReading()
        tcp.Connection.stopWriting(self)
        self._reading = reading
        self.isRefused = True
        self._writeDisconnected = True
        self.dataBuffer = b""
        self.offset = self._tempDataLen = 0
        self._tempDataBuffer = []
        producer = self.producer
        tcp.Connection.unregisterProducer(self)
        if producer is not None:
            cast(IPushProducer, producer).resumeProducing()
        cast(IReadOutProtocol, self.protocol).refused()

    def _readOut(self) -> None:
        """Read to the end, or until the reader is paused. Nothing more comes in, so no read blocks."""
        blocked = 0
        while self._reading and self.connected and not self._aborting:
            try:
                data = self.socket.recv(RECORD if isEncrypted(self.socket) else self._readSize)
            except BlockingIOError:
                blocked += 1
                if isEncrypted(self.socket) and blocked <= _EMPTY_RECORDS:
                    continue
                break
            except OSError:
                break
            if not data:
                self._endInOrder()
                break
            self.protocol.dataReceived(data)
        if self._reading and self.connected and not self._aborting:
            assert self._lostBy is not None
            self.connectionLost(self._lostBy)

    def _endInOrder(self) -> None:
        """
        Pass on the end, if the peer had ended its stream before the reset: then EPIPE was the kernel's first error.

        Else the kernel has reported a reset before, and the stream has no end. TLS has an end of its own.
        """
        if self._error == errno.EPIPE or isEncrypted(self.socket):
            cast(IHalfCloseableProtocol, self.protocol).readConnectionLost()
