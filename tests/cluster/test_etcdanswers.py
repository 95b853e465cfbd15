"""The engine in etcd, where something answers that is none."""

from __future__ import annotations

import socket
from threading import Barrier, Event

from twisted.internet.defer import gatherResults
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from bore.cluster.engine import EngineAway, EngineRefuses
from bore.cluster.etcdserver import EtcdServer, Unreachable
from bore.cluster.url import EngineServer
from tests.cluster.etcdprogram import REACTOR, engineOf
from tests.support import PATIENCE, LocalService


class EtcdAnswersTests(TestCase):
    """Whatever answers, a call says what is wrong, in time."""

    async def whyNot(self, answer: bytes, error: type[EngineAway] = EngineAway) -> str:
        """Why a call fails that gets this answer, with this error."""

        def serve(sock: socket.socket) -> None:
            sock.recv(1 << 16)
            sock.sendall(answer)

        service = LocalService(serve)
        self.addCleanup(service.close)
        with self.assertRaises(error) as raised:
            await engineOf(self, f"etcd://127.0.0.1:{service.port}").records()
        return str(raised.exception).partition(" cannot be used: ")[2]

    async def answered(self, body: bytes, status: str = "200 OK", error: type[EngineAway] = EngineAway) -> str:
        """The same, with this body."""
        head = b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n" % (status.encode(), len(body))
        return await self.whyNot(head + body, error)

    async def test_whatIsNoGatewayIsNamed(self) -> None:
        why = await self.answered(b"404 page not found", "404 Not Found")
        self.assertEqual(why, "it has no JSON gateway under /v3: etcd 3.4 or later is needed")

    async def test_whatIsNoJsonIsNamed(self) -> None:
        self.assertEqual(await self.answered(b"<html>"), "it does not answer in JSON")

    async def test_anAnswerToSomethingElseIsRefused(self) -> None:
        self.assertEqual(await self.answered(b'{"header":{}}'), "it has answered another transaction")

    async def test_aLongAnswerIsNotRead(self) -> None:
        self.assertEqual(await self.answered(bytes(3 << 20)), "its answer has more than 1 MiB")

    async def test_anErrorOfTheServerIsNamed(self) -> None:
        self.assertEqual(await self.answered(b"", "500 Oops"), "it answers with the status 500")

    async def test_anErrorOfEtcdIsShownInAscii(self) -> None:
        body = '{"message":"etcdserver: too many ü","code":3}'.encode()
        why = await self.answered(body, "400 Bad Request", EngineRefuses)
        self.assertEqual(why, r"it refuses: etcdserver: too many \xfc")

    async def test_anEndWithinTheAnswerIsNamed(self) -> None:
        self.assertEqual(
            await self.whyNot(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{"), "it closed the connection"
        )

    async def test_whatIsNoHttpIsNamed(self) -> None:
        self.assertEqual(await self.whyNot(b"-ERR unknown command\r\n"), "it does not answer in HTTP")

    async def test_anAnswerThatDoesNotEndIsCut(self) -> None:
        ended = Event()

        def serve(sock: socket.socket) -> None:
            sock.recv(1 << 16)
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{")
            sock.recv(1)
            ended.set()

        service = LocalService(serve)
        self.addCleanup(service.close)
        server = EtcdServer(REACTOR, EngineServer("127.0.0.1", service.port), None)
        error = await self.assertFailure(server.ask("kv/txn", b"{}", "", 0.3), Unreachable)
        self.assertEqual(str(error), "it does not answer")
        while not ended.is_set():
            await deferLater(REACTOR, 0.01)

    async def test_afterATimeoutNoOtherConnectionIsUsedAgain(self) -> None:
        """As when a firewall has forgotten them all."""
        begun: list[socket.socket] = []
        both = Barrier(2)

        def serve(sock: socket.socket) -> None:
            begun.append(sock)
            sock.recv(1 << 16)
            if len(begun) <= both.parties:
                both.wait(PATIENCE)
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
            while sock.recv(1 << 16):
                pass

        service = LocalService(serve)
        self.addCleanup(service.close)
        server = EtcdServer(REACTOR, EngineServer("127.0.0.1", service.port), None)
        await gatherResults([server.ask("kv/txn", b"{}", "", PATIENCE) for _ in range(2)])
        await self.assertFailure(server.ask("kv/txn", b"{}", "", 0.3), Unreachable)
        await server.ask("kv/txn", b"{}", "", PATIENCE)
        self.assertEqual(len(begun), 3)
        await server.stop()

    async def test_aValueThatIsNoTextIsRefused(self) -> None:
        entry = b'{"key":"Ym9yZS9zdGF0ZQ==","value":"/wD/","mod_revision":"5"}'
        body = b'{"header":{},"succeeded":true,"responses":[{"response_range":{"kvs":[%s]}}]}'
        self.assertEqual(await self.answered(body % entry, error=EngineRefuses), "a name or a value is not a text")

    async def test_headersWithoutEndAreNotRead(self) -> None:
        ended = Event()

        def serve(sock: socket.socket) -> None:
            try:
                sock.sendall(b"HTTP/1.1 200 OK\r\n")
                while True:
                    sock.sendall(b"X: y\r\n" * 1000)
            except OSError:
                ended.set()

        service = LocalService(serve)
        self.addCleanup(service.close)
        server = EtcdServer(REACTOR, EngineServer("127.0.0.1", service.port), None)
        await self.assertFailure(server.ask("kv/txn", b"{}", "", 1000.0), Unreachable)
        self.assertTrue(ended.wait(PATIENCE))

    async def test_anAnswerMayBeAsLongOnEachUseOfAConnection(self) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (1 << 20)

        def serve(sock: socket.socket) -> None:
            while sock.recv(1 << 16):
                sock.sendall(head + bytes(1 << 20))

        service = LocalService(serve)
        self.addCleanup(service.close)
        server = EtcdServer(REACTOR, EngineServer("127.0.0.1", service.port), None)
        for _ in range(3):
            self.assertEqual(len((await server.ask("kv/txn", b"{}", "", PATIENCE)).body), 1 << 20)
        await server.stop()

    async def test_atAStopNoFurtherCallAsksForAToken(self) -> None:
        begun: list[socket.socket] = []

        def serve(sock: socket.socket) -> None:
            begun.append(sock)
            while sock.recv(1 << 16):
                pass

        service = LocalService(serve)
        self.addCleanup(service.close)
        engine = engineOf(self, f"etcd://bore:secret@127.0.0.1:{service.port}")
        calls = [engine.records() for _ in range(10)]
        while not begun:
            await deferLater(REACTOR, 0.01)
        await engine.stop()
        for each in calls:
            await self.assertFailure(each, EngineAway)
        await deferLater(REACTOR, 0.1)
        self.assertEqual(len(begun), 1)

    async def test_atAStopAllCallsThatWaitFail(self) -> None:
        def serve(sock: socket.socket) -> None:
            while sock.recv(1 << 16):
                pass

        service = LocalService(serve)
        self.addCleanup(service.close)
        engine = engineOf(self, f"etcd://127.0.0.1:{service.port}")
        calls = [engine.records() for _ in range(2000)]
        await engine.stop()
        for each in calls:
            await self.assertFailure(each, EngineAway)
