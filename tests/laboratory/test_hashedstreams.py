"""The visitors that judge a server find what happens to their streams."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import Counter
from collections.abc import Callable

from twisted.trial.unittest import SynchronousTestCase

from laboratory.hashedstreams import Verdict, Visitors, answer

#: What becomes of a chunk on its way; None: the connection is reset.
Change = Callable[[bytes, int], bytes | None]


def same(data: bytes, done: int) -> bytes:
    return data


class Middle:
    """Passes streams on to the service, and changes them."""

    def __init__(self, to: int, up: Change = same, down: Change = same) -> None:
        self._to = to
        self._up = up
        self._down = down

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        further, back = await asyncio.open_connection("127.0.0.1", self._to)
        await asyncio.gather(
            self._pass(reader, back, self._up, writer), self._pass(further, writer, self._down, writer)
        )

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, change: Change, visitor: asyncio.StreamWriter
    ) -> None:
        done = 0
        while data := await reader.read(1 << 16):
            changed = change(data, done)
            if changed is None:
                visitor.get_extra_info("socket").setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
                )
                visitor.transport.abort()
                return
            done += len(data)
            writer.write(changed)
        writer.write_eof()


def flipped(data: bytes, done: int) -> bytes:
    """The bytes with one of them changed."""
    return data[:-1] + bytes([data[-1] ^ 1])


def flippedHash(data: bytes, done: int) -> bytes:
    """Only what comes behind the chunks is changed."""
    return flipped(data, done) if done >= 300 else data


def short(data: bytes, done: int) -> bytes:
    """The bytes without one of them."""
    return data[1:]


def cut(data: bytes, done: int) -> bytes | None:
    """Only the first chunk gets through."""
    return data if done < 100 else None


def longer(data: bytes, done: int) -> bytes:
    """A byte more at the end."""
    return data + b"x" if done >= 300 else data


class VisitorsTests(SynchronousTestCase):
    """What is found of one stream of three chunks, each of 100 bytes."""

    def found(self, up: Change = same, down: Change = same, elsewhere: bool = False) -> str | None:
        """What a visitor has to say about such a way to the service."""

        async def visit() -> str | None:
            services = [await asyncio.start_server(answer, "127.0.0.1", 0) for _ in range(2)]
            right, wrong = (service.sockets[0].getsockname()[1] for service in services)
            middle = await asyncio.start_server(Middle(right, up, down), "127.0.0.1", 0)
            public = middle.sockets[0].getsockname()[1]
            visitors = Visitors("127.0.0.1", 100, 3, 0.02, [])
            return await visitors.visit(public, wrong if elsewhere else right)

        return asyncio.run(visit())

    def test_aStreamThatIsNotTouchedIsWhole(self) -> None:
        self.assertIsNone(self.found())

    def test_aChangedByteIsFoundInEitherDirection(self) -> None:
        self.assertEqual(self.found(up=lambda data, done: data if done < 112 else flipped(data, done)), "altered")
        self.assertEqual(self.found(down=flipped), "altered")

    def test_theHashesCountToo(self) -> None:
        self.assertIn(self.found(down=flippedHash), ("altered", "elsewhere"))

    def test_aMissingByteIsFound(self) -> None:
        self.assertIn(self.found(down=short), ("altered", "closed"))

    def test_aByteTooManyIsFound(self) -> None:
        self.assertEqual(self.found(down=longer), "altered")

    def test_aResetIsFound(self) -> None:
        self.assertEqual(self.found(down=cut), "reset")

    def test_anotherServiceIsFound(self) -> None:
        self.assertEqual(self.found(elsewhere=True), "elsewhere")

    def test_aRefusalIsFound(self) -> None:
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            visitors = Visitors("127.0.0.1", 100, 3, 0.02, [])
            self.assertEqual(asyncio.run(visitors.visit(sock.getsockname()[1], 1)), "refused")


class VerdictTests(SynchronousTestCase):
    """What a program prints another one reads."""

    def test_theVerdictIsReadAsItWasWritten(self) -> None:
        verdict = Verdict(7, Counter(refused=2), 0.5, 1.25)
        self.assertEqual(Verdict.read(str(verdict)), verdict)
