"""Connections of trusted proxies, which begin with a header that tells where they come from."""

from __future__ import annotations

import contextlib
import socket
from typing import Final, NamedTuple

from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from bore.events import Sink
from bore.events.server import ConnectionRefused, ProxyHeaderMissing
from bore.server.firstbytes import FirstBytes
from bore.server.settings import TrustedProxies
from bore.server.unclassified import OF_PROXIES, UnclassifiedConnections
from bore.streams.addresses import NO_ADDRESS, SocketAddress, addressOn, plainHost, socketAddress, sourceOf
from bore.streams.listener import Accepted, ListenerGroup
from bore.streams.reactor import IReactor
from bore.wire.addressrules import AddressFilter, AddressRules
from bore.wire.errors import ProxyHeaderExpected, Refusal
from bore.wire.limits import FIRST_MESSAGE_TIMEOUT
from bore.wire.messages import Error, encode
from bore.wire.more import More
from bore.wire.proxyheader import MAX_HEADER, Announcement, announcement

#: How long a connection of the proxy itself may be silent behind its header, in seconds. A health check is over by
#: then; what is not may wait for a service that sends first.
OWN_PATIENCE: Final = 1.0

#: How many bytes are read before a connection is closed: closing with unread bytes would destroy the answer to them.
_MAX_UNREAD: Final = 4096

_TOO_LATE: Final = f"it has sent no whole PROXY protocol header within {FIRST_MESSAGE_TIMEOUT:g} s"


class Unread(NamedTuple):
    """
    A connection of a trusted proxy, on its way to another process.

    :ivar passOn: gets the connection.
    :ivar isDue: whether its header is still in the socket, or to come.
    """

    passOn: Accepted
    socket: socket.socket
    address: SocketAddress
    isDue: bool


class ProxyHeaders:
    """
    Reads the headers of the PROXY protocol, and passes connections on with the addresses that these announce.

    A connection from elsewhere is passed on as it is: a header in it is like any other bytes.

    :param group: the listeners whose connections it gets, from the first proxy on that is trusted.
    :param unclassified: limits the connections whose header has not come, in number and in time.
    """

    def __init__(
        self, reactor: IReactor, sink: Sink, group: ListenerGroup, unclassified: UnclassifiedConnections
    ) -> None:
        self.reactor = reactor
        self.sink = sink
        self.unclassified = unclassified
        self.waiting: dict[_Proxied, None] = {}
        self._group = group
        self._unix = False
        self._filter: AddressFilter | None = None

    def apply(self, trusted: TrustedProxies) -> None:
        """Read the headers of these proxies, and of no others, in the connections that come from now on."""
        self._unix = trusted.unix
        self._filter = AddressFilter(AddressRules(allow=trusted.networks)) if trusted.networks else None
        self._group.through = self.accepted if trusted else None

    def accepted(self, passOn: Accepted, sock: socket.socket, address: SocketAddress) -> None:
        """
        Serve a connection that was accepted.

        :param passOn: gets the connection, when its first bytes are those behind the header.
        """
        address = address if isinstance(address, tuple) else NO_ADDRESS  # that of a Unix socket is a path
        if self._trusts(address):
            _Proxied(self, passOn, sock, address).start()
        else:
            passOn(sock, address)

    def release(self) -> list[Unread]:
        """Return the connections that wait, and have nothing to do with them any more."""
        waiting, self.waiting = list(self.waiting), {}
        for each in waiting:
            self.unclassified.take(each)
        return [each.release() for each in waiting]

    def _trusts(self, address: SocketAddress) -> bool:
        if not address:
            return self._unix
        return self._filter is not None and self._filter.allows(plainHost(address))


class _Proxied:
    """
    A connection of a trusted proxy whose header has not come yet.

    It is one of the unclassified connections (:class:`bore.server.unclassified.Connection`). The proxy itself opens
    connections, too, for its health checks. So one whose header announces no address is passed on when it has sent
    something, and not if it is closed: no tunnel and no log notices a check.
    """

    _log: Final = Logger()

    def __init__(self, headers: ProxyHeaders, passOn: Accepted, sock: socket.socket, address: SocketAddress) -> None:
        self._headers = headers
        self._passOn = passOn
        self._socket = sock
        self._address = address
        self._first: FirstBytes[Announcement | str] = FirstBytes(
            headers.reactor, sock, MAX_HEADER, _read, self._headerCame, self._ended
        )
        self._own: FirstBytes[bytes] | None = None
        self._timer: IDelayedCall | None = None

    def start(self) -> None:
        """Read the header, which may be there already."""
        self._headers.waiting[self] = None
        self._headers.unclassified.add(self, OF_PROXIES)
        self._first.look()

    def release(self) -> Unread:
        """Have nothing to do with the connection any more."""
        self._stop()
        return Unread(self._passOn, self._socket, self._address, isDue=self._own is None)

    def refuse(self, refusal: Refusal) -> None:
        """See Connection."""
        self._headers.sink.emit(ConnectionRefused(self._peer, sourceOf(self._address), refusal))
        self._sendLast(refusal)
        self.drop()

    def timedOut(self) -> bool:
        """See Connection."""
        if self._own is None:
            self._fail(_TOO_LATE)
        else:
            self._pass(self._address)
        return False

    def drop(self) -> None:
        """See Connection."""
        self._headers.waiting.pop(self, None)
        self._stop()
        self._socket.close()

    def _headerCame(self, found: Announcement | str) -> None:
        if isinstance(found, str):
            self._fail(found)
            return
        try:
            self._socket.recv(found.length)  # it was seen there
        except OSError:
            self._ended(b"")
            return
        if found.source is not None:
            self._pass(addressOn(self._socket, *found.source))
            return
        self._timer = self._headers.reactor.callLater(OWN_PATIENCE, self._isSilent)
        self._own = FirstBytes(self._headers.reactor, self._socket, 1, bytes, self._dataCame, self._ended)
        self._own.look()

    def _dataCame(self, start: bytes) -> None:
        self._pass(self._address)

    def _isSilent(self) -> None:
        self._timer = None
        self._pass(self._address)

    def _pass(self, address: SocketAddress) -> None:
        headers = self._headers
        headers.unclassified.take(self)
        headers.waiting.pop(self, None)
        self._stop()
        try:
            self._passOn(self._socket, address)
        except Exception:
            self._log.failure("the connection from {peer} failed", peer=socketAddress(address))
            self._socket.close()

    def _fail(self, error: str) -> None:
        self._headers.unclassified.take(self)
        self._headers.sink.emit(ProxyHeaderMissing(self._peer, sourceOf(self._address), error))
        self._sendLast(ProxyHeaderExpected())
        self.drop()

    def _ended(self, start: bytes) -> None:
        """It was closed: a health check, or a visitor of the proxy that has left."""
        self._headers.unclassified.take(self)
        self.drop()

    def _stop(self) -> None:
        self._first.stop()
        if self._own is not None:
            self._own.stop()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _sendLast(self, refusal: Refusal) -> None:
        """Send the reason to what may be a client of ours that has come without the proxy."""
        with contextlib.suppress(OSError):
            start = b""
            with contextlib.suppress(BlockingIOError):
                start = self._socket.recv(_MAX_UNREAD)
            if start[:1] in (b"", b"{"):
                self._socket.send(encode(Error(str(refusal))))
                self._socket.shutdown(socket.SHUT_WR)

    @property
    def _peer(self) -> str:
        return socketAddress(self._address)


def _read(start: bytes) -> Announcement | More | str:
    """A header, how many more bytes it has at least, or what is wrong with it."""
    try:
        return announcement(start)
    except ValueError as e:
        return str(e)
