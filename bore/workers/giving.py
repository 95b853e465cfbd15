"""How a server of one process gives all it has to another process, which takes over from it, and retires."""

from __future__ import annotations

import json
import os
import socket
import stat
from collections.abc import Callable, Generator, Sequence
from functools import partial
from typing import Final, Protocol

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IDelayedCall

from bore.events import Sink
from bore.events.server import ServerHandedOver, ServerNotHandedOver
from bore.server.custody import Custody
from bore.server.custodystate import export
from bore.server.registry import LocalRegistry
from bore.server.service import ServerService
from bore.streams.channel import Channel
from bore.streams.descriptorframes import LOST, closeDescriptors
from bore.streams.reactor import IReactor
from bore.streams.socketoptions import peerCredentials
from bore.wire import takeovermessages
from bore.wire.errors import WireError
from bore.wire.publicaddress import PublicAddress
from bore.wire.takeovermessages import (
    MAX_DESCRIPTORS,
    MAX_PART,
    MAX_TAKEOVER_FRAME,
    ControlPort,
    Declined,
    Descriptors,
    Everything,
    State,
    StatusPort,
    Taken,
    TakeOverMessage,
)
from bore.workers.heldcustody import HeldCustody
from bore.workers.inside import Surroundings
from bore.workers.predecessor import THE_WORKER
from bore.workers.remotecustody import RemoteCustody
from bore.workers.worker import Worker

#: How long the other process may take to take over, in seconds. Sessions wait for tunnels meanwhile.
TIMEOUT: Final = 10.0

#: How long connecting may take, in seconds: the other process listens already.
_CONNECT: Final = 1.0

_Part = tuple[TakeOverMessage, Sequence[int]]


class CannotGive(Exception):
    """The server cannot be given away."""


class Giver(Protocol):
    """The program of the server."""

    @property
    def statusSocket(self) -> int | None:
        """The descriptor of the listening socket of the status port; None: there is none."""

    def given(self, pid: int) -> None:
        """Another process has the admin socket and the status port from now on."""

    def stop(self) -> Deferred[object]:
        """Stop the program, in which nothing is left."""

    def end(self) -> None:
        """End the process."""


class Giving:
    """
    Gives a server to another process.

    As long as that has not taken everything, the server goes on as before if the other process fails; only what
    sessions ask about tunnels waits. Then this process is a worker of the other one, and retires.

    :param path: the Unix socket at which the other process listens.
    :param ended: called when it has come to nothing.
    :raises CannotGive: if it cannot begin.
    """

    def __init__(
        self,
        reactor: IReactor,
        sink: Sink,
        service: ServerService,
        giver: Giver,
        path: str,
        ended: Callable[[], object],
    ) -> None:
        self._reactor = reactor
        self._sink = sink
        self._service = service
        self._giver = giver
        self._ended = ended
        server = service.server
        if server.whole is None:
            raise CannotGive("another process has taken over from this one already")
        self._whole = server.whole
        sock, self._pid = _connected(path)
        self._local = server.tunnels.custody
        self._custody = HeldCustody()
        for tunnel in server.tunnels.all():
            if tunnel.owner is None:  # its client comes to the other process
                self._whole.recall(tunnel.address, server.tunnels.handOver(tunnel))
        server.useCustody(self._custody)
        self._parts = self._everything()
        self._why: str | None = None
        self._listening: list[tuple[PublicAddress, socket.socket]] = []
        self._timer: IDelayedCall | None = reactor.callLater(TIMEOUT, self._failed, f"it took more than {TIMEOUT:g} s")
        self._channel = Channel(reactor, sock, self._received, self._lost, MAX_TAKEOVER_FRAME, self._sendMore)
        self._sendMore()
        if self._why is not None:
            raise CannotGive(self._why)

    def _everything(self) -> Generator[_Part, None, None]:
        for sock, encrypted in self._service.controlSockets:
            yield ControlPort(encrypted), (os.dup(sock.fileno()),)
        status = self._giver.statusSocket
        if status is not None:
            yield StatusPort(), (os.dup(status),)
        registry = self._whole.registry
        assert isinstance(registry, LocalRegistry)
        state, descriptors = export(self._whole, registry, lambda holder: THE_WORKER)
        for start in range(0, len(descriptors), MAX_DESCRIPTORS):
            some = _copies(descriptors[start : start + MAX_DESCRIPTORS])
            yield Descriptors(len(some)), some
        text = json.dumps(state)
        for start in range(0, len(text), MAX_PART):
            yield State(text[start : start + MAX_PART]), ()
        yield Everything(), ()

    def _sendMore(self) -> None:
        """Send as much as the channel takes."""
        try:
            for message, descriptors in self._parts:
                self._channel.send(takeovermessages.encode(message), descriptors)
                if self._channel.full:
                    return
        except OSError as e:
            self._failed(e.strerror or str(e))

    def _received(self, frame: bytes, descriptors: Sequence[int]) -> None:
        try:
            message = takeovermessages.decode(frame)
        except WireError as e:
            closeDescriptors(descriptors)
            self._failed(str(e))
            return
        match message:
            case Taken() if len(descriptors) == 1 and LOST not in descriptors:
                self._taken(descriptors[0])
            case Declined(reason):
                closeDescriptors(descriptors)
                self._failed(reason)
            case _:
                closeDescriptors(descriptors)
                self._failed("it has sent something unexpected")

    def _lost(self, reason: str | None) -> None:
        self._failed(reason or "it has ended")

    def _failed(self, why: str) -> None:
        """The other process does not take over: go on."""
        if self._timer is None:
            return
        self._why = why
        self._close()
        self._service.server.useCustody(self._local)
        self._custody.goOn(self._local)
        self._sink.emit(ServerNotHandedOver(self._pid, why))
        self._ended()

    def _taken(self, descriptor: int) -> None:
        """The other process has everything."""
        if self._timer is None:
            closeDescriptors([descriptor])
            return
        self._close()
        self._listening = [(each.address, each.place.socket) for each in self._whole.held() if each.share is not None]
        self._giver.given(self._pid)
        self._service.handedOver()
        self._service.server.handedOver()
        self._sink.emit(ServerHandedOver(self._pid))
        worker = Worker(self._reactor, socket.socket(fileno=descriptor), self._build)
        worker.ended.addCallback(lambda _: self._giver.end())

    def _build(self, around: Surroundings) -> RetiredServer:
        os.close(around.counters)
        custody = around.custody
        if isinstance(custody, RemoteCustody):
            for address, sock in self._listening:
                custody.adopt(address, sock)
        return RetiredServer(self._reactor, self._service, self._giver, partial(self._ask, custody))

    def _ask(self, custody: Custody) -> None:
        self._service.server.useCustody(custody)
        self._custody.goOn(custody)

    def _close(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None
        self._parts.close()  # what was not sent was not copied
        self._channel.close()


class RetiredServer:
    """
    A server that another process has taken over, as a worker of that.

    See :class:`bore.workers.inside.Inside`.

    :param ask: has what tunnels ask, and have asked meanwhile, answered by the other process.
    """

    def __init__(self, reactor: IReactor, core: ServerService, giver: Giver, ask: Callable[[], object]) -> None:
        self._reactor = reactor
        self.core = core
        self._giver = giver
        self._ask = ask

    def makeReporter(self) -> None:
        """The other process has the admin socket and the status port."""

    def start(self) -> None:
        """It has started long ago. A worker asks nothing before it has sent that it is ready."""
        self._reactor.callLater(0, self._ask)

    def tick(self) -> None:
        """Nothing is to be done."""

    def reload(self) -> tuple[Sequence[str], str | None]:
        """It takes no more sessions."""
        return (), None

    def rotate(self) -> None:
        """Its log is opened again on the signal."""

    def stop(self) -> Deferred[object]:
        """See :class:`bore.workers.inside.Inside`."""
        return maybeDeferred(self._giver.stop)


def _copies(descriptors: Sequence[int]) -> list[int]:
    """
    Return copies of descriptors.

    :raises OSError: if there is no room for all of them; then there are none.
    """
    made: list[int] = []
    try:
        for each in descriptors:
            made.append(os.dup(each))  # noqa: PERF401 - what was made is closed
    except OSError:
        closeDescriptors(made)
        raise
    return made


def _connected(path: str) -> tuple[socket.socket, int]:
    """
    Connect with the other process, and return its number.

    :raises CannotGive: if it is not the same user's.
    """
    folder = os.path.dirname(os.path.abspath(path))
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        found = os.lstat(folder)
        if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o077:
            raise CannotGive(f"{folder} is not a directory that only the user of this server can use")
        sock.settimeout(_CONNECT)
        sock.connect(path)
        pid, uid = peerCredentials(sock)
        if uid != os.geteuid():
            raise CannotGive(f"another user's process listens at {path}")
    except OSError as e:
        sock.close()
        raise CannotGive(f"cannot connect to {path}: {e.strerror or e}") from e
    except CannotGive:
        sock.close()
        raise
    return sock, pid
