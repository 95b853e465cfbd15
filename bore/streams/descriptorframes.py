"""
Frames, and descriptors with them, on a Unix stream socket.

The kernel delivers descriptors no later than the first byte of the sendmsg(2) that they were sent with, and says of
none which frame it belongs to. So each frame begins with the number of its descriptors, if it has any, and the first
frame of each sendmsg with the number of all that are sent with it: ``3:1{...}``, ``2{...}``. Thus it is known which
frames have lost theirs when the receiver has no room for all of them (MSG_CTRUNC).
"""

from __future__ import annotations

import os
import re
import socket
from array import array
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Final, NamedTuple, TypeAlias

from bore.streams.addresses import SocketAddress
from bore.wire.errors import ProtocolViolation
from bore.wire.framing import FrameDecoder

#: A descriptor that the kernel could not deliver.
LOST: Final = -1

#: How much is sent and read by one system call, in bytes; a longer frame is sent alone.
AT_ONCE: Final = 1 << 16

#: The most descriptors that sendmsg(2) takes (SCM_MAX_FD in Linux).
DESCRIPTORS_AT_ONCE: Final = 253

#: The room for those that are received.
_ROOM: Final = socket.CMSG_SPACE(DESCRIPTORS_AT_ONCE * array("i").itemsize)

#: With this, received descriptors do not reach programs that are started. macOS does not have it.
_CLOEXEC: Final[int] = getattr(socket, "MSG_CMSG_CLOEXEC", 0)

#: What a frame begins with, in front of the first character of a JSON text.
_PREFIX: Final = re.compile(rb'(?:(\d{1,3}):)?(\d{0,3})(?=[{"\[])')

#: The longest of those.
_LONGEST_PREFIX: Final = 7

#: A frame without its NUL, and its descriptors.
Frame: TypeAlias = tuple[bytes, tuple[int, ...]]


class Batch(NamedTuple):
    """
    The descriptors of one sendmsg.

    :ivar end: how many bytes had been received when they came: the first frame with which they were sent begins before.
    :ivar lost: whether there were more.
    """

    end: int
    descriptors: tuple[int, ...]
    lost: bool


class DescriptorFrames:
    """
    Takes what is received apart.

    :param maxLength: the longest frame, in bytes.
    :ivar count: how many bytes were received.
    """

    def __init__(self, maxLength: int) -> None:
        self._decoder = FrameDecoder(maxLength + _LONGEST_PREFIX)
        self._batches: deque[Batch] = deque()
        self._descriptors: deque[int] = deque()  # of the batch whose frames arrive
        self.count = 0
        self._taken = 0  # how many bytes of those were frames

    @property
    def hasPart(self) -> bool:
        """Whether there is a part of a frame."""
        return self._decoder.hasPart or bool(self._batches)

    def receiveFrom(self, sock: socket.socket) -> int:
        """
        Receive once.

        :returns: how many bytes; 0: the other end is closed.
        :raises OSError: when the system says so.
        """
        data, ancillary, flags, _ = sock.recvmsg(AT_ONCE, _ROOM, _CLOEXEC)
        self.count += len(data)
        self._keep(ancillary, bool(flags & socket.MSG_CTRUNC))
        self._decoder.feed(data)
        return len(data)

    def frames(self) -> Iterator[Frame]:
        """
        The frames that are complete. LOST stands for a descriptor that this process had no room for.

        :raises ProtocolViolation: when the other end has broken the rules.
        """
        while (frame := self._decoder.nextFrame()) is not None:
            self._taken += len(frame) + 1
            prefix = _PREFIX.match(frame)
            if prefix is None:
                raise ProtocolViolation("a frame that is not a JSON text")
            if prefix[1] is not None:
                self._beginBatch(int(prefix[1]))
            count = int(prefix[2] or 0)
            if count > len(self._descriptors):
                raise ProtocolViolation("descriptors are missing")
            mine = tuple(self._descriptors.popleft() for _ in range(count))
            if self._batches and self._batches[0].end <= self._taken:
                closeDescriptors(mine)
                raise ProtocolViolation("descriptors that no frame has announced")
            yield frame[prefix.end() :], mine

    def check(self) -> None:
        """
        Check what is left when there is no complete frame.

        :raises ProtocolViolation: when the other end has broken the rules.
        """
        if len(self._batches) > 1:
            raise ProtocolViolation("descriptors within a frame")

    def goOnFrom(
        self, received: bytes, batches: Iterable[tuple[int, tuple[int, ...], bool]], some: Sequence[int]
    ) -> None:
        """Go on where :meth:`leave` has ended in another process."""
        self._decoder.feed(received)
        self.count = len(received)
        self._batches.extend(Batch(*each) for each in batches)
        self._descriptors.extend(some)

    def leave(self) -> tuple[bytes, tuple[Batch, ...], tuple[int, ...]]:
        """Return what is left: bytes, batches that came with them, and the rest of the batch whose frames arrive."""
        received = self._decoder.takeRest()
        batches = tuple(each._replace(end=each.end - self._taken) for each in self._batches)
        return received, batches, tuple(self._descriptors)

    def close(self) -> None:
        """Close all descriptors that are left."""
        closeDescriptors(fd for batch in self._batches for fd in batch.descriptors)
        closeDescriptors(self._descriptors)
        self._batches.clear()
        self._descriptors.clear()

    def _keep(self, ancillary: Iterable[tuple[int, int, bytes]], lost: bool) -> None:
        """Keep descriptors that were received."""
        found = array("i")
        for level, kind, data in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                found.frombytes(data[: len(data) - len(data) % found.itemsize])
        if found or lost:
            if not _CLOEXEC:
                for each in found:
                    os.set_inheritable(each, False)
            self._batches.append(Batch(self.count, tuple(found), lost))

    def _beginBatch(self, count: int) -> None:
        if self._descriptors:
            raise ProtocolViolation("descriptors that no frame has taken")
        if not self._batches:
            raise ProtocolViolation("descriptors are missing")
        batch = self._batches.popleft()
        self._descriptors.extend(batch.descriptors)
        missing = count - len(batch.descriptors)
        if missing < 0 or (missing and not batch.lost):
            raise ProtocolViolation(f"descriptors: {len(batch.descriptors)} in the place of {count}")
        self._descriptors.extend([LOST] * missing)


def joined(frames: Sequence[Frame]) -> tuple[bytes, list[int]]:
    """Return the bytes and descriptors of frames for one sendmsg."""
    descriptors = [each for _, mine in frames for each in mine]
    parts = [b"%d:" % len(descriptors)] if descriptors else []
    for frame, mine in frames:
        parts += (b"%d" % len(mine), frame, b"\0") if mine else (frame, b"\0")
    return b"".join(parts), descriptors


def closeDescriptors(descriptors: Iterable[int]) -> None:
    """Close what no one takes."""
    for each in descriptors:
        if each != LOST:
            with suppress(OSError):
                os.close(each)


def socketOf(descriptor: int, peer: SocketAddress) -> socket.socket:
    """Make a socket of the descriptor of a connection, whose family the address of its peer tells."""
    family = {2: socket.AF_INET, 4: socket.AF_INET6}.get(len(peer), socket.AF_UNIX)
    sock = socket.socket(family, socket.SOCK_STREAM, 0, descriptor)
    sock.setblocking(False)
    return sock
