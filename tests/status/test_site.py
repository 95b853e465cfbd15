"""HTTP: answers, and what is refused or cut."""

from __future__ import annotations

import contextlib
import socket
from typing import Any, cast

from twisted.internet import reactor
from twisted.internet.task import LoopingCall, deferLater
from twisted.internet.threads import deferToThread

from bore.status import door, site
from bore.status.door import MAX_CONNECTIONS
from bore.status.questions import Question, Refused, Routes, jsonAnswer
from bore.status.site import MAX_UNREAD
from bore.streams.reactor import IReactor
from tests.status.sitecase import CLOSE, GET, LATER, Response, SiteCase, post
from tests.support import receiveAll


class AnswerTests(SiteCase):
    """What is answered."""

    async def test_aQuestionHasItsParts(self) -> None:
        answer = await self.send(
            b"GET /status?a=1&b=%C3%A4 HTTP/1.1\r\nHost: x\r\nX-Token: t\r\nConnection: close\r\n\r\n"
        )
        self.assertEqual((answer.code, answer.json()), (200, {"state": "running"}))
        self.assertEqual(answer.headers["Content-Type"], "application/json")
        self.assertEqual(answer.headers["Cache-Control"], "no-store")
        [question] = self.questions
        self.assertEqual((question.method, question.path, question.query), ("GET", "/status", {"a": "1", "b": "ä"}))
        self.assertEqual(question.headers["x-token"], "t")
        self.assertTrue(question.peer.startswith("127.0.0.1:"))

    async def test_aUnixSocketIsAnsweredWithoutALoggedError(self) -> None:
        """Twisted's HTTP turns Nagle's algorithm off, which such a socket has not; the error would be logged."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        self.addCleanup(theirs.close)
        gone: list[None] = []
        self.makeSite(Routes({"GET /status": self.status})).serve(ours, lambda: gone.append(None))
        theirs.sendall(CLOSE)
        await self.until(lambda: bool(gone))
        self.assertEqual(Response(receiveAll(theirs)).code, 200)
        self.assertEqual(self.flushLoggedErrors(), [])

    async def test_aHeadHasNoBody(self) -> None:
        answer = await self.send(CLOSE.replace(b"GET", b"HEAD"))
        self.assertEqual((answer.code, answer.body, answer.headers["Content-Length"]), (200, b"", "21"))

    async def test_aPathThatEndsWithASlashStandsForAllBelow(self) -> None:
        answer = await self.send(b"GET /tunnels/unix:/run/a%20b HTTP/1.0\r\n\r\n")
        self.assertEqual(answer.json(), "/tunnels/unix:/run/a b")

    async def test_severalInARowAreAnsweredInTheirOrder(self) -> None:
        sock = self.connect()
        sock.sendall(GET.replace(b"/status", b"/later") + GET * 3 + CLOSE)
        await self.until(lambda: hasattr(self, "pending"))
        self.assertEqual(self.questions, [])
        self.pending.callback(jsonAnswer("first"))
        data = await deferToThread(receiveAll, sock)
        self.assertEqual((data.count(b"200 OK"), len(self.questions)), (5, 4))
        self.assertLess(data.index(b"first"), data.index(b"running"))

    async def test_anAnswerInPartsIsMadeInSeveralTurns(self) -> None:
        turns = LoopingCall(self.turn)
        turns.start(0)
        answer = await self.send(b"GET /long HTTP/1.0\r\n\r\n")
        turns.stop()
        self.assertEqual(answer.body, b"0123456789")
        self.assertGreaterEqual(len(set(self.madeIn)), 5, "ten parts of 3 ms each")

    async def test_whatDoesNotExistIsAnsweredWithWhatDoes(self) -> None:
        answer = await self.send(CLOSE.replace(b"/status", b"/stats"))
        self.assertEqual(answer.code, 404)
        self.assertIn("there is no /stats: there are /events", answer.error)

    async def test_anotherMethodIsAnsweredWithTheRightOne(self) -> None:
        answer = await self.send(post(b"", "/status"))
        self.assertEqual((answer.code, answer.headers["Allow"]), (405, "GET"))
        self.assertIn("/status takes GET, not POST", answer.error)

    async def test_aFaultOfOursCostsOneAnswer(self) -> None:
        for path in (b"/fault", b"/faultInParts"):
            answer = await self.send(CLOSE.replace(b"/status", path))
            self.assertEqual(answer.code, 500)
            self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    async def test_aBodyIsReadAndItsMistakesNamed(self) -> None:
        answer = await self.send(post(b'{"user": "alice", "within": 3}'))
        self.assertEqual((answer.code, answer.json()), (200, {"user": "alice", "within": 3}))
        for body, text in (
            (b"user", "must be a JSON object with user, within"),
            (b"[" * 30_000, "must be a JSON object"),
            (b'{"usr": 1}', "unknown key 'usr': the body may have user, within"),
            (b'{"user": 1}', "user must be a text"),
            (b'{"within": true}', "within must be a number"),
        ):
            answer = await self.send(post(body))
            self.assertEqual(answer.code, 400)
            self.assertIn(text, answer.error)


class EndlessTests(SiteCase):
    """Responses without an end."""

    def events(self) -> socket.socket:
        sock = self.connect()
        sock.sendall(GET.replace(b"/status", b"/events"))
        return sock

    async def test_itIsWrittenToUntilThePeerLeaves(self) -> None:
        sock = self.events()
        await self.until(lambda: self.outlets)
        self.outlets[0].write(b"data: 1\n\n")
        found = b""
        while b"data: 1\n\n" not in found:
            found += await deferToThread(sock.recv, 1000)
        self.assertIn(b"Content-Type: text/event-stream", found)
        sock.close()
        await self.until(lambda: self.left == 1)

    async def test_aPeerThatDoesNotReadIsCut(self) -> None:
        self.events()
        await self.until(lambda: self.outlets)
        for _ in range(200):
            self.outlets[0].write(bytes(MAX_UNREAD // 10))
            await deferLater(cast(IReactor, reactor), 0)
        self.assertEqual(self.left, 1)
        self.outlets[0].write(b"too late")

    async def test_oneThatHasReadEverythingMayBeSentMoreAtOnce(self) -> None:
        sock = self.events()
        await self.until(lambda: self.outlets)
        size = 4 * MAX_UNREAD
        self.outlets[0].write(bytes(size))
        self.assertEqual(self.left, 0)
        found = 0
        while found < size:
            found += len(await deferToThread(sock.recv, 1 << 16))
        await self.until(lambda: self.outlets[0].unread == 0)

    async def test_aFewAtMost(self) -> None:
        self.patch(site, "MAX_ENDLESS", 1)
        self.events()
        await self.until(lambda: self.outlets)
        answer = await self.send(CLOSE.replace(b"/status", b"/events"))
        self.assertEqual(answer.code, 503)
        self.outlets[0].close()
        self.assertEqual(self.left, 1)
        self.events()
        await self.until(lambda: len(self.outlets) == 2)


class DoorTests(SiteCase):
    """The listening end."""

    async def test_theNextOneBeyondTheLimitWaits(self) -> None:
        others = [self.connect() for _ in range(MAX_CONNECTIONS)]
        for each in others:
            each.sendall(LATER)
        await self.until(lambda: self.asked == MAX_CONNECTIONS)  # their answers are under way
        waits = self.connect()
        waits.sendall(CLOSE)
        await self.until(lambda: len(self.made) == 1 and len(self.made[0]._channels) == MAX_CONNECTIONS)
        await deferLater(cast(IReactor, reactor), 0.1)
        self.assertEqual(self.questions, [])
        self.pending.callback(jsonAnswer("there is one that needs its connection no more"))
        data = await deferToThread(receiveAll, waits)
        self.assertEqual(Response(data).code, 200)

    async def test_oneAddressDoesNotKeepTheOthersOut(self) -> None:
        """It holds all connections; for those of others its oldest one goes, without a request first."""
        held = [self.connectFrom("127.0.0.2") for _ in range(MAX_CONNECTIONS)]
        held[0].sendall(GET[:-2])
        for each in held[1:3]:
            each.sendall(LATER)
        await self.until(lambda: len(self.made) == 1 and len(self.made[0]._channels) == MAX_CONNECTIONS)
        await self.until(lambda: self.asked == 2)
        for gone in (held[3], held[4]):
            keeps = self.connect()
            keeps.sendall(GET)
            await deferToThread(keeps.recv, 1)
            with self.assertRaises(ConnectionResetError):
                await deferToThread(gone.recv, 1)
        for each in held[:3]:
            each.setblocking(False)
            self.assertRaises(BlockingIOError, each.recv, 1)

    async def test_ofOneAddressFewAreNotCut(self) -> None:
        """So many hosts as there are connections for need nothing of each other."""
        held = [self.connectFrom(f"127.0.0.{2 + n // site.SHARE}") for n in range(MAX_CONNECTIONS)]
        waits = self.connect()
        waits.sendall(CLOSE)
        await self.until(lambda: len(self.made) == 1 and len(self.made[0]._channels) == MAX_CONNECTIONS)
        await deferLater(cast(IReactor, reactor), 0.1)
        self.assertEqual(self.questions, [])
        held[7].close()
        data = await deferToThread(receiveAll, waits)
        self.assertEqual(Response(data).code, 200)

    async def test_aHostThatCannotBeMadeCostsOneConnection(self) -> None:
        self.patch(self.door, "_open", lambda: 1 // 0)
        answered = 0
        with contextlib.suppress(ConnectionError):  # unless it was closed before the question came
            answered = (await self.send(CLOSE)).code
        self.assertEqual(answered, 0)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(self.door._count, 0)

    async def test_anErrorOfAcceptIsWaitedOut(self) -> None:
        self.patch(door, "_PAUSE", 0.1)

        class Broken:
            def __init__(self, sock: socket.socket) -> None:
                self.sock = sock

            def accept(self) -> Any:
                raise OSError(24, "no descriptors")

            def fileno(self) -> int:
                return self.sock.fileno()

        whole = self.door._socket
        self.door._socket = cast(socket.socket, Broken(whole))
        self.door.doRead()
        self.door._socket = whole
        self.assertEqual((await self.send(CLOSE)).code, 200)

    def test_refusalsAreTexts(self) -> None:
        with self.assertRaises(Refused):
            Routes({"GET /a/": self.status})(Question("GET", "/", {}, {}, b"", "unix"))
