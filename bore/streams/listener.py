"""Listening sockets that never give up."""

from __future__ import annotations

import errno
import os
import select
import socket
import sys
from collections.abc import Callable
from typing import Final, TypeAlias

from twisted.internet.interfaces import IDelayedCall, IReadDescriptor
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from bore.events import Sink
from bore.events.server import AcceptFailed
from bore.streams.addresses import SocketAddress, literalAddress, socketAddress
from bore.streams.reactor import IReactor
from bore.streams.socketoptions import prepareStream
from bore.system.descriptors import Descriptors

Accepted: TypeAlias = Callable[[socket.socket, SocketAddress], None]

#: Connections that the kernel may hold for us: as many as it will. Linux holds net.core.somaxconn, 4096 by default.
#: Windows takes its SOMAXCONN for just that, and cuts other numbers down to 200.
_BACKLOG: Final = 65535 if os.name == "posix" else socket.SOMAXCONN

#: Connections taken in one turn of the reactor, so that a flood of them cannot stop everything else: those that the
#: public ports with more share, and the least for each of them.
_BATCH: Final = 64
_LEAST_BATCH: Final = 2

#: How long a listener rests when it cannot accept, in seconds.
_REST: Final = 0.25

#: These end one connection that was about to be accepted, or say that there is none, and mean nothing for the next.
_HARMLESS: Final = frozenset(
    getattr(errno, name)
    for name in (
        "EAGAIN EWOULDBLOCK EINTR ECONNABORTED ECONNRESET EPROTO EPERM ENETDOWN ENOPROTOOPT EHOSTDOWN ENONET "
        "EHOSTUNREACH EOPNOTSUPP ENETUNREACH ETIMEDOUT"
    ).split()
    if hasattr(errno, name)
)


def bindSocket(host: str, port: int) -> socket.socket:
    """
    Make a listening socket.

    :param host: an IP address; ``::`` takes both families.
    :param port: 0 lets the system choose.
    :raises OSError: when the system refuses; the errno says why.
    """
    family, address = literalAddress(host, port)
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        if os.name == "posix":
            # What is left of earlier connections does not keep the port from us; another listener does.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        elif sys.platform == "win32":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        sock.bind(address)
        sock.listen(_BACKLOG)
    except BaseException:
        sock.close()
        raise
    return sock


class ListenerGroup:
    """
    What listeners share: the turns of the reactor, and a time without descriptors, or without memory, for new
    connections.

    :param sink: gets an event for each connection that could not be accepted yet.
    :ivar busy: the listeners that have last left connections waiting.
    """

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self.busy: set[Listener] = set()

    @property
    def batch(self) -> int:
        """How many connections a public port may accept in one turn."""
        return max(_LEAST_BATCH, _BATCH // max(1, len(self.busy)))

    def starved(self, at: str, error: OSError) -> None:
        """A listener could not accept."""
        self._sink.emit(AcceptFailed(at, error.strerror or str(error)))


@implementer(IReadDescriptor)
class Listener:
    """
    Accepts the connections of one listening socket until it is told to stop.

    An accept that fails ends nothing. When there are no descriptors or no memory left it is logged once, the
    listener rests, and goes on when there are some again; meanwhile the kernel holds the connections. It also does
    while the listener is paused.

    :param sock: a listening socket; it belongs to the listener from now on.
    :param accepted: called with each new connection, which does not block, and with its peer's address.
    :param group: is told when there are no descriptors left.
    :param relieve: called when there are no descriptors left; frees some, and says whether it could.
    :param mayAccept: asked before each accept; says no when it has paused the listener. None: this is the port of those
        who take the others' connections on, and it does not share its turn with them: visitors that are accepted faster
        than clients can come for them only wait.
    :param descriptors: is told of the listening socket, and of the descriptor of each connection.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: IReactor,
        sock: socket.socket,
        accepted: Accepted,
        group: ListenerGroup,
        relieve: Callable[[], bool] = lambda: False,
        mayAccept: Callable[[], bool] | None = None,
        descriptors: Descriptors | None = None,
    ) -> None:
        self._reactor = reactor
        self._socket = sock
        self._family = sock.family
        self._accepted = accepted
        self._group = group
        self._relieve = relieve
        self._mayAccept = mayAccept
        self._descriptors = descriptors
        self._paused = False
        self._resting: IDelayedCall | None = None
        self.address: SocketAddress = sock.getsockname()
        sock.setblocking(False)
        prepareStream(sock)
        reactor.addReader(self)
        if descriptors is not None:
            descriptors.opened()

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return int(self.address[1])

    def pause(self) -> None:
        """Accept no more for a while. May be called twice."""
        if not self._paused:
            self._paused = True
            self._group.busy.discard(self)
            self._reactor.removeReader(self)

    def resume(self) -> None:
        """Accept again."""
        if self._paused:
            self._paused = False
            if self._resting is None and self._socket.fileno() >= 0:
                self._reactor.addReader(self)

    def stop(self) -> None:
        """Close the listening socket. Whoever waits in it is reset by the kernel. May be called twice."""
        if self._socket.fileno() < 0:
            return
        if self._resting is not None:
            self._resting.cancel()
            self._resting = None
        self._reactor.removeReader(self)
        self._group.busy.discard(self)
        self._socket.close()

    def fileno(self) -> int:
        return self._socket.fileno()

    def logPrefix(self) -> str:
        return "Listener"

    def connectionLost(self, reason: Failure) -> None:
        """The reactor ends."""
        self.stop()

    def doRead(self) -> None:
        mayAccept = self._mayAccept
        busy = self._group.busy
        for _ in range(_BATCH if mayAccept is None else self._group.batch):
            if mayAccept is not None and not mayAccept():
                return
            try:
                fd, address = self._socket._accept()  # type: ignore[attr-defined]
            except OSError as e:
                if e.errno in (errno.EAGAIN, errno.EWOULDBLOCK):
                    busy.discard(self)
                    return
                if e.errno in _HARMLESS:
                    continue
                if not self._isAsked():
                    busy.discard(self)
                    return
                self._group.starved(socketAddress(self.address), e)
                if self._relieve():
                    continue
                self._rest()
                return
            if self._descriptors is not None:
                self._descriptors.opened()
            # This is what accept() does; it would take twice as long, to find out anew what is the same for all.
            sock = socket.socket(self._family, socket.SOCK_STREAM, 0, fd)
            sock.setblocking(False)
            if sys.platform != "linux":
                prepareStream(sock)
            try:
                self._accepted(sock, address)
            except Exception:
                # A fault of ours: it costs this connection, and not the listening socket.
                self._log.failure("the connection from {peer} failed", peer=socketAddress(address))
                sock.close()
            if self._socket.fileno() < 0:
                return
        if self._isAsked():
            busy.add(self)
        else:
            busy.discard(self)  # nobody would call again, to find that out

    def _isAsked(self) -> bool:
        """Whether a connection waits: Linux says that it has no descriptor for one before it looks for one."""
        if not hasattr(select, "poll"):
            return True
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return bool(poll.poll(0))

    def _rest(self) -> None:
        self._group.busy.discard(self)
        self._reactor.removeReader(self)
        self._resting = self._reactor.callLater(_REST, self._wake)

    def _wake(self) -> None:
        self._resting = None
        if not self._paused:
            self._reactor.addReader(self)
