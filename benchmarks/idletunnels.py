"""Tunnels without visitors, any number in one process: a program of its own."""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
from typing import ClassVar, Final

from benchmarks.descriptors import raiseLimit

#: The line that the program prints when all tunnels are open.
READY: Final = "all tunnels are open"

#: How many are opened at the same time.
_AT_ONCE: Final = 20


#: Asks for a tunnel, by the client's number for it.
_OPEN: Final = b'{"Open":{"tunnel":%d,"port":0,"resume":null}}\0'


class IdleTunnel(asyncio.Protocol):
    """
    A session with one tunnel (docs/protocol.rst).

    :ivar opened: done when the server has opened the tunnel, with an error if it refuses.
    """

    #: How long the server may take to open it, in seconds.
    patience: ClassVar = 10.0

    #: What is sent at the beginning, and the name of the last answer to it.
    _request = b'{"Hello":0}\0'
    _answer = "Hello"

    def __init__(self) -> None:
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._transport: asyncio.WriteTransport
        self._data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        *frames, self._data = (self._data + data).split(b"\0")
        for frame in frames:
            self._follow(json.loads(frame))

    def _follow(self, message: object) -> None:
        if message == "Heartbeat":
            self._beat()
        elif self.opened.done() or not isinstance(message, dict):
            return
        elif self._answer in message:
            self.opened.set_result(None)
        elif not {"Hello", "Extended"} & set(message):
            self.opened.set_exception(ConnectionError(f"the server answers {message!r}"))

    def _beat(self) -> None:
        """A heartbeat has come: in the base protocol it is not answered."""

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.opened.done():
            self.opened.set_exception(exc or ConnectionError("the server has closed the connection"))


class ExtendedTunnel(IdleTunnel):
    """The same in the extension of the protocol, where heartbeats are rare, and answered."""

    _request = b'{"Hello":0} \0' + _OPEN % 1
    _answer = "Opened"

    def _beat(self) -> None:
        self._transport.write(b'"Alive"\0')


class FullSession(ExtendedTunnel):
    """As many tunnels as a session may have in one, or almost (MAX_TUNNELS in bore/wire/limits.py)."""

    #: How many it has.
    tunnels: ClassVar = 1000

    #: Those of twenty sessions are opened by turns.
    patience = 120.0

    _request = b'{"Hello":0} \0' + b"".join(_OPEN % number for number in range(1, tunnels + 1))

    def __init__(self) -> None:
        super().__init__()
        self._missing = self._last = self.tunnels

    def _follow(self, message: object) -> None:
        match message:
            case {"Opened": _} if self._missing > 1:
                self._missing -= 1
            case {"Refused": {"tunnel": _, "retry": True}}:  # a node that has much to do may be late
                self._last += 1
                self._transport.write(_OPEN % self._last)
            case _:
                super()._follow(message)


def trustful() -> ssl.SSLContext:
    """TLS that trusts any server: this is a benchmark's own."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["bore/1"])
    return context


async def hold(host: str, port: int, count: int, kind: type[IdleTunnel], encrypted: bool) -> None:
    """
    Open tunnels, print a line when all are open, and hold them.

    :param port: the server's control port.
    :param count: how many sessions there are.
    :param kind: what the sessions are.
    :param encrypted: whether they are in TLS.
    """
    context = trustful() if encrypted else None
    loop = asyncio.get_running_loop()
    turns = asyncio.Semaphore(_AT_ONCE)

    async def one() -> None:
        async with turns, asyncio.timeout(kind.patience):
            _, tunnel = await loop.create_connection(kind, host, port, ssl=context)
            await tunnel.opened

    await asyncio.gather(*(one() for _ in range(count)))
    print(READY, flush=True)  # noqa: T201
    await asyncio.Event().wait()


if __name__ == "__main__":
    raiseLimit()
    words = sys.argv[4:]
    kinds = {"extended": ExtendedTunnel, "full": FullSession}
    kind = next((kinds[word] for word in words if word in kinds), IdleTunnel)
    asyncio.run(hold(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), kind, "tls" in words))
