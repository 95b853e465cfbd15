"""A port that speaks TLS."""

from __future__ import annotations

import contextlib
import socket
from typing import Final

from twisted.internet.interfaces import IReadDescriptor
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from bore.server.certificate import ServerCertificate
from bore.server.pending import Pending
from bore.server.strangers import Strangers
from bore.streams.addresses import SocketAddress, socketAddress, sourceOf
from bore.streams.handshakes import Handshake
from bore.streams.listener import Accepted
from bore.streams.reactor import IReactor
from bore.streams.tls import TlsSocket
from bore.streams.troubles import inWords
from bore.wire.errors import NeedsTls, ProxyHeader, Refusal
from bore.wire.limits import FIRST_MESSAGE_TIMEOUT
from bore.wire.messages import Error, encode
from bore.wire.proxyprotocol import SIGNATURES

#: A record of a TLS handshake begins with this byte (RFC 8446, section 5.1), and no message of ours does.
_HANDSHAKE: Final = b"\x16"

#: So much of what has come is looked at: the longest of what is known by name.
_FIRST: Final = max(map(len, SIGNATURES))

#: So much of what a plain client has said is read, so that closing does not destroy the answer to it.
_PLAIN: Final = 4096


class TlsPort:
    """
    Has TLS spoken on accepted connections before anything else is.

    :param pending: bounds those that are not that far yet.
    :param strangers: logs what is refused.
    :param accepted: is given those that are.
    """

    def __init__(
        self,
        reactor: IReactor,
        certificate: ServerCertificate,
        pending: Pending,
        strangers: Strangers,
        accepted: Accepted,
    ) -> None:
        self.reactor = reactor
        self.certificate = certificate
        self.pending = pending
        self.strangers = strangers
        self.passOn = accepted

    def accepted(self, sock: socket.socket, address: SocketAddress) -> None:
        """Serve a connection that was accepted on the port."""
        _Arrival(self, sock, address).start()


@implementer(IReadDescriptor)
class _Arrival:
    """A connection that has said nothing yet, or is shaking hands."""

    _log = Logger()

    def __init__(self, port: TlsPort, sock: socket.socket, address: SocketAddress) -> None:
        self._port = port
        self._socket = sock
        self._address = address
        self._handshake: Handshake | None = None

    def start(self) -> None:
        self._port.pending.add(self, sourceOf(self._address))
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
            sealed = TlsSocket(self._socket, self._port.certificate.context, None)
            self._handshake = Handshake(self._port.reactor, sealed, FIRST_MESSAGE_TIMEOUT)
            self._handshake.done.addCallbacks(self._shaken, self._failed)

    def connectionLost(self, reason: Failure) -> None:
        """The poll says that something is wrong with the socket, or the reactor ends."""
        self._end()

    def refuse(self, refusal: Refusal) -> None:
        """See Pending: nothing can be said before TLS is."""
        self.drop()

    def pendingTooLong(self) -> None:
        """See Pending. A plain client may wait for a challenge: it is told so."""
        if self._handshake is None:
            self._refusePlain(NeedsTls())
        else:
            self._log.debug("{peer}: no TLS in time", peer=self._peer)
            self.drop()

    def drop(self) -> None:
        """See Pending."""
        if self._handshake is not None:
            self._handshake.abandon()
        else:
            self._port.reactor.removeReader(self)
            self._socket.close()

    @property
    def _peer(self) -> str:
        return socketAddress(self._address)

    def _end(self) -> None:
        self._port.pending.take(self)
        self.drop()

    def _refusePlain(self, refusal: Refusal) -> None:
        self._port.strangers.refused(sourceOf(self._address), self._peer, refusal)
        with contextlib.suppress(OSError):
            self._socket.send(encode(Error(str(refusal))))
            self._socket.shutdown(socket.SHUT_WR)
            self._socket.recv(_PLAIN)
        self._end()

    def _shaken(self, sock: TlsSocket) -> None:
        self._port.pending.take(self)
        self._port.passOn(sock, self._address)

    def _failed(self, reason: Failure) -> None:
        self._port.pending.take(self)
        self._port.strangers.noTls(sourceOf(self._address), self._peer, inWords(reason.value))
