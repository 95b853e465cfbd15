"""
``python -m laboratory.echo HOST PORT``: the local service, which sends everything back.

PORT may be 0; the line that it prints, ``ready on HOST:PORT, ...``, has the one that it listens on.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from typing import cast


class Echo(asyncio.Protocol):
    """Sends back what comes, no faster than it is taken, and ends when the other side has ended."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def data_received(self, data: bytes) -> None:
        self._transport.write(data)

    def pause_writing(self) -> None:
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._transport.resume_reading()


async def serve(host: str, port: int) -> None:
    """Serve for ever."""
    server = await asyncio.get_running_loop().create_server(Echo, host, port, backlog=4096)
    host, port = server.sockets[0].getsockname()[:2]
    print(f"ready on {host}:{port}, and sends everything back", flush=True)  # noqa: T201
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], int(sys.argv[2])))
