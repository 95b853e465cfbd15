"""What a running server has given to a new process, which takes over from it."""

from __future__ import annotations

import re
import socket
from array import array
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from bore.commandline import NotPossible
from bore.streams.addresses import localAddress
from bore.wire import takeovermessages
from bore.wire.framing import FrameDecoder
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

#: A frame as :mod:`bore.streams.channel` has it: the number of all descriptors that are sent with it, and of its own.
_PREFIX: Final = re.compile(rb"(?:\d+:)?(\d*)(?=\{)")

_AT_ONCE: Final = 1 << 16
_DESCRIPTORS_AT_ONCE: Final = 253


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

    def takeStatus(self, host: str, port: int) -> socket.socket | None:
        """Take the listening socket of the status port; None: the other process has none there."""
        sock, self.status = self.status, None
        if sock is None or localAddress(sock)[:2] == (host, port):
            return sock
        sock.close()
        return None

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
        frame = takeovermessages.encode(message) + b"\0"
        if descriptors:
            socket.send_fds(self.sock, [b"%d:%d%b" % (len(descriptors), len(descriptors), frame)], descriptors)
        else:
            self.sock.sendall(frame)


def receive(found: Inheritance) -> None:
    """
    Receive everything.

    :raises OSError: if the other process ends, or takes too long.
    :raises WireError: if it sends something else.
    """
    frames, descriptors = FrameDecoder(MAX_TAKEOVER_FRAME), deque[int]()
    room = socket.CMSG_SPACE(_DESCRIPTORS_AT_ONCE * array("i").itemsize)
    found.sock.settimeout(STEP)
    while True:
        while (frame := frames.nextFrame()) is not None:
            prefix = _PREFIX.match(frame)
            count = int(prefix[1] or 0) if prefix else 0
            if count > len(descriptors):
                raise OSError("it has sent no descriptors")
            mine = [descriptors.popleft() for _ in range(count)]
            message = takeovermessages.decode(frame[prefix.end() if prefix else 0 :])
            if isinstance(message, Everything):
                return
            _add(found, message, mine)
        data, ancillary, flags, _ = found.sock.recvmsg(_AT_ONCE, room, socket.MSG_CMSG_CLOEXEC)
        if not data or flags & socket.MSG_CTRUNC:
            raise OSError("it has ended" if not data else "this process may not have so many descriptors")
        frames.feed(data)
        for _, _, content in ancillary:
            numbers = array("i")
            numbers.frombytes(content[: len(content) - len(content) % numbers.itemsize])
            descriptors.extend(numbers)


def _add(found: Inheritance, message: TakeOverMessage, descriptors: list[int]) -> None:
    if len(descriptors) != descriptorsOf(message):
        raise OSError(f"{type(message).__name__} with {len(descriptors)} descriptors")
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
