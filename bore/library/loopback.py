"""
``python -m bore.library.loopback LOCAL``: a server, and a tunnel of a local service at it, both on 127.0.0.1.

Prints the public port when the tunnel is up, and ends when its standard input does.
"""

from __future__ import annotations

import sys
from typing import Final

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import Protocol
from twisted.internet.stdio import StandardIO
from twisted.internet.task import react
from twisted.python.failure import Failure

from bore import Server, Tunnel

#: How long it may take until the tunnel is up, in seconds.
UP_TIMEOUT: Final = 20.0


class _UntilEnd(Protocol):
    """Waits for the end of standard input."""

    def __init__(self) -> None:
        self.ended: Deferred[None] = Deferred()

    def connectionLost(self, reason: Failure = Failure(Exception())) -> None:  # noqa: B008 - as Protocol has it
        """See Protocol."""
        self.ended.callback(None)


async def _run(reactor: IReactorTime, local: str) -> None:
    server = await Server.open(reactor)
    opening = Tunnel.open(reactor, local=local, to=f"127.0.0.1:{server.address[1]}")
    tunnel = await opening.addTimeout(UP_TIMEOUT, reactor)
    sys.stdout.write(f"{tunnel.address[1]}\n")
    sys.stdout.flush()
    end = _UntilEnd()
    StandardIO(end, reactor=reactor)
    await end.ended
    await tunnel.close()
    await server.close()


def main() -> None:
    """Run until standard input ends."""
    (local,) = sys.argv[1:]
    react(lambda reactor: ensureDeferred(_run(reactor, local)))


if __name__ == "__main__":
    main()
