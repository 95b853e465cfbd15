"""TLS 1.3 on a socket: OpenSSL itself reads and writes the descriptor."""

from __future__ import annotations

import errno
import itertools
import os
import socket
from collections.abc import Sequence
from typing import Any, Final, NoReturn

from cryptography import x509
from OpenSSL import SSL, crypto
from OpenSSL._util import ffi, lib

from bore.streams.addresses import asciiName
from bore.streams.encryption import RECORD, NotTls, TlsError
from bore.tls.contexts import WrongProtocol
from bore.tls.mistakes import NO_TLS, handshakeError, mistakeIn
from bore.tls.peernames import namesIn

#: The exporter that identifies a TLS connection (RFC 9266, section 4.2).
_BINDING: Final = b"EXPORTER-Channel-Binding"
_BINDING_SIZE: Final = 32

_AGAIN: Final = (errno.EAGAIN, os.strerror(errno.EAGAIN))

#: What recv reads into.
_RECORD: Final = ffi.new("char[]", RECORD)

#: A number for each time that a socket gets stuck.
_numbers: Final = itertools.count(1)


class TlsSocket(socket.socket):
    """
    A connected TCP socket whose bytes go through TLS.

    It replaces a plain non-blocking stream socket that is used by ``recv``, ``recv_into``, ``send``, ``shutdown`` and
    ``close`` only. Each direction ends on its own; a direction that ends without ``close_notify`` was cut, and reading
    raises ConnectionResetError there.

    * Data that could not be written (BlockingIOError) has to be written next, alone or followed by more.
    * A read should have room for a whole record: no poll reports the rest, which is in OpenSSL's memory.
    * A read takes one record, which may have no data for us. So a read that has to wait may leave bytes in the socket,
      and no further edge of the poll reports these.
    * A peer may request new keys at any time (KeyUpdate, RFC 8446, section 4.6.3); OpenSSL answers within the next
      read. As long as the system does not take the answer, nothing can be read: :attr:`stuck`.

    :param sock: belongs to the TLS socket from now on.
    :param context: what is offered and accepted.
    :param name: in a client, the name of the server, or "" for none; None in a server.
    :param protocols: in a client, the protocols to offer (RFC 7301); none: those of the context.
    :ivar stuck: not 0 if the last read had to write first, and could not: the bytes in the socket can be read when it
        is writable, and not before. A peer that reads nothing can make that last for ever, so it needs a limit
        (STUCK_TIMEOUT). It is another number each time.
    :ivar chainErrors: the errors of the peer's chain of certificates, as codes of X509_STORE_CTX_get_error(3).
    """

    __slots__ = ("_closing", "_ended", "_pending", "_tls", "chainErrors", "stuck")

    def __init__(
        self, sock: socket.socket, context: SSL.Context, name: str | None, protocols: Sequence[bytes] = ()
    ) -> None:
        super().__init__(sock.family, sock.type, sock.proto, fileno=sock.detach())
        self.setblocking(False)
        self.chainErrors: list[int] = []
        self._closing = False
        self._pending: SSL.Error | None = None
        self._ended = False
        self.stuck = 0
        # pyOpenSSL takes a descriptor as well; with this object there would be a cycle of references.
        self._tls: SSL.Connection = SSL.Connection(context, self.fileno())  # type: ignore[arg-type]
        self._tls.set_app_data(self.chainErrors)
        # Then a call reads one record: the peer may send records without data as fast as it likes.
        lib.SSL_clear_mode(self._tls._ssl, lib.SSL_MODE_AUTO_RETRY)
        if name is None:
            self._tls.set_accept_state()
        else:
            if name:
                self._tls.set_tlsext_host_name(asciiName(name).encode("ascii"))
            if protocols:
                self._tls.set_alpn_protos(list(protocols))
            self._tls.set_connect_state()

    def handshake(self) -> bool:
        """
        Continue the handshake.

        :returns: whether it is complete. If not, it continues when the socket is readable, or writable if
            :attr:`wantsToWrite`.
        :raises OSError: when it has failed; :class:`TlsError` if the peer is the cause.
        """
        try:
            self._tls.do_handshake()
        except (SSL.WantReadError, SSL.WantWriteError):
            return False
        except SSL.SysCallError:
            raise NotTls(errno.ECONNRESET, f"it closed the connection in the TLS handshake: {NO_TLS}") from None
        except SSL.Error as e:
            raise handshakeError(e, lib.SSL_get_verify_result(self._tls._ssl)) from None
        except WrongProtocol as e:
            raise TlsError(errno.EPROTO, str(e)) from None
        return True

    @property
    def wantsToWrite(self) -> bool:
        """Whether the handshake continues when the socket is writable."""
        return bool(self._tls.want_write())

    @property
    def binding(self) -> bytes:
        """The channel binding: 32 bytes that only the ends of this connection have (RFC 9266, tls-exporter)."""
        return self._tls.export_keying_material(_BINDING, _BINDING_SIZE)

    @property
    def protocol(self) -> bytes:
        """The protocol that was chosen of those that the client has offered (RFC 7301); empty: it has offered none."""
        return self._tls.get_alpn_proto_negotiated()

    @property
    def certificate(self) -> x509.Certificate | None:
        """The peer's certificate; None if it has sent none."""
        return self._tls.get_peer_certificate(as_cryptography=True)

    @property
    def certificateBytes(self) -> bytes:
        """The peer's certificate in DER; empty if it has sent none."""
        certificate = self._tls.get_peer_certificate()
        return b"" if certificate is None else crypto.dump_certificate(crypto.FILETYPE_ASN1, certificate)

    @property
    def chain(self) -> list[crypto.X509]:
        """The peer's certificate, and those that it has sent with it; empty if it has sent none."""
        certificate = self._tls.get_peer_certificate()
        return [] if certificate is None else [certificate, *(self._tls.get_peer_cert_chain() or [])]

    @property
    def peerNames(self) -> tuple[str, ...]:
        """The names in the peer's certificate; none if it has sent none. Only at a server, which has verified it."""
        own = self.chainBytes[:1]
        return namesIn(own[0]) if own else ()

    @property
    def chainBytes(self) -> tuple[bytes, ...]:
        """The chain in DER."""
        return tuple(crypto.dump_certificate(crypto.FILETYPE_ASN1, each) for each in self.chain)

    @property
    def hasPendingError(self) -> bool:
        """Whether the end or an error was found after the data that was read last: the next read returns it."""
        return self._ended or self._pending is not None

    @property
    def hasSentEnd(self) -> bool:
        """Whether ``close_notify`` was sent."""
        return self._closing

    def recv(self, size: int, flags: int = 0) -> bytes:
        if self._pending is not None:
            _raise(self._pending)
        try:
            count = self._read(_RECORD, min(size, RECORD))
        except SSL.WantReadError:
            self.stuck = 0
            raise BlockingIOError(*_AGAIN) from None
        except SSL.WantWriteError:
            self._getStuck()
        except SSL.ZeroReturnError:
            return b""
        except SSL.Error as e:
            self._pending = e.with_traceback(None)
            _raise(e)
        self.stuck = 0
        data: bytes = ffi.buffer(_RECORD, count)[:]
        return data

    def recv_into(self, buffer: Any, size: int = 0, flags: int = 0) -> int:
        if self._pending is not None:
            _raise(self._pending)
        view = ffi.from_buffer(buffer, require_writable=True)
        size = size or len(view)
        count = 0
        try:
            while count < size:
                more = self._read(view + count, min(size - count, RECORD))
                count += more
                if more < RECORD:
                    break  # probably there is no more
        except SSL.ZeroReturnError:
            self._ended = True
        except SSL.WantReadError:
            if not count:
                self.stuck = 0
                raise BlockingIOError(*_AGAIN) from None
        except SSL.WantWriteError:
            if not count:
                self._getStuck()
        except SSL.Error as e:
            self._pending = e.with_traceback(None)  # only the first read that fails has OpenSSL's reason
            if not count:
                _raise(e)
        self.stuck = 0
        return count

    def _read(self, into: Any, size: int) -> int:
        """Read a record as ``Connection.recv_into`` does, but without memory of its own for it, and a copy."""
        tls = self._tls
        count: int = lib.SSL_read(tls._ssl, into, size)
        if count <= 0:
            tls._raise_ssl_error(tls._ssl, count)
        return count

    def _getStuck(self) -> NoReturn:
        self.stuck = self.stuck or next(_numbers)
        raise BlockingIOError(*_AGAIN) from None

    def send(self, data: Any, flags: int = 0) -> int:
        tls = self._tls
        view = ffi.from_buffer(data)
        size = len(view)
        count = 0
        try:
            while count < size:
                written = lib.SSL_write(tls._ssl, view + count, size - count)  # one record at a time
                if written <= 0:
                    tls._raise_ssl_error(tls._ssl, written)
                count += written
        except SSL.Error as e:
            if not count:
                _raise(e)
        return count

    def shutdown(self, how: int) -> None:
        """
        End a direction. The one to the peer ends with ``close_notify``; the connection itself ends with both.

        :raises BlockingIOError: when the system takes no data now: this has to be called again.
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
        self._tls = _NOTHING  # data that is written later must not reach the next owner of the descriptor
        super().close()


class _Nothing:
    """Takes the place of OpenSSL in a closed socket."""

    def __getattr__(self, name: str) -> NoReturn:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))


_NOTHING: Final[Any] = _Nothing()


def _raise(error: SSL.Error) -> NoReturn:
    """Raise what a plain socket would."""
    match error:
        case SSL.WantReadError() | SSL.WantWriteError():
            raise BlockingIOError(*_AGAIN) from None
        case SSL.SysCallError(args=(int(code), _)) if code > 0:
            lib.ERR_clear_error()  # else OpenSSL would report it to the next connection
            raise OSError(code, os.strerror(code)) from None
        case SSL.SysCallError() | SSL.ZeroReturnError():
            raise ConnectionResetError(errno.ECONNRESET, "the connection was cut inside TLS") from None
        case _:
            raise TlsError(errno.EPROTO, mistakeIn(error)) from None
