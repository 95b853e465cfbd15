"""Visitors who come all at once."""

from __future__ import annotations

import os
import select
import socket
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

from laboratory.fault import Fault, Outcome
from laboratory.pairings import OURS, PAIRINGS, Pairing, Site

#: How long a visitor of a burst waits for its answer, in seconds.
_PATIENCE: Final = 30.0


class Comer:
    """
    One visitor of a burst, with one question.

    :ivar trouble: why it got no answer; None if it got it.
    """

    __slots__ = ("_answer", "_asked", "_question", "socket", "trouble")

    def __init__(self, address: tuple[str, int]) -> None:
        self.socket = socket.socket()
        self.socket.setblocking(False)
        self.socket.connect_ex(address)
        self.trouble: str | None = f"no answer for {_PATIENCE:g} s"
        self._question = os.urandom(16)
        self._answer = b""
        self._asked = False

    def go(self, epoll: select.epoll) -> bool:
        """Do what can be done now; return whether that was the last."""
        try:
            if not self._asked:
                self.socket.sendall(self._question)
                self._asked = True
                epoll.modify(self.socket, select.EPOLLIN)
                return False
            data = self.socket.recv(16)
        except BlockingIOError:
            return False
        except OSError as e:
            self.trouble = e.strerror or "lost"
            return True
        self._answer += data
        if data and len(self._answer) < len(self._question):
            return False
        self.trouble = None if self._answer == self._question else "closed" if not data else "another answer"
        return True


class Rush:
    """
    Visitors who come as fast as one process can have them come.

    :ivar comers: all of them, in the order in which they came.
    :ivar took: how long it took until the last of them had come, in seconds.
    :ivar answered: when each of those that were served was, in seconds from when it came; in the order in which they
        were served.
    """

    def __init__(self, address: tuple[str, int], count: int) -> None:
        self._epoll = select.epoll()
        self._here: dict[int, Comer] = {}
        self.comers: list[Comer] = []
        self.answered: dict[Comer, float] = {}
        begin = time.monotonic()
        came: dict[Comer, float] = {}
        for _ in range(count):
            comer = Comer(address)
            self.comers.append(comer)
            came[comer] = time.monotonic()
            self._here[comer.socket.fileno()] = comer
            self._epoll.register(comer.socket, select.EPOLLOUT)
        self.took = time.monotonic() - begin
        while self._here and time.monotonic() - begin < _PATIENCE:
            for fd, _ in self._epoll.poll(1.0):
                comer = self._here[fd]
                if comer.go(self._epoll):
                    del self._here[fd]
                    comer.socket.close()
                    if comer.trouble is None:
                        self.answered[comer] = time.monotonic() - came[comer]
        for comer in self._here.values():
            comer.socket.close()
        self._epoll.close()

    @property
    def overtaken(self) -> int:
        """The largest number of later visitors that overtook one."""
        served = [comer for comer in self.comers if comer in self.answered]
        place = {comer: n for n, comer in enumerate(self.answered)}
        return max((place[comer] - n for n, comer in enumerate(served)), default=0)


@dataclass(frozen=True)
class Burst(Fault):
    """Many visitors of one tunnel within a second."""

    name = "burst"
    fault = "{visitors} visitors connect to one tunnel as fast as they can"
    promise = "all are served within 10 s, and roughly in order: none is overtaken by more than a quarter of the others"
    how = (
        "One process opens all connections and sends a request on each. The time for that is part of the result. A "
        "visitor is overtaken by visitors that connected later and were answered earlier."
    )
    pairings: ClassVar[Sequence[Pairing]] = PAIRINGS
    options: ClassVar[Sequence[str]] = ()

    visitors: int = 4000

    def inject(self, site: Site, outcome: Outcome) -> None:
        number = site.start(clientOptions=self.options)
        for place in ("visitor", "server", "client"):
            site.lab.set(place, "net/core/somaxconn", "4096")
        time.sleep(1)
        with site.lab.inside("visitor"):
            rush = Rush((site.host, number), self.visitors)
        outcome.says(f"{self.visitors} visitors within {rush.took:.1f} s")
        lost = Counter(comer.trouble for comer in rush.comers if comer.trouble is not None)
        text = ", ".join(f"{count} {trouble}" for trouble, count in sorted(lost.items()))
        outcome.holds(f"{lost.total()} lost" + (f" ({text})" if text else ""), not lost)
        outcome.lasts("longest wait", max(rush.answered.values(), default=None), 10)
        overtaken = rush.overtaken
        text = f"none overtaken by more than {overtaken}"
        if site.pairing.isOurs:
            outcome.holds(text, overtaken <= self.visitors / 4)
        else:  # an original client connects for all of them at the same time, in its own order
            outcome.says(text)


class BurstWithoutLanes(Burst):
    """Each visitor on a new connection."""

    name = "burst-no-lanes"
    fault = "{visitors} visitors connect to one tunnel of a client with --lanes 0 as fast as they can"
    how = "As above; the client makes a new connection to the server for each of them."
    pairings = (OURS,)
    options = ("--lanes", "0")
