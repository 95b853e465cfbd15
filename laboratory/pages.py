"""
Pages that have their owner's name: local services, visitors that read one page, and streams that stay.

``python -m laboratory.pages serve HOST FIRST OWNER ...`` listens on a port for each owner, from FIRST on. To each
visitor that has sent a question it sends the owner's name, and then all that comes back.

``python -m laboratory.pages visit PAUSE HOST:PORT ...`` has a visitor come every PAUSE seconds, to each of the places
in turn. It prints a :class:`Visit` for each.

``python -m laboratory.pages stay HOST:PORT ...`` has a stream at each of the places, which asks twice a second. It
prints a :class:`Visit` for each at its end.

SIGTERM ends the visitors: those that are under way have PATIENCE seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, NamedTuple

#: How long an answer may take, in seconds.
PATIENCE: Final = 20.0

#: An owner's name on the wire, and a question.
_NAME: Final = 32
_QUESTION: Final = 16

#: Between two questions of a stream, in seconds.
_PAUSE: Final = 0.5

#: Why there was no page.
REFUSED: Final = "refused"
RESET: Final = "reset"
CLOSED: Final = "closed"
SILENT: Final = "silent"
ALTERED: Final = "altered"
UNREACHABLE: Final = "unreachable"


class Place(NamedTuple):
    """A public address, as one visitor knows it."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    @classmethod
    def read(cls, text: str) -> Place:
        """The place in an argument."""
        host, _, port = text.rpartition(":")
        return cls(host, int(port))


class Visit(NamedTuple):
    """
    What a visitor, or a stream, has seen. Times are those of time.monotonic(), in seconds.

    :ivar came: when it came.
    :ivar served: when it had its page; 0 if it never had one.
    :ivar over: when it ended.
    :ivar owner: the name in the page; ``-`` if there was none.
    :ivar trouble: why it did not end well; ``-`` if it did.
    """

    place: Place
    came: float
    served: float
    over: float
    owner: str
    trouble: str

    def __str__(self) -> str:
        times = f"{self.came:.3f} {self.served:.3f} {self.over:.3f}"
        return f"visit {self.place} {times} {self.owner} {self.trouble}"

    @classmethod
    def read(cls, line: str) -> Visit:
        """The visit in a line of output."""
        _, place, came, served, over, owner, trouble = line.split()
        return cls(Place.read(place), float(came), float(served), float(over), owner, trouble)

    @property
    def isWhole(self) -> bool:
        """Whether nothing went wrong."""
        return self.trouble == "-"

    @property
    def waited(self) -> float:
        """How long it waited for its page, or for its end without one, in seconds."""
        return (self.served or self.over) - self.came


async def serve(host: str, first: int, owners: Sequence[str]) -> None:
    """Serve for ever."""

    async def answer(owner: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, EOFError), contextlib.closing(writer):
            question = await reader.readexactly(_QUESTION)
            writer.write(owner.encode().ljust(_NAME) + question)
            while data := await reader.read(1 << 16):
                writer.write(data)
                await writer.drain()

    for port, owner in enumerate(owners, first):

        async def answered(r: asyncio.StreamReader, w: asyncio.StreamWriter, owner: str = owner) -> None:
            await answer(owner, r, w)

        await asyncio.start_server(answered, host, port, backlog=1024)
    say("ready")
    await asyncio.get_running_loop().create_future()


class Visitor:
    """
    A visitor.

    :param hasToGo: asked after each answer.
    """

    def __init__(self, place: Place, hasToGo: Callable[[], bool]) -> None:
        self._place = place
        self._hasToGo = hasToGo
        self._owner = "-"
        self._served = 0.0

    async def come(self) -> Visit:
        """Come, read the page, ask until it has to go, and go."""
        came = time.monotonic()
        trouble = await self._trouble()
        return Visit(self._place, came, self._served, time.monotonic(), self._owner, trouble)

    async def _trouble(self) -> str:
        try:
            async with asyncio.timeout(PATIENCE):
                reader, writer = await asyncio.open_connection(*self._place)
            try:
                return await self._ask(reader, writer)
            finally:
                writer.close()
        except TimeoutError:
            return SILENT
        except asyncio.IncompleteReadError:
            return CLOSED
        except ConnectionRefusedError:
            return REFUSED
        except (ConnectionResetError, BrokenPipeError):
            return RESET
        except OSError:
            return UNREACHABLE

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str:
        while True:
            question = os.urandom(_QUESTION)
            writer.write(question)
            async with asyncio.timeout(PATIENCE):
                if not self._served:
                    self._owner = (await reader.readexactly(_NAME)).decode(errors="replace").strip() or "-"
                answer = await reader.readexactly(_QUESTION)
            self._served = self._served or time.monotonic()
            if answer != question:
                return ALTERED
            if self._hasToGo():
                return "-"
            await asyncio.sleep(_PAUSE)


class Visitors:
    """Visitors, and streams, of this process."""

    def __init__(self) -> None:
        self._ended = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    def end(self) -> None:
        """Let nobody come any more, and streams go."""
        self._ended.set()

    async def visit(self, pause: float, places: Sequence[Place]) -> None:
        """Have visitors come."""
        for place in itertools.cycle(places):
            begin = time.monotonic()
            self._begin(Visitor(place, lambda: True).come())
            if await self._sleep(pause - (time.monotonic() - begin)):
                break
        await self._rest()

    async def stay(self, places: Sequence[Place]) -> None:
        """Have streams stay."""
        for place in places:
            self._begin(Visitor(place, self._ended.is_set).come())
            await asyncio.sleep(0.005)
        say("ready")
        await self._ended.wait()
        await self._rest()

    def _begin(self, visit: Awaitable[Visit]) -> None:
        async def tell() -> None:
            say(str(await visit))

        task = asyncio.create_task(tell())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _sleep(self, seconds: float) -> bool:
        """Wait; return whether it is time to end."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._ended.wait(), max(0.0, seconds))
        return self._ended.is_set()

    async def _rest(self) -> None:
        if self._tasks:
            await asyncio.wait(self._tasks)


def say(text: str) -> None:
    """A line for the laboratory."""
    print(text, flush=True)  # noqa: T201


async def main(words: Sequence[str]) -> None:
    """Do what the command line says."""
    if words[0] == "serve":
        await serve(words[1], int(words[2]), words[3:])
        return
    visitors = Visitors()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, visitors.end)
    if words[0] == "visit":
        await visitors.visit(float(words[1]), [Place.read(word) for word in words[2:]])
    else:
        await visitors.stay([Place.read(word) for word in words[1:]])


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
