"""A visitor, a service, and the wire under a lane, moved by chance and looked at closely."""

from __future__ import annotations

import contextlib
import random
import socket
from functools import lru_cache
from typing import Final

from bore.relay.interface import Ending
from bore.relay.lane import Lane
from bore.wire.lane import RAW_THRESHOLD
from tests.relay.plugs import reset
from tests.support import pattern

_SIZES: Final = (0, 1, 5, 32768, 32769, 65535, 65536, 65537, 131072)


@lru_cache(maxsize=4)
def _block(seed: int) -> bytes:
    return pattern(seed, 1 << 20)


def body(chance: random.Random, bulk: float) -> bytes:
    """The bytes of one direction: mostly few, sometimes about as many as make a direction RAW."""
    kind = chance.random()
    if kind < bulk:
        size = RAW_THRESHOLD + chance.choice((-65536, -1, 0, 1, 1000, 300_000))
    elif kind < 0.1:
        size = chance.choice(_SIZES)
    else:
        size = int(2 ** chance.uniform(0, 14)) - 1
    begin = chance.randrange((1 << 20) - size)
    return _block(chance.randrange(4))[begin : begin + size]


class Endpoint:
    """
    A program at a socket: it sends all that it has to send, and ends its stream, or cuts it at some time.

    :param outgoing: what it sends.
    :param expected: what it must receive.
    :param cuts: how likely it is that the stream is cut.
    """

    def __init__(
        self, sock: socket.socket, outgoing: bytes, expected: bytes, chance: random.Random, name: str, cuts: float
    ) -> None:
        self.sock = sock
        self._outgoing = outgoing
        self._expected = expected
        self._random = chance
        self._name = name
        self.sent = self.received = 0
        self.ended = self.wasEnded = self.wasCut = self.hasCut = False
        self._cutAt = chance.choice((0, 0, 1, 10, 100)) + chance.randrange(1, 30) if chance.random() < cuts else -1
        self._lazy = chance.randrange(60) if chance.random() < 0.1 else 0

    @property
    def closed(self) -> bool:
        return self.sock.fileno() < 0

    def step(self, talk: Talk) -> None:
        """Do something."""
        if self.closed:
            return
        if self._cutAt >= 0:
            self._cutAt -= 1
            if self._cutAt < 0:
                talk.disturb(f"cut by {self._name}")
                self.hasCut = True
                reset(self.sock)
                return
        try:
            if self._random.random() < 0.5:
                self._send()
            else:
                self._receive()
        except OSError:
            self.wasCut = True
            self.sock.close()
            return
        if self.ended and self.wasEnded:
            self.sock.close()

    def _send(self) -> None:
        if self.ended:
            return
        if self.sent < len(self._outgoing):
            size = int(2 ** self._random.uniform(0, 19))
            with contextlib.suppress(BlockingIOError):
                self.sent += self.sock.send(self._outgoing[self.sent : self.sent + size])
        elif self._random.random() < 0.3:
            self.sock.shutdown(socket.SHUT_WR)
            self.ended = True

    def _receive(self) -> None:
        if self._lazy:
            self._lazy -= 1
            return
        if self.wasEnded:
            return
        try:
            part = self.sock.recv(int(2 ** self._random.uniform(4, 19)))
        except BlockingIOError:
            return
        if not part:
            assert self.received == len(self._expected), (
                f"{self._name}: the end after {self.received} of {len(self._expected)}"
            )
            self.wasEnded = True
            return
        expected = self._expected[self.received : self.received + len(part)]
        assert part == expected, f"{self._name}: not what was sent, after {self.received} bytes"
        self.received += len(part)


class Talk:
    """
    A visitor, and the services that were reached for it: more than one, if a lane was dead.

    :ivar inner: the relay's end of the visitor's socket.
    :ivar disturbed: why it need not end in order.
    """

    def __init__(
        self, number: int, chance: random.Random, outer: socket.socket, inner: socket.socket, bulk: float, cuts: float
    ) -> None:
        self.number = number
        self.up, self.down = body(chance, bulk), body(chance, bulk)
        self.header = b"PROXY %d\r\n" % number if chance.random() < 0.3 else b""
        self.visitor = Endpoint(outer, self.up, self.down, chance, f"{self} visitor", cuts / 2)
        self.inner = inner
        self.early = b""
        self.lane: Lane | None = None
        self.services: list[Endpoint] = []
        self.attempts = self.farEndings = self.dialling = 0
        self.ending: Ending | None = None
        self.disturbed = ""

    def __repr__(self) -> str:
        return f"visitor {self.number}"

    def disturb(self, why: str) -> None:
        """It need not end in order any more."""
        self.disturbed = self.disturbed or why

    def ends(self) -> list[Endpoint]:
        """The visitor and the services."""
        return [self.visitor, *self.services]

    def state(self) -> tuple[object, ...]:
        """What changes while something happens."""
        return (self.attempts, self.ending, *((end.sent, end.received, end.closed) for end in self.ends()))

    @property
    def over(self) -> bool:
        """Whether all is closed."""
        return (
            self.ending is not None
            and not self.dialling
            and self.farEndings == len(self.services)
            and all(end.closed for end in self.ends())
        )

    def check(self) -> None:
        """See that the end was the right one."""
        if self.visitor.wasEnded:
            assert any(service.ended for service in self.services), f"{self}: an end that no service has sent"
        for each in self.services:
            assert not each.wasEnded or self.visitor.ended, f"{self}: an end that the visitor has not sent"
        if not self.disturbed:
            assert len(self.services) == 1, f"{self} was served {len(self.services)} times"
            assert self.visitor.wasEnded and self.services[0].wasEnded, f"{self} was cut without a reason"
            assert self.ending is not None
            counts = self.ending.toRight, self.ending.toLeft
            assert counts == (len(self.up), len(self.down)), f"{self}: counted {counts}"


class Wire:
    """
    What is between the two ends of a lane; it cuts frames into pieces as it likes.

    :ivar lanes: the server's end and the client's.
    :ivar killed: whether it was killed.
    """

    lanes: tuple[Lane, Lane]

    def __init__(self, near: socket.socket, far: socket.socket, chance: random.Random) -> None:
        self._random = chance
        self._socks = near, far
        self._held = [b"", b""]
        self._ended = [False, False]
        self.killed = False

    def move(self) -> bool:
        """Pass on some bytes each way, and return whether the wire is still there."""
        if self._socks[0].fileno() < 0:
            return False
        try:
            for n in (0, 1):
                with contextlib.suppress(BlockingIOError):
                    self._pass(n)
        except OSError:
            self._close(True)
            return False
        if all(self._ended) and not any(self._held):
            self._close(False)
            return False
        return True

    def _pass(self, n: int) -> None:
        source, sink = self._socks[n], self._socks[1 - n]
        if not self._held[n] and not self._ended[n]:
            size = self._random.choice((1, 3, 5, 6, 100, 1 << 12, 1 << 16, 1 << 18))
            self._held[n] = source.recv(size)
            if not self._held[n]:
                self._ended[n] = True
                sink.shutdown(socket.SHUT_WR)
        if self._held[n]:
            self._held[n] = self._held[n][sink.send(self._held[n]) :]

    def kill(self, byReset: bool) -> None:
        """Cut the wire."""
        self.killed = True
        if self._socks[0].fileno() >= 0:
            self._close(byReset)

    def _close(self, byReset: bool) -> None:
        for sock in self._socks:
            if byReset:
                reset(sock)
            else:
                sock.close()
