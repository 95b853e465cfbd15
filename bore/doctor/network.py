"""Observes the network: names, routes, connections, and what answers."""

from __future__ import annotations

import re
import socket
import struct
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from ipaddress import IPv6Address
from typing import Final

from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

from bore.doctor.verdicts import Contact, Way
from bore.streams.addresses import Place, isLiteral, literalAddress
from bore.streams.dial import Dialer, TcpDialer
from bore.streams.reactor import IReactor
from bore.streams.resolver import RESOLVER, Resolver
from bore.streams.transport import IStreamTransport, SocketTransport

#: The variables that name a proxy for all connections, or for those of web browsers.
_PROXIES: Final = ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "http_proxy")

#: ioctl(2), SIOCGIFADDR: the IPv4 address of an interface (Linux).
_GET_ADDRESS: Final = 0x8915

#: Addresses of a name that are tried; the client tries more.
MAX_ADDRESSES: Final = 8

#: What is read of another server, in bytes.
_READ: Final = 256


def proxiesIn(environment: Mapping[str, str]) -> list[str]:
    """Return the variables that name a proxy."""
    return [name for name in _PROXIES if environment.get(name)]


async def lookUp(reactor: IReactor, host: str, resolver: Resolver = RESOLVER) -> list[str]:
    """
    Return the addresses of a host, at most MAX_ADDRESSES.

    :raises bore.streams.resolver.LookupFailed: if it has none.
    """
    if isLiteral(host):
        return [host]
    places: list[Place] = await resolver.lookUp(reactor, host)
    return list(dict.fromkeys(_host(address) for _, address in places))[:MAX_ADDRESSES]


def _host(address: Sequence[object]) -> str:
    scope = address[3] if len(address) > 3 else 0
    return f"{address[0]}%{scope}" if scope else str(address[0])


def wayTo(address: str, port: int) -> Way:
    """Return from where this machine would connect to an address. Nothing is sent."""
    try:
        family, place = literalAddress(address, port)
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.connect(place)
            source = str(sock.getsockname()[0])
    except OSError:
        return Way(address, "", "")
    return Way(address, source, next((name for name, own in _interfaces() if own == source), ""))


def _interfaces() -> Iterator[tuple[str, str]]:
    """The network interfaces and their addresses, as far as this system tells."""
    if sys.platform != "linux":
        return
    import fcntl

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for _, name in socket.if_nameindex():
            with suppress(OSError):
                request = struct.pack("256s", name.encode()[:15])
                yield name, socket.inet_ntoa(fcntl.ioctl(sock.fileno(), _GET_ADDRESS, request)[20:24])
    with suppress(OSError), open("/proc/net/if_inet6") as lines:
        for line in lines:
            digits, *_, name = line.split()
            yield name, str(IPv6Address(int(digits, 16)))


async def contact(reactor: IReactor, address: str, port: int, seconds: float) -> Contact:
    """Connect to an address, and close the connection."""
    begin = reactor.seconds()
    try:
        sock = await dialOnce(reactor, TcpDialer(reactor, address, port), seconds)
        sock.close()
    except Exception as e:
        return Contact(address, reactor.seconds() - begin, e)
    return Contact(address, reactor.seconds() - begin, None)


def dialOnce(reactor: IReactor, dialer: Dialer, seconds: float) -> Deferred[socket.socket]:
    """Connect once, within a time."""
    dialled = dialer.dial()
    waiting: Deferred[socket.socket] = Deferred() if isinstance(dialled, socket.socket) else dialled
    if isinstance(dialled, socket.socket):
        waiting.callback(dialled)
    return waiting.addTimeout(seconds, reactor)


class Talk(Protocol):
    """
    Speaks to what answers, and reads what it sends.

    :param enough: how many bytes are read at most.
    :ivar received: what was read.
    :ivar ended: fires when there are enough bytes, or the connection has ended.
    """

    transport: IStreamTransport

    def __init__(self, enough: int = _READ) -> None:
        self._enough = enough
        self.received = b""
        self.began: Deferred[None] = Deferred()
        self.ended: Deferred[None] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        self.received = (self.received + data)[: self._enough]
        if not self.began.called:
            self.began.callback(None)
        if len(self.received) == self._enough:
            self._end()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if not self.began.called:
            self.began.callback(None)
        self._end()

    def _end(self) -> None:
        if not self.ended.called:
            self.ended.callback(None)


async def begin(reactor: IReactor, dialer: Dialer, talk: Talk, seconds: float) -> Talk:
    """
    Connect, within a time.

    :raises Exception: if there is no connection.
    """
    SocketTransport(await dialOnce(reactor, dialer, seconds), talk, reactor).start()
    return talk


async def waitFor(reactor: IReactor, something: Deferred[None], seconds: float) -> bool:
    """Wait for something; return whether it has happened in time."""
    waiting: Deferred[None] = Deferred()
    something.addCallback(lambda _: None if waiting.called else waiting.callback(None))
    try:
        await waiting.addTimeout(seconds, reactor)
    except TimeoutError:
        return False
    return True


async def firstBytes(reactor: IReactor, talk: Talk, speak: bytes, patience: float, seconds: float) -> bytes:
    """
    Return the first bytes of what answers on a connection, which is closed then.

    :param speak: what is sent to one that does not speak first within ``patience`` seconds.
    :param seconds: the time for the answer to that.
    """
    try:
        if not await waitFor(reactor, talk.began, patience):
            talk.transport.write(speak)
            await waitFor(reactor, talk.ended, seconds)
        return talk.received
    finally:
        talk.transport.abortConnection()


_STATUS: Final = re.compile(rb"HTTP/1\.[01] (\d{3})")


def statusIn(start: bytes) -> str:
    """Return the status of an answer of HTTP; empty: it is none."""
    found = _STATUS.match(start)
    return found[1].decode() if found else ""
