"""Tunnels without visitors, any number in one process: a program of its own."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Final

from benchmarks.descriptors import raiseLimit

#: The line that the program prints when all tunnels are open.
READY: Final = "all tunnels are open"

#: How many are opened at the same time.
_AT_ONCE: Final = 20

#: How long the server may take to open one, in seconds.
_TIMEOUT: Final = 10.0


class IdleTunnel(asyncio.Protocol):
    """
    A control connection on which Hello was said (README.rst, "The wire protocol"); heartbeats are read and dropped.

    :ivar opened: done when the server has answered, with an error if the answer is not Hello.
    """

    def __init__(self) -> None:
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        transport.write(b'{"Hello":0}\0')

    def data_received(self, data: bytes) -> None:
        if self.opened.done():
            return
        self._data += data
        frame, nul, _ = self._data.partition(b"\0")
        if not nul:
            return
        if "Hello" in json.loads(frame):
            self.opened.set_result(None)
        else:
            self.opened.set_exception(ConnectionError(f"the server answers {frame!r}"))

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.opened.done():
            self.opened.set_exception(exc or ConnectionError("the server has closed the connection"))


async def hold(host: str, port: int, count: int) -> None:
    """
    Open tunnels, print a line when all are open, and hold them.

    :param port: the server's control port.
    """
    loop = asyncio.get_running_loop()
    turns = asyncio.Semaphore(_AT_ONCE)

    async def one() -> None:
        async with turns, asyncio.timeout(_TIMEOUT):
            _, tunnel = await loop.create_connection(IdleTunnel, host, port)
            await tunnel.opened

    await asyncio.gather(*(one() for _ in range(count)))
    print(READY, flush=True)  # noqa: T201
    await asyncio.Event().wait()


if __name__ == "__main__":
    raiseLimit()
    asyncio.run(hold(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
