"""The engine in Redis, where something answers that is none."""

from __future__ import annotations

import os
import socket
from threading import Event

from bore.cluster.engine import EngineAway
from tests.cluster.enginecontract import node
from tests.cluster.rediscase import RedisCase
from tests.support import PATIENCE, LocalService

_NO_REDIS = "it does not answer in the protocol of Redis"


class RedisAnswersTests(RedisCase):
    """Whatever answers, a call says what is wrong, and nothing is kept that nobody has asked for."""

    async def whyNot(self, answer: bytes, first: bytes = b"", forever: bool = False) -> str:
        """
        Why a call fails that gets this answer.

        :param first: what is answered to the first command; empty: the answer.
        :param forever: whether it comes again and again until the connection is cut.
        """
        ended = Event()

        def serve(sock: socket.socket) -> None:
            try:
                sock.recv(1 << 16)
                if first:
                    sock.sendall(first)
                    sock.recv(1 << 16)
                sock.sendall(answer)
                while forever:
                    sock.sendall(answer)
                while sock.recv(1 << 16):
                    pass
            except OSError:
                pass  # it was cut
            ended.set()

        service = LocalService(serve)
        self.addCleanup(service.close)
        engine = self.begun(f"redis://127.0.0.1:{service.port}")
        with self.assertRaises(EngineAway) as raised:
            await engine.enter(node("one/1"))
        await engine.stop()
        self.assertTrue(ended.wait(PATIENCE), "the connection stays")
        return str(raised.exception).partition(" cannot be used: ")[2]

    async def test_whatIsNoTextIsNamed(self) -> None:
        self.assertEqual(await self.whyNot(b"\xff\xfe\x00\r\n"), _NO_REDIS)
        self.assertEqual(await self.whyNot(b"+\xff\r\n", first=b"+PONG\r\n"), _NO_REDIS)

    async def test_theSameBehindAnAnswerIs(self) -> None:
        self.assertEqual(await self.whyNot(b"$1\r\nx\r\n\xff\r\n", first=b"+PONG\r\n"), "it has answered 'x'")

    async def test_anAnswerThatNobodyHasAskedForEndsTheConnection(self) -> None:
        why = await self.whyNot(b"+OK\r\n" * 1000, first=b"+PONG\r\n", forever=True)
        self.assertEqual(why, "it has answered 'OK'")

    async def test_aLongAnswerIsNotRead(self) -> None:
        for begin in (b"$99999999999\r\n", b"*99999999999\r\n" + b"+x\r\n" * 1000000):
            why = await self.whyNot(begin + bytes(3 << 20), first=b"+PONG\r\n")
            self.assertEqual(why, "its answer has more than 1 MiB")

    async def test_aLineWithoutAnEndIsNotRead(self) -> None:
        self.assertEqual(await self.whyNot(bytes(1 << 20), first=b"+PONG\r\n"), _NO_REDIS)

    async def test_anyBytesAreAnError(self) -> None:
        for _ in range(20):
            self.assertTrue(await self.whyNot(os.urandom(500) + b"\r\n", first=b"+PONG\r\n" * 2))
