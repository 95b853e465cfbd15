"""What a running server has given to a new process, which takes over from it."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from bore.commandline import NotPossible
from bore.streams.descriptorframes import LOST, DescriptorFrames, closeDescriptors, joined
from bore.wire import takeovermessages
from bore.wire.takeovermessages import (
    MAX_TAKEOVER_FRAME,
    ControlPort,
    Declined,
    Descriptors,
    Everything,
    State,
    StatusPort,
    Taken,
    TakeOverMessage,
    descriptorsOf,
)

if TYPE_CHECKING:
    from bore.server.controlsockets import BindControl
    from bore.server.keptsockets import KeptSockets

#: How long the running server may take for each step, in seconds.
STEP: Final = 5.0


class Taking(Protocol):
    """What takes over."""

    def begin(self) -> None:
        """Be the server: this process listens. Raises an OSError if the other one is not there any more."""


@dataclass
class Inheritance:
    """
    What a running server has given to this process, until :meth:`settle` or :meth:`decline`.

    :ivar pid: the process of the running server.
    :ivar control: the listening sockets of the control ports, and whether each speaks TLS.
    :ivar status: that of the status port; None: there is none.
    :ivar state: that of custody, as JSON.
    :ivar descriptors: those that the state refers to.
    :ivar channel: the channel to the other process.
    :ivar taking: what takes over, when it is made.
    :ivar failed: whether the other process has not waited, and goes on.
    """

    pid: int
    sock: socket.socket
    control: list[tuple[socket.socket, bool]] = field(default_factory=list)
    status: socket.socket | None = None
    state: str = ""
    descriptors: list[int] = field(default_factory=list)
    taking: Taking | None = None
    failed: bool = False

    def __post_init__(self) -> None:
        self.channel, self._theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)

    def binder(self, kept: KeptSockets | None) -> BindControl:
        """
        Return what makes the listening sockets of the control ports.

        :param kept: has them kept from now on; None: nothing does.
        """

        def bind(option: str, host: str, port: int) -> socket.socket:
            sock, _ = self.control[option == "tls-port"]
            if kept is not None:
                kept.adoptControl(option, sock)
            return sock

        return bind

    def begin(self) -> None:
        """
        Be the server: this process listens.

        :raises bore.commandline.NotPossible: if the other process has ended, or did not want to wait any more.
        """
        assert self.taking is not None
        try:
            self.taking.begin()
        except OSError as e:
            raise NotPossible(f"the running server, process {self.pid}, has not waited, and goes on") from e

    def settle(self) -> None:
        """
        Have the other process retire.

        :raises OSError: if it is not there any more.
        """
        with self._theirs:
            self._send(Taken(), self._theirs.fileno())
        self.sock.close()

    def decline(self, reason: str) -> None:
        """Have the other process go on as before."""
        with suppress(OSError):
            self._send(Declined(reason))
        self.sock.close()

    def _send(self, message: TakeOverMessage, *descriptors: int) -> None:
        data, _ = joined([(takeovermessages.encode(message), descriptors)])
        if descriptors:
            socket.send_fds(self.sock, [data], descriptors)
        else:
            self.sock.sendall(data)


def receive(found: Inheritance) -> None:
    """
    Receive everything.

    :raises OSError: if the other process ends, or takes too long.
    :raises WireError: if it sends something else.
    """
    arriving = DescriptorFrames(MAX_TAKEOVER_FRAME)
    found.sock.settimeout(STEP)
    while True:
        for frame, descriptors in arriving.frames():
            if LOST in descriptors:
                closeDescriptors(descriptors)
                raise OSError("this process may not have so many descriptors")
            message = takeovermessages.decode(frame)
            if isinstance(message, Everything):
                return
            _add(found, message, descriptors)
        if not arriving.receiveFrom(found.sock):
            raise OSError("it has ended")


def _add(found: Inheritance, message: TakeOverMessage, descriptors: Sequence[int]) -> None:
    if len(descriptors) != descriptorsOf(message):
        closeDescriptors(descriptors)
        raise OSError(f"{type(message).__name__} with a wrong number of descriptors, {len(descriptors)}")
    match message:
        case ControlPort(encrypted):
            found.control.append((socket.socket(fileno=descriptors[0]), encrypted))
        case StatusPort():
            found.status = socket.socket(fileno=descriptors[0])
        case Descriptors():
            found.descriptors += descriptors
        case State(part):
            found.state += part
        case _:
            raise OSError(f"unexpected {type(message).__name__}")
