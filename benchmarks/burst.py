"""
Many visitors within a second, who want one byte each: a program of its own.

``python -m benchmarks.burst HOST PORT COUNT SOURCE`` prints what has become of them, as JSON. The kernel repeats the
SYN of a visitor that found a full queue after 1, 3 and 7 seconds, so a visitor has a while.
"""

from __future__ import annotations

import errno
import json
import select
import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Final

from benchmarks.descriptors import raiseLimit
from benchmarks.greeter import GREETING

#: All of them come within this time, in seconds.
WITHIN: Final = 1.0

#: How long they wait, behind the last one, in seconds: the third repetition of a SYN is among it.
PATIENCE: Final = 10.0

#: Those that come closer together than this may change places, in seconds.
_TOGETHER: Final = 0.1

#: IP_BIND_ADDRESS_NO_PORT (linux/in.h): the port is chosen by connect, so that it need not differ from all others.
_NO_PORT: Final = 24


@dataclass(slots=True)
class Outcome:
    """
    What has become of visitors.

    :ivar served: those that got their byte.
    :ivar reset: those whose connection was reset, or closed without a byte.
    :ivar unanswered: those that got nothing in time.
    :ivar disordered: those that were served before one that had come a tenth of a second earlier.
    :ivar last: seconds from the first visitor to the last one that was served.
    """

    served: int = 0
    reset: int = 0
    unanswered: int = 0
    disordered: int = 0
    last: float = 0.0

    def __add__(self, other: Outcome) -> Outcome:
        return Outcome(
            self.served + other.served,
            self.reset + other.reset,
            self.unanswered + other.unanswered,
            self.disordered + other.disordered,
            max(self.last, other.last),
        )


def disordered(times: Sequence[tuple[float, float]]) -> int:
    """
    How many visitors were served before one that had come a tenth of a second earlier.

    :param times: when each visitor came and was served, in the order in which they came.
    """
    count = 0
    before = 0
    lastServed = float("-inf")
    for came, served in times:
        while times[before][0] <= came - _TOGETHER:
            lastServed = max(lastServed, times[before][1])
            before += 1
        count += served < lastServed
    return count


@dataclass(slots=True)
class Burst:
    """Visitors that come within a second."""

    target: tuple[str, int]
    source: str
    outcome: Outcome = field(default_factory=Outcome)
    _came: dict[int, tuple[socket.socket, float]] = field(default_factory=dict)
    _times: list[tuple[float, float]] = field(default_factory=list)
    _poll: select.epoll = field(default_factory=select.epoll)

    def run(self, count: int) -> Outcome:
        """Have visitors come, and return what has become of them."""
        begin = time.monotonic()
        for n in range(count):
            self._wait(begin + WITHIN * n / count)
            self._come()
        end = time.monotonic() + PATIENCE
        while self._came and time.monotonic() < end:
            self._serve(end)
        for sock, _ in self._came.values():
            sock.close()
        outcome = self.outcome
        outcome.unanswered = len(self._came)
        outcome.served = len(self._times)
        outcome.last = max((served for _, served in self._times), default=begin) - begin
        outcome.disordered = disordered(sorted(self._times))
        return outcome

    def _come(self) -> None:
        sock = socket.socket()
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_IP, _NO_PORT, 1)
        sock.bind((self.source, 0))
        code = sock.connect_ex(self.target)
        if code not in (0, errno.EINPROGRESS):
            self.outcome.reset += 1
            sock.close()
            return
        self._came[sock.fileno()] = sock, time.monotonic()
        self._poll.register(sock.fileno(), select.EPOLLIN)

    def _wait(self, until: float) -> None:
        while True:
            self._serve(until)
            if time.monotonic() >= until:
                return

    def _serve(self, until: float) -> None:
        for fd, _ in self._poll.poll(max(0.0, until - time.monotonic())):
            sock, came = self._came.pop(fd)
            try:
                served = sock.recv(1) == GREETING
            except OSError:
                served = False
            if served:
                self._times.append((came, time.monotonic()))
            else:
                self.outcome.reset += 1
            sock.close()


if __name__ == "__main__":
    raiseLimit()
    found = Burst((sys.argv[1], int(sys.argv[2])), sys.argv[4]).run(int(sys.argv[3]))
    print(json.dumps(asdict(found)), flush=True)  # noqa: T201
