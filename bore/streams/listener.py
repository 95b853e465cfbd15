"""Listening sockets: errors of accept(2) are waited out, and all share the turns of the reactor."""

from __future__ import annotations

import errno
import os
import select
import socket
import sys
from collections.abc import Callable
from functools import partial
from typing import Final, TypeAlias

from twisted.internet.interfaces import IDelayedCall, IReadDescriptor
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from bore.events import Sink
from bore.events.server import AcceptFailed
from bore.streams.addresses import SocketAddress, literalAddress, localAddress, socketAddress
from bore.streams.reactor import IReactor
from bore.streams.socketoptions import BACKLOG, prepareStream
from bore.system.descriptors import Descriptors

Accepted: TypeAlias = Callable[[socket.socket, SocketAddress], None]

#: Passes accepted connections on, perhaps later, and perhaps with another address.
Through: TypeAlias = Callable[[Accepted, socket.socket, SocketAddress], None]

#: How many connections are accepted in one turn of the reactor, so that a flood cannot delay everything else: the
#: number that the busy public ports share, and the least for each of them.
_BATCH: Final = 64
_LEAST_BATCH: Final = 2

#: How long a listener waits after an error before it accepts again, in seconds.
_PAUSE: Final = 0.25

#: Errors that concern one connection, or say that none waits; the next one may be accepted.
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
    :raises OSError: when the system refuses.
    """
    family, address = literalAddress(host, port)
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        if os.name == "posix":
            # Remains of earlier connections do not keep us from the port; another listener does.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        elif sys.platform == "win32":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        sock.bind(address)
        sock.listen(BACKLOG)
    except BaseException:
        sock.close()
        raise
    return sock


class ListenerGroup:
    """
    What listeners share: the turns of the reactor, and the events of errors.

    :param sink: gets an event for each error of accept(2).
    :ivar busy: the listeners that have left connections waiting.
    :ivar through: what all connections go through; None: they go where they are accepted.
    """

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self.busy: set[Listener] = set()
        self.through: Through | None = None

    @property
    def batch(self) -> int:
        """The number of connections that a public port may accept in one turn."""
        return max(_LEAST_BATCH, _BATCH // max(1, len(self.busy)))

    def acceptFailed(self, at: str, error: OSError) -> None:
        """A listener could not accept a connection."""
        self._sink.emit(AcceptFailed(at, error.strerror or str(error)))


@implementer(IReadDescriptor)
class Listener:
    """
    Accepts the connections of one listening socket until it is stopped.

    No error of accept(2) ends it. Without descriptors or memory, it waits a moment and tries again. In the meantime the
    kernel holds the connections, as it does while the listener is paused.

    :param sock: a listening socket; it belongs to the listener from now on.
    :param accepted: called with each new connection, which does not block, and the address of its peer.
    :param group: gets the errors.
    :param relieve: called when there are no descriptors left; frees some, and returns whether it could.
    :param mayAccept: called before each accept; returns False if it has paused the listener. None: this is a control
        port, which does not share its turn with the public ports: visitors only wait if they are accepted faster than
        clients can fetch them.
    :param descriptors: counts the listening socket, and the descriptor of each connection.
    :ivar address: the address of the listening socket.
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
        self._released = False
        self._waiting: IDelayedCall | None = None
        self.address: SocketAddress = localAddress(sock)
        sock.setblocking(False)
        prepareStream(sock)
        reactor.addReader(self)
        if descriptors is not None:
            descriptors.opened()

    @property
    def handle(self) -> socket.socket:
        """The listening socket."""
        return self._socket

    @property
    def port(self) -> int:
        """The port number."""
        return int(self.address[1])

    @property
    def alive(self) -> bool:
        """Whether it accepts connections, or will do so again."""
        return self._socket.fileno() >= 0 and (self._waiting is None or self._waiting.active())

    def pause(self) -> None:
        """Accept nothing until :meth:`resume`. May be called twice."""
        if not self._paused:
            self._paused = True
            self._group.busy.discard(self)
            self._reactor.removeReader(self)

    def resume(self) -> None:
        """Accept again."""
        if self._paused:
            self._paused = False
            if self._waiting is None and not self._released:
                self._reactor.addReader(self)

    def stop(self) -> None:
        """Close the listening socket; the kernel resets the connections that wait in it. May be called twice."""
        if self._socket.fileno() < 0:
            return
        self.release()
        self._socket.close()

    def release(self) -> None:
        """Accept nothing any more, and leave the listening socket open: it belongs to the caller again."""
        self._released = True
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None
        self._reactor.removeReader(self)
        self._group.busy.discard(self)

    def fileno(self) -> int:
        return self._socket.fileno()

    def logPrefix(self) -> str:
        return "Listener"

    def connectionLost(self, reason: Failure) -> None:
        """The reactor stops."""
        self.stop()

    def doRead(self) -> None:
        mayAccept, accepted = self._mayAccept, self._accepted
        busy, through = self._group.busy, self._group.through
        if through is not None:
            accepted = partial(through, accepted)
        for _ in range(_BATCH if mayAccept is None else self._group.batch):
            if mayAccept is not None and not mayAccept():
                return
            try:
                fd, address = self._socket._accept()  # type: ignore[attr-defined]
            except OSError as e:
                if self._continuesAfter(e):
                    continue
                return
            if self._descriptors is not None:
                self._descriptors.opened()
            # As accept() does, which takes twice as long, as it asks the kernel for what all connections share.
            sock = socket.socket(self._family, socket.SOCK_STREAM, 0, fd)
            sock.setblocking(False)
            if sys.platform != "linux":
                prepareStream(sock)
            try:
                accepted(sock, address)
            except Exception:
                # An error of ours ends this connection, and not the listening socket.
                self._log.failure("the connection from {peer} failed", peer=socketAddress(address))
                sock.close()
            if self._released:
                return
        if self._hasPending():
            busy.add(self)
        else:
            busy.discard(self)  # the poll would not call again for this

    def _continuesAfter(self, error: OSError) -> bool:
        """Handle an error of accept(2), and return whether to accept the next connection now."""
        if error.errno in (errno.EAGAIN, errno.EWOULDBLOCK):
            self._group.busy.discard(self)
            return False
        if error.errno in _HARMLESS:
            return True
        if not self._hasPending():
            self._group.busy.discard(self)
            return False
        self._group.acceptFailed(socketAddress(self.address), error)
        if self._relieve():
            return True
        self._waitAMoment()
        return False

    def _hasPending(self) -> bool:
        """Whether a connection waits: without descriptors, Linux reports an error even if none does."""
        if not hasattr(select, "poll"):
            return True
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return bool(poll.poll(0))

    def _waitAMoment(self) -> None:
        self._group.busy.discard(self)
        self._reactor.removeReader(self)
        self._waiting = self._reactor.callLater(_PAUSE, self._wake)

    def _wake(self) -> None:
        self._waiting = None
        if not self._paused:
            self._reactor.addReader(self)
