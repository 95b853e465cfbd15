"""HTTP: peers that break the rules, take too long, do not read, or leave."""

from __future__ import annotations

import contextlib
import socket
import struct
from typing import cast

from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread

from bore.status import site
from bore.status.questions import jsonAnswer
from bore.status.site import MAX_BODY
from bore.streams.reactor import IReactor
from tests.status.sitecase import CLOSE, GET, LARGE, SiteCase, post
from tests.support import receiveAll

LARGEST = GET.replace(b"/status", b"/large")


class HostileTests(SiteCase):
    """Peers that break the rules, or take too long."""

    def unread(self) -> int:
        """How much the system has not taken of all answers."""
        return sum(channel.unread for made in self.made for channel in made._channels)

    async def test_aRequestThatDoesNotComeInTime(self) -> None:
        self.patch(site, "REQUEST_TIMEOUT", 0.3)
        self.assertEqual((await self.send(b"")).code, 0)
        answer = await self.send(GET[:20])
        self.assertEqual(answer.code, 408)
        self.assertIn("has not come within", answer.error)

    async def test_aRequestThatComesByteByByteHasNoMoreTime(self) -> None:
        self.patch(site, "REQUEST_TIMEOUT", 0.5)
        sock = self.connect()

        def talk() -> bytes:
            sock.settimeout(0.05)
            received = b""
            for byte in GET * 100:
                try:
                    sock.sendall(bytes([byte | 1 if byte == 10 else byte]))
                    received += sock.recv(1000)
                except TimeoutError:
                    continue
                except OSError:
                    break
                if received:
                    break
            return received

        begin = cast(IReactor, reactor).seconds()
        received = await deferToThread(talk)
        self.assertLess(cast(IReactor, reactor).seconds() - begin, 5)
        self.assertIn(b" 408 ", received)

    async def test_aConnectionThatIsIdleBehindItsAnswer(self) -> None:
        self.patch(site, "REQUEST_TIMEOUT", 0.3)
        answer = await self.send(GET)
        self.assertEqual(answer.code, 200)

    async def test_headersWithoutAnEnd(self) -> None:
        answer = await self.send(GET[:-2] + b"X: " + b"y" * 20_000)
        self.assertIn(answer.code, (0, 400))
        answer = await self.send(GET[:-2] + b"X: y\r\n" * 5000)
        self.assertEqual(answer.code, 400)

    async def test_whatIsNotHttp(self) -> None:
        for data in (b"\0" * 100 + b"\r\n", b"GET\r\n\r\n", b"\x16\x03\x01\r\n", GET[:-2] + b"nonsense\r\n\r\n"):
            self.assertIn((await self.send(data)).code, (0, 400))
        answer = await self.send(b"GET /%ff HTTP/1.0\r\n\r\n")
        self.assertEqual((answer.code, answer.error), (400, "the path and the headers must be UTF-8"))

    async def test_aBodyThatIsTooLong(self) -> None:
        for head in (
            post(b"").replace(b"Content-Length: 0", f"Content-Length: {MAX_BODY + 1}".encode()),
            post(b"").replace(b"Content-Length: 0", b"Content-Length: 99999999999999999999"),
        ):
            answer = await self.send(head)
            self.assertEqual((answer.code, answer.error), (413, f"the body may have {MAX_BODY} bytes at most"))
        chunks = b"8000\r\n" + b"x" * 0x8000 + b"\r\n"
        answer = await self.send(
            post(b"").replace(b"Content-Length: 0", b"Transfer-Encoding: chunked") + chunks * 3 + b"0\r\n\r\n"
        )
        self.assertEqual(answer.code, 413)

    async def test_manyRequestsAtOnceAreAnsweredOneByOne(self) -> None:
        sock = self.connect()

        def talk() -> int:
            sock.sendall(GET * 500 + CLOSE)
            return receiveAll(sock).count(b"200 OK")

        self.assertEqual(await deferToThread(talk), 501)

    async def test_theNextRequestWaitsUntilTheAnswerIsRead(self) -> None:
        sock = self.connect()
        sock.sendall(LARGEST + GET * 500 + CLOSE)
        await self.until(lambda: self.unread())
        await deferLater(cast(IReactor, reactor), 0.1)
        self.assertEqual(self.questions, [])
        data = await deferToThread(receiveAll, sock)
        self.assertEqual((data.count(b"200 OK"), len(self.questions)), (502, 501))

    async def test_onesWhoNeverReadAreCut(self) -> None:
        self.patch(site, "REQUEST_TIMEOUT", 0.3)
        self.connect().sendall(LARGEST * 3)
        await self.until(lambda: self.unread())
        await self.until(lambda: not self.made[0]._channels)

    async def test_whatIsSentBehindARequestIsNotRead(self) -> None:
        sock = self.connect()
        sock.sendall(GET.replace(b"/status", b"/events"))
        await self.until(lambda: self.outlets)
        self.outlets[0].write(bytes(LARGE))
        sock.setblocking(False)
        sent = 0
        for _ in range(100):
            with contextlib.suppress(BlockingIOError):
                while sent < 1 << 26:
                    sent += sock.send(bytes(1 << 18))
            await deferLater(cast(IReactor, reactor), 0.002)
        self.assertLess(sent, 1 << 24, "what the system takes")

    async def test_thoseThatLeaveBeforeTheirAnswer(self) -> None:
        sock = self.connect()
        sock.sendall(GET.replace(b"/status", b"/later"))
        await self.until(lambda: hasattr(self, "pending"))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()
        await self.until(lambda: not self.made[0]._channels)
        self.pending.callback(jsonAnswer({}))

    async def test_thoseThatEndTheirDirectionGetTheirAnswers(self) -> None:
        for request, answers in ((b"/later", 1), (b"/long", 1), (b"/events", 0), (b"/status", 2)):
            sock = self.connect()
            sock.sendall(GET.replace(b"/status", request) + GET * (answers - 1))
            sock.shutdown(socket.SHUT_WR)
            if request == b"/later":
                await self.until(lambda: hasattr(self, "pending"))
                await deferLater(cast(IReactor, reactor), 0.1)
                self.pending.callback(jsonAnswer({}))
            data = await deferToThread(receiveAll, sock)
            self.assertEqual(data.count(b"200 OK") if answers else 0, answers, request)
            await self.until(lambda: not self.made[0]._channels)

    async def test_thoseThatEndTheirDirectionWithinARequestAreCut(self) -> None:
        for part in (b"", GET[:10]):
            sock = self.connect()
            sock.sendall(part)
            sock.shutdown(socket.SHUT_WR)
            self.assertEqual(await deferToThread(receiveAll, sock), b"")
