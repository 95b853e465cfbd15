"""TLS 1.3 on a socket: OpenSSL reads and writes the descriptor itself."""

from __future__ import annotations

import errno
import itertools
import os
import socket
from collections.abc import Sequence
from typing import Any, Final, NoReturn

from cryptography import x509
from OpenSSL import SSL, crypto
from OpenSSL._util import lib

from bore.streams.addresses import asciiName
from bore.streams.encryption import RECORD, TlsError
from bore.tls.contexts import WrongProtocol

_PLAIN: Final = "it does not speak TLS, or not on this port"

#: RFC 9266, section 4.2: the exporter that names a TLS connection.
_BINDING: Final = b"EXPORTER-Channel-Binding"
_BINDING_SIZE: Final = 32

_AGAIN: Final = (errno.EAGAIN, os.strerror(errno.EAGAIN))

#: What tells the times apart at which sockets got stuck.
_numbers: Final = itertools.count(1)


#: What OpenSSL says in a handshake with somebody who does not speak TLS.
_NO_TLS: Final = ("wrong version number", "packet length too long", "http request", "record type", "record layer")

#: What OpenSSL says of the usual mistakes, and what they are.
_MISTAKES: Final = (
    (("alert protocol version", "unsupported protocol"), "it does not speak TLS 1.3"),
    (("alert certificate required",), "it demands a certificate of the client: give --tls-cert and --tls-key"),
    (
        ("alert certificate expired",),
        "it says that the certificate of ours has expired: renew it, or see that the clocks of both machines are right",
    ),
    (
        ("alert unknown ca", "alert bad certificate", "alert certificate", "alert decrypt error"),
        "it will not have the certificate of ours",
    ),
    (("did not return a certificate",), "it has shown no certificate"),
    (("no application protocol",), "it speaks something else than bore/1 inside TLS"),
)


class TlsSocket(socket.socket):
    """
    A connected TCP socket whose bytes go through TLS.

    It can be used wherever a plain stream socket that does not block is used. What ended without ``close_notify`` was
    cut: reading raises ConnectionResetError there. Each direction ends on its own. What could not be written (a
    BlockingIOError) has to be written next, alone or with more behind it. A read should have room for a whole record:
    what it leaves is in OpenSSL's memory, of which no poll tells. When a read has to wait, the system may have more
    all the same, of which no further edge tells: a read looks at one record, and that may have no bytes for us.

    A peer may ask for new keys at any time (KeyUpdate, RFC 8446, section 4.6.3), and OpenSSL answers within the next
    read. If the system does not take the answer, nothing is read before it does: :attr:`stuck`.

    :param sock: belongs to the TLS socket from now on.
    :param context: what is offered, and accepted.
    :param name: client: the name of the server, "" for none; None: we are the server.
    :ivar stuck: not 0: the last read had to write first, and could not. The bytes that wait in the socket can be read
        when it is writable, and not before. A peer that reads nothing can make that last for ever: it needs a bound
        (STUCK_TIMEOUT). The number is another one for each time.
    :ivar complaints: what was wrong with the peer's chain of certificates, as codes of X509_STORE_CTX_get_error(3).
    """

    __slots__ = ("_closing", "_over", "_tls", "_trouble", "complaints", "stuck")

    def __init__(self, sock: socket.socket, context: SSL.Context, name: str | None) -> None:
        super().__init__(sock.family, sock.type, sock.proto, fileno=sock.detach())
        self.setblocking(False)
        self.complaints: list[int] = []
        self._closing = False
        self._trouble: SSL.Error | None = None
        self._over = False
        self.stuck = 0
        # pyOpenSSL takes a descriptor as well, and knows nothing then of this object, which would be a cycle.
        self._tls: SSL.Connection = SSL.Connection(context, self.fileno())  # type: ignore[arg-type]
        self._tls.set_app_data(self.complaints)
        # One call reads one record then: the peer may send others than those with bytes, as fast as it likes.
        lib.SSL_clear_mode(self._tls._ssl, lib.SSL_MODE_AUTO_RETRY)
        if name is None:
            self._tls.set_accept_state()
        else:
            if name:
                self._tls.set_tlsext_host_name(asciiName(name).encode("ascii"))
            self._tls.set_connect_state()

    def handshake(self) -> bool:
        """
        Go on with the handshake.

        :returns: whether it is complete; else more can be done when the socket is readable, or writable if
            :attr:`wantsToWrite`.
        :raises OSError: when it has failed, :class:`TlsError` if the peer is to blame.
        """
        try:
            self._tls.do_handshake()
        except (SSL.WantReadError, SSL.WantWriteError):
            return False
        except SSL.SysCallError:
            raise TlsError(errno.ECONNRESET, f"it closed the connection in the TLS handshake: {_PLAIN}") from None
        except SSL.Error as e:
            reason = _reason(e)
            raise TlsError(errno.EPROTO, _PLAIN if any(words in reason for words in _NO_TLS) else reason) from None
        except WrongProtocol as e:
            raise TlsError(errno.EPROTO, str(e)) from None
        return True

    @property
    def wantsToWrite(self) -> bool:
        """Whether the handshake goes on when the socket is writable."""
        return bool(self._tls.want_write())

    @property
    def binding(self) -> bytes:
        """32 bytes that both ends of this connection have in common with nobody else (RFC 9266, tls-exporter)."""
        return self._tls.export_keying_material(_BINDING, _BINDING_SIZE)

    @property
    def protocol(self) -> bytes:
        """What was agreed on by ALPN; empty: nothing."""
        return self._tls.get_alpn_proto_negotiated()

    @property
    def certificate(self) -> x509.Certificate | None:
        """The peer's certificate."""
        return self._tls.get_peer_certificate(as_cryptography=True)

    @property
    def certificateBytes(self) -> bytes:
        """The peer's certificate, in DER; empty: it has shown none."""
        certificate = self._tls.get_peer_certificate()
        return b"" if certificate is None else crypto.dump_certificate(crypto.FILETYPE_ASN1, certificate)

    @property
    def chain(self) -> list[crypto.X509]:
        """The peer's certificate, and behind it what it has shown with it; empty: it has shown none."""
        certificate = self._tls.get_peer_certificate()
        return [] if certificate is None else [certificate, *(self._tls.get_peer_cert_chain() or [])]

    @property
    def chainBytes(self) -> tuple[bytes, ...]:
        """The same in DER."""
        return tuple(crypto.dump_certificate(crypto.FILETYPE_ASN1, each) for each in self.chain)

    @property
    def hasPendingError(self) -> bool:
        """Whether the end, or a fault, was found behind the bytes that were read last: the next read tells of it."""
        return self._over or self._trouble is not None

    @property
    def hasSentEnd(self) -> bool:
        """Whether ``close_notify`` was sent."""
        return self._closing

    def recv(self, size: int, flags: int = 0) -> bytes:
        if self._trouble is not None:
            _raise(self._trouble)
        try:
            data: bytes = self._tls.recv(size)
        except SSL.WantReadError:
            self.stuck = 0
            raise BlockingIOError(*_AGAIN) from None
        except SSL.WantWriteError:
            self._getStuck()
        except SSL.ZeroReturnError:
            return b""
        except SSL.Error as e:
            self._trouble = e.with_traceback(None)
            _raise(e)
        self.stuck = 0
        return data

    def recv_into(self, buffer: Any, size: int = 0, flags: int = 0) -> int:
        if self._trouble is not None:
            _raise(self._trouble)
        view = memoryview(buffer)
        size = size or len(view)
        count = 0
        try:
            while count < size:
                more = self._tls.recv_into(view[count:], min(size - count, RECORD))
                count += more
                if more < RECORD:
                    break  # most likely all that there is
        except SSL.ZeroReturnError:
            self._over = True
        except SSL.WantReadError:
            if not count:
                self.stuck = 0
                raise BlockingIOError(*_AGAIN) from None
        except SSL.WantWriteError:
            if not count:
                self._getStuck()
        except SSL.Error as e:
            self._trouble = e.with_traceback(None)  # only the first read that fails has OpenSSL's reason
            if not count:
                _raise(e)
        self.stuck = 0
        return count

    def _getStuck(self) -> NoReturn:
        self.stuck = self.stuck or next(_numbers)
        raise BlockingIOError(*_AGAIN) from None

    def send(self, data: Any, flags: int = 0) -> int:
        view = memoryview(data)
        size = len(view)
        count = 0
        try:
            while count < size:
                count += self._tls.send(view[count:])  # one record at a time
        except SSL.Error as e:
            if not count:
                _raise(e)
        return count

    def sendmsg(self, buffers: Any, *_: Any) -> int:
        return self.send(b"".join(buffers))

    def shutdown(self, how: int) -> None:
        """
        End a direction: ``close_notify`` is sent; the connection itself ends with both directions.

        :raises BlockingIOError: when the system takes no more just now: then this has to be called again.
        """
        if how != socket.SHUT_RD and not self._closing:
            try:
                self._tls.shutdown()
            except SSL.Error as e:
                _raise(e)
            self._closing = True
        if how == socket.SHUT_RDWR:
            super().shutdown(how)

    def close(self) -> None:
        self._tls = _NOTHING  # what is written from here on must not reach whoever gets the descriptor next
        super().close()


class _Nothing:
    """Stands where OpenSSL was."""

    def __getattr__(self, name: str) -> NoReturn:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))


_NOTHING: Final[Any] = _Nothing()


def _raise(error: SSL.Error) -> NoReturn:
    """Say it as a plain socket would."""
    match error:
        case SSL.WantReadError() | SSL.WantWriteError():
            raise BlockingIOError(*_AGAIN) from None
        case SSL.SysCallError(args=(int(code), _)) if code > 0:
            lib.ERR_clear_error()  # else OpenSSL would tell the next connection of it
            raise OSError(code, os.strerror(code)) from None
        case SSL.SysCallError() | SSL.ZeroReturnError():
            raise ConnectionResetError(errno.ECONNRESET, "it ended without a word in the middle of TLS") from None
        case _:
            raise TlsError(errno.EPROTO, _reason(error)) from None


def _reason(error: SSL.Error) -> str:
    """The last thing that OpenSSL has to say about an error."""
    details: Sequence[Sequence[str]] = error.args[0] if error.args and isinstance(error.args[0], list) else ()
    reasons = [detail[-1] for detail in details if detail and detail[-1]]
    for words, mistake in _MISTAKES:
        if any(word in reason for word in words for reason in reasons):
            return mistake
    return f"TLS has failed: {reasons[0] if reasons else 'OpenSSL does not say why'}"
