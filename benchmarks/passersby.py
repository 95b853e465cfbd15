"""Visitors that come to many addresses, each of them until it is greeted."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks.greeter import GREETING
from benchmarks.tunnels import Address

#: How long a visitor tries, in seconds.
PATIENCE: Final = 30.0

#: How long it waits before it tries again, in seconds.
_AGAIN: Final = 0.05

#: How many visitors are under way at the same time when there are to be as many as possible.
_AT_ONCE: Final = 64

#: Without a divisor in common with the number of addresses, a step of so many comes to all of them, well mixed.
_STEP: Final = 7919


@dataclass(slots=True)
class Visit:
    """
    One visitor.

    :ivar came: when it came, in seconds of the monotonic clock.
    :ivar served: when it was greeted; infinite: never.
    :ivar lost: how often it was refused, reset or closed before.
    """

    came: float
    served: float = math.inf
    lost: int = 0

    @property
    def waited(self) -> float:
        """How long it took, in seconds."""
        return self.served - self.came


async def _visit(address: Address) -> Visit:
    visit = Visit(time.monotonic())
    try:
        async with asyncio.timeout(PATIENCE):
            while not await _isGreeted(address):
                visit.lost += 1
                await asyncio.sleep(_AGAIN)
    except TimeoutError:
        return visit
    visit.served = time.monotonic()
    return visit


async def _isGreeted(address: Address) -> bool:
    try:
        reader, writer = await asyncio.open_connection(*address)
    except ConnectionError:
        return False
    try:
        return await reader.read(1) == GREETING
    except ConnectionError:
        return False
    finally:
        writer.close()


def toAll(addresses: Sequence[Address]) -> list[Visit]:
    """Have a visitor come to each address, as soon as the system has done with earlier ones."""
    found: list[Visit] = []

    async def some(waiting: list[Address]) -> None:
        while waiting:
            found.append(await _visit(waiting.pop()))

    async def all() -> None:
        waiting = list(addresses)
        await asyncio.gather(*(some(waiting) for _ in range(_AT_ONCE)))

    asyncio.run(all())
    return found


def steadily(addresses: Sequence[Address], rate: float, seconds: float) -> list[Visit]:
    """
    Have visitors come at a steady rate, to one address after the other.

    :param rate: how many come in a second.
    :param seconds: for how long they come.
    """

    async def all() -> list[Visit]:
        begin = time.monotonic()
        visits = []
        for n in range(int(rate * seconds)):
            await asyncio.sleep(max(0.0, begin + n / rate - time.monotonic()))
            visits.append(asyncio.create_task(_visit(addresses[n * _STEP % len(addresses)])))
        return await asyncio.gather(*visits)

    return asyncio.run(all())
