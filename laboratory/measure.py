"""Visitors that note when they are served, and talks that note what got lost."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from laboratory.network import Lab

#: How long a visitor waits for its answer, in seconds.
VISITOR_PATIENCE: Final = 20.0


def secondsUntil(condition: Callable[[], bool], longest: float, pause: float = 0.01) -> float | None:
    """
    How long it takes until something is so; None if that is longer than ``longest`` seconds.

    :param pause: between two looks, in seconds.
    """
    begin = time.monotonic()
    while True:
        if condition():
            return time.monotonic() - begin
        if time.monotonic() - begin > longest:
            return None
        time.sleep(pause)


def sleepUntil(moment: float) -> None:
    """Wait for a moment of time.monotonic()."""
    time.sleep(max(0.0, moment - time.monotonic()))


@dataclass(eq=False)
class Visit:
    """
    One visitor. Times are those of time.monotonic(), in seconds.

    :ivar came: when it came.
    :ivar over: when it had its answer, or none; None while it waits.
    :ivar trouble: why it got no answer.
    """

    came: float
    over: float | None = None
    trouble: str | None = None

    @property
    def served(self) -> bool:
        return self.over is not None and self.trouble is None

    @property
    def waited(self) -> float:
        return (self.over or time.monotonic()) - self.came


class Visits:
    """
    Visitors who come one after another, each for one question and its answer.

    :param place: the host they come from.
    :param interval: between two, in seconds.
    :ivar all: every visit, in the order in which they came.
    """

    def __init__(self, lab: Lab, place: str, host: str, port: int, interval: float = 0.25) -> None:
        self._address = (host, port)
        self._interval = interval
        self._stop = threading.Event()
        self.all: list[Visit] = []
        self._thread = threading.Thread(target=lambda: asyncio.run(self._come()), daemon=True)
        with lab.inside(place):
            self._thread.start()

    def stop(self) -> None:
        """Send no more visitors, and wait for those that are waiting."""
        self._stop.set()
        self._thread.join(VISITOR_PATIENCE + 5)

    async def _come(self) -> None:
        tasks: set[asyncio.Task[None]] = set()
        while not self._stop.is_set():
            visit = Visit(time.monotonic())
            self.all.append(visit)
            task = asyncio.create_task(self._one(visit))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            await asyncio.sleep(self._interval)
        if tasks:
            await asyncio.wait(tasks)

    async def _one(self, visit: Visit) -> None:
        visit.trouble = await ask(*self._address)
        visit.over = time.monotonic()

    def servedAfter(self, moment: float, longest: float = 0.0, came: float = 0.0) -> float | None:
        """
        How long after a moment the first visitor was served; waits for one.

        :param longest: from now, in seconds.
        :param came: leave out visitors that came before this moment.
        """

        def moments() -> list[float]:
            found = [visit for visit in self.all if visit.came >= came and visit.served]
            return [visit.over for visit in found if visit.over is not None and visit.over > moment]

        secondsUntil(lambda: bool(moments()), longest)
        return min(moments()) - moment if moments() else None

    def between(self, begin: float, end: float) -> list[Visit]:
        """The visitors that came in this time."""
        return [visit for visit in self.all if begin <= visit.came < end]

    def lost(self, begin: float = 0.0, end: float = float("inf")) -> list[Visit]:
        """The visitors that came in this time and got no answer."""
        return [visit for visit in self.between(begin, end) if not visit.served]


async def ask(host: str, port: int, patience: float = VISITOR_PATIENCE) -> str | None:
    """
    Visit, ask once, and go.

    :returns: why there was no answer, if there was none.
    """
    question = os.urandom(16)
    try:
        async with asyncio.timeout(patience):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(question)
                answer = await reader.readexactly(len(question))
                return None if answer == question else "another answer"
            finally:
                writer.close()
    except TimeoutError:
        return f"no answer for {patience:g} s"
    except asyncio.IncompleteReadError:
        return "closed"
    except ConnectionResetError:
        return "reset"
    except OSError as e:
        return os.strerror(e.errno or 0).lower()


class Talk:
    """
    A visitor who stays, and says something ten times a second.

    :ivar sent: numbers sent.
    :ivar heard: numbers that came back, in order.
    :ivar trouble: why it ended early.
    """

    def __init__(self, lab: Lab, place: str, host: str, port: int) -> None:
        self._socket = lab.connect(place, host, port)
        self.sent = self.heard = 0
        self.trouble: str | None = None
        self._patience = 30.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def finish(self, patience: float = 30.0) -> str:
        """End it, wait for the rest, and return a description."""
        self._patience = patience
        self._stop.set()
        self._thread.join(patience + 5)
        lost = 8 * (self.sent - self.heard)
        if self.trouble:
            return f"broken ({self.trouble}), {lost} bytes lost"
        return f"{8 * self.sent} bytes, {lost} lost"

    @property
    def whole(self) -> bool:
        """Whether everything came back."""
        return self.trouble is None and self.sent == self.heard

    def _run(self) -> None:
        with self._socket:
            try:
                while not self._stop.is_set():
                    self._say()
                    self._hear()
                self._socket.settimeout(self._patience)
                self._socket.shutdown(socket.SHUT_WR)
                self._rest()
            except TimeoutError:
                self.trouble = "stalled"
            except OSError as e:
                self.trouble = e.strerror or str(e)

    def _say(self) -> None:
        self._socket.sendall(struct.pack("!Q", self.sent))
        self.sent += 1

    def _hear(self) -> None:
        """Listen for a tenth of a second."""
        begin = time.monotonic()
        while (left := begin + 0.1 - time.monotonic()) > 0 and not self._stop.is_set():
            self._socket.settimeout(left)
            try:
                self._take(self._socket.recv(8))
            except TimeoutError:
                break

    def _rest(self) -> None:
        while self.heard < self.sent:
            self._take(self._socket.recv(8))

    def _take(self, data: bytes) -> None:
        while 0 < len(data) < 8:
            more = self._socket.recv(8 - len(data))
            data = data + more if more else b""
        if not data:
            raise ConnectionAbortedError(0, "closed")
        if struct.unpack("!Q", data)[0] != self.heard:
            raise ConnectionAbortedError(0, "bytes are missing")
        self.heard += 1


class Load:
    """
    A visitor who stays, and sends as much as gets through, to a service that sends all of it back.

    :ivar trouble: why it ended early.
    """

    def __init__(self, lab: Lab, place: str, host: str, port: int) -> None:
        self._socket = lab.connect(place, host, port)
        self._socket.settimeout(None)
        self.sent = self.heard = 0
        self.trouble: str | None = None
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=run, daemon=True) for run in (self._send, self._receive)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Send no more."""
        self._stop.set()

    def finish(self, patience: float = 180.0) -> str | None:
        """End it, wait for what is under way, and return what went wrong."""
        self._socket.settimeout(patience)
        self.stop()
        for thread in self._threads:
            thread.join(patience + 5)
        self._socket.close()
        if self.trouble is None and self.heard != self.sent:
            self.trouble = f"{self.sent - self.heard} bytes are missing"
        return self.trouble

    def _send(self) -> None:
        try:
            while not self._stop.is_set():
                self.sent += self._socket.send(bytes(8192))
            self._socket.shutdown(socket.SHUT_WR)
        except OSError as e:
            self.trouble = e.strerror or str(e)

    def _receive(self) -> None:
        try:
            while data := self._socket.recv(65536):
                self.heard += len(data)
        except OSError as e:
            self.trouble = e.strerror or str(e)
