"""A tunnel in a program of asyncio: ``python with_asyncio.py PORT SERVER``."""

from __future__ import annotations

import asyncio
import contextlib
import sys

from twisted.internet import asyncioreactor


async def main(local: str, server: str) -> None:
    loop = asyncio.get_running_loop()
    asyncioreactor.install(loop)  # before anything imports the reactor
    from twisted.internet import reactor

    from bore import Tunnel

    reactor.startRunning()  # type: ignore[attr-defined]
    tunnel = await Tunnel.open(reactor, local=local, to=server).asFuture(loop)
    print(tunnel.url, flush=True)
    try:
        await asyncio.Event().wait()
    finally:
        await tunnel.close().asFuture(loop)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(*sys.argv[1:]))
