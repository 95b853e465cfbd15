"""
Streams whose every byte is known to both of their ends: a local service, and visitors that stay for a while.

``python -m laboratory.hashedstreams serve HOST PORT COUNT`` is the service. It listens on COUNT ports, from PORT on.

``python -m laboratory.hashedstreams visit HOST AT_ONCE CHUNK CHUNKS PAUSE PUBLIC:SERVICE ...`` has AT_ONCE visitors at
a time, each at the next of the public ports, behind which is the named port of the service. A visitor and the service
send CHUNKS times CHUNK bytes to each other at the same time, with PAUSE seconds between two chunks. Then the visitor
ends its direction, and the service answers with the hashes of what it has received and sent. A visitor that has left is
replaced by the next one.

The visitors' program prints ``ready`` when so many are there for the first time, and ``trouble TIME KIND PORT AGE``
for the first streams that are not whole. SIGTERM lets those that are there finish; then it prints a :class:`Verdict` as
JSON.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import itertools
import json
import random
import signal
import struct
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

#: What a visitor sends first: which bytes it sends, the size of a chunk, how many, and the pause in milliseconds.
_HEADER: Final = struct.Struct("!IIHH")

_HASH: Final = 32

#: The bytes of all streams: each begins somewhere else in them.
_BYTES: Final = random.Random(17).randbytes(1 << 20)

#: How long a stream may stand still, in seconds. A new visitor may wait for so long, too.
PATIENCE: Final = 20.0

#: How many troubles are printed.
_SHOWN: Final = 20


@dataclass
class Verdict:
    """
    What the visitors have seen.

    :ivar whole: streams with all their bytes, each as it was sent, in both directions.
    :ivar troubles: how many of the others there were of each kind: ``refused``, ``reset``, ``closed``, ``stalled``,
        ``altered``, ``elsewhere`` (another service has answered).
    :ivar longest: the longest time between a visitor's connect() and its first byte, in seconds.
    :ivar at: when that visitor came, by time.monotonic().
    """

    whole: int = 0
    troubles: Counter[str] = field(default_factory=Counter)
    longest: float = 0.0
    at: float = 0.0

    def __str__(self) -> str:
        return json.dumps({**vars(self), "troubles": dict(self.troubles)})

    @classmethod
    def read(cls, text: str) -> Verdict:
        """The verdict that a program has printed."""
        found = json.loads(text)
        return cls(found["whole"], Counter(found["troubles"]), found["longest"], found["at"])


def chunks(seed: int, size: int, count: int) -> Iterator[bytes]:
    """The chunks of one direction."""
    start = seed % len(_BYTES)
    for _ in range(count):
        found = _BYTES[start : start + size]
        yield found + _BYTES[: size - len(found)]
        start = (start + size) % len(_BYTES)


async def _send(writer: asyncio.StreamWriter, port: int, seed: int, size: int, count: int, pause: float) -> bytes:
    """Send one direction; return its hash."""
    digest = _digest(port)
    for n, chunk in enumerate(chunks(seed, size, count)):
        if n:
            await asyncio.sleep(pause)
        digest.update(chunk)
        writer.write(chunk)
        await writer.drain()
    return digest.digest()


def _digest(port: int) -> hashlib._Hash:
    """The beginning of the hash of one direction: the port of the service."""
    return hashlib.sha256(port.to_bytes(2, "big"))


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One visitor at the service."""
    port: int = writer.get_extra_info("sockname")[1]
    received = _digest(port)
    with contextlib.suppress(OSError, EOFError, TimeoutError), contextlib.closing(writer):
        seed, size, count, pause = _HEADER.unpack(await reader.readexactly(_HEADER.size))
        sending = asyncio.create_task(_send(writer, port, ~seed, size, count, pause / 1000))
        try:
            async with asyncio.timeout(2 * PATIENCE + count * pause / 1000):
                while data := await reader.read(1 << 16):
                    received.update(data)
                writer.write(received.digest() + await sending)
                await writer.drain()
        finally:
            sending.cancel()


async def serve(host: str, port: int, count: int) -> None:
    """Serve for ever."""
    servers = [await asyncio.start_server(answer, host, each, backlog=1024) for each in range(port, port + count)]
    say("ready")
    await asyncio.gather(*(server.serve_forever() for server in servers))


class Visitors:
    """
    Visitors of some public ports.

    :param size: of a chunk, in bytes.
    :param count: how many chunks each sends and receives.
    :param pause: between two chunks, in seconds.
    :param ports: the public ports, and for each the port of the service behind it.
    """

    def __init__(self, host: str, size: int, count: int, pause: float, ports: list[tuple[int, int]]) -> None:
        self._host = host
        self._shape = (size, count, pause)
        self._ports = itertools.cycle(ports)
        self._over = asyncio.Event()
        self.verdict = Verdict()

    async def come(self, atOnce: int) -> None:
        """Have so many there at a time, until SIGTERM comes, and then let them finish."""
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self._over.set)
        _, count, pause = self._shape
        life = count * pause
        places = [asyncio.create_task(self._place(n / atOnce * min(life, 3.0))) for n in range(atOnce)]
        await asyncio.sleep(min(life, 3.0))
        say("ready")
        await asyncio.gather(*places)
        say(str(self.verdict))

    async def _place(self, later: float) -> None:
        """One visitor after another."""
        await asyncio.sleep(later)
        while not self._over.is_set():
            public, service = next(self._ports)
            begin = time.monotonic()
            trouble = await self.visit(public, service)
            if trouble is None:
                self.verdict.whole += 1
                continue
            self.verdict.troubles[trouble] += 1
            if self.verdict.troubles.total() <= _SHOWN:
                say(f"trouble {time.monotonic():.3f} {trouble} {public} {time.monotonic() - begin:.3f}")
            await asyncio.sleep(0.2)  # or refusals, which are fast, would be most of what is counted

    async def visit(self, public: int, service: int) -> str | None:
        """Visit once; return what was wrong."""
        _, count, pause = self._shape
        writer = None
        try:
            async with asyncio.timeout(2 * PATIENCE + count * pause):
                begin = time.monotonic()
                async with asyncio.timeout(PATIENCE):
                    reader, writer = await asyncio.open_connection(self._host, public)
                return await self._talk(reader, writer, service, begin)
        except TimeoutError:
            return "stalled"
        except ConnectionRefusedError:
            return "refused"
        except ConnectionResetError:
            return "reset"
        except (EOFError, OSError):
            return "closed"
        finally:
            if writer is not None:
                writer.transport.abort()

    async def _talk(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, service: int, begin: float
    ) -> str | None:
        size, count, pause = self._shape
        seed = random.getrandbits(32)
        writer.write(_HEADER.pack(seed, size, count, round(pause * 1000)))
        sending = asyncio.create_task(_send(writer, service, seed, size, count, pause))
        expected = _digest(service)
        try:
            for n, chunk in enumerate(chunks(~seed, size, count)):
                async with asyncio.timeout(PATIENCE + pause):
                    data = await reader.readexactly(1)
                    if n == 0:
                        self._waited(begin)
                    data += await reader.readexactly(size - 1)
                if data != chunk:
                    return "altered"
                expected.update(chunk)
            mine = await sending
            writer.write_eof()
            async with asyncio.timeout(PATIENCE):
                received, sent = await reader.readexactly(_HASH), await reader.readexactly(_HASH)
                more = await reader.read(1)
        finally:
            sending.cancel()
        if sent != expected.digest():
            return "elsewhere"
        return "altered" if more or received != mine else None

    def _waited(self, begin: float) -> None:
        """A visitor has its first byte."""
        waited = time.monotonic() - begin
        if waited > self.verdict.longest:
            self.verdict.longest, self.verdict.at = waited, begin


def say(text: str) -> None:
    """A line for the process that has started us."""
    print(text, flush=True)  # noqa: T201


def main() -> None:
    role, host, *words = sys.argv[1:]
    if role == "serve":
        asyncio.run(serve(host, int(words[0]), int(words[1])))
    atOnce, size, count, pause, *ports = words
    pairs = [(int(public), int(service)) for public, _, service in (port.partition(":") for port in ports)]

    async def visit() -> None:
        await Visitors(host, int(size), int(count), float(pause), pairs).come(int(atOnce))

    asyncio.run(visit())


if __name__ == "__main__":
    main()
