"""A real server in the role of a worker, with a test in the place of the supervisor."""

from __future__ import annotations

import socket
from typing import cast

from twisted.internet.interfaces import ITCPTransport
from twisted.internet.threads import deferToThread
from twisted.logger import LogLevel, formatEvent

from bore.client.tunnelspec import TunnelSpec
from bore.events.server import SessionOpened
from bore.tls.settings import ClientTls, ServerTls
from bore.wire import messages
from bore.wire import workermessages as wm
from bore.wire.messages import Accept, Connection, Hello
from bore.wire.secret import Secret
from tests.fakes import captureLog
from tests.support import receiveExactly
from tests.workers.originals import Original
from tests.workers.supervised import Supervised, SupervisedCase

SECRET = Secret("correct horse battery staple")


class Serving(SupervisedCase):
    """Clients of all kinds are served."""

    async def test_itIsReady(self) -> None:
        supervised = self.supervised()
        ready = await self.until(supervised, wm.Ready)
        self.assertIsNone(ready.fingerprint)
        supervised.talk.send(wm.Ping())
        load = await self.until(supervised, wm.Load)
        self.assertEqual((load.sessions, load.visitors), (0, 0))
        self.assertGreater(load.cpu, 0)
        self.assertEqual(supervised.inside.calls, ["tick"])

    async def shows(self, supervised: Supervised, port: int, **settings: object) -> None:
        await self.until(supervised, wm.Ready)
        client = self.client(port, [TunnelSpec(await self.service(b"a"), name="a")], **settings)
        client.startService()
        public = await client.whenOpened("a")
        for _ in range(3):
            visit = await self.assertShows(public, b"a")
            self.assertEqual(await visit.ask(b"hello"), b"hello")
        supervised.talk.send(wm.Ping())
        load = await self.until(supervised, wm.Load)
        self.assertEqual((load.sessions, load.visitors), (1, 3))

    async def test_aClientWithLanes(self) -> None:
        supervised = self.supervised()
        await self.shows(supervised, supervised.listener.port)
        pending = await self.until(supervised, wm.Pending)
        self.assertGreaterEqual(pending.seen, 2)

    async def test_aClientBehindASecret(self) -> None:
        supervised = self.supervised(secret=SECRET)
        await self.shows(supervised, supervised.listener.port, secret=SECRET)

    async def test_aClientInsideTls(self) -> None:
        supervised = self.supervised(secret=SECRET, tls=ServerTls(folder=self.folder))
        ready = await self.until(supervised, wm.Ready)
        self.assertTrue(ready.fingerprint.startswith("SHA256:"))
        await self.shows(supervised, supervised.encrypted.port, secret=SECRET, tls=ClientTls())

    async def test_anOriginalClient(self) -> None:
        for secret in None, SECRET:
            supervised = self.supervised(secret=secret)
            await self.until(supervised, wm.Ready)
            await deferToThread(self._original, supervised, secret)

    def _original(self, supervised: Supervised, secret: Secret | None) -> None:
        control = Original(self.host, supervised.listener.port)
        control.request(Hello(0), secret)
        hello = control.frame()
        assert isinstance(hello, Hello)
        with socket.create_connection((self.host, hello.port), 10) as visitor:
            visitor.sendall(b"hello")
            while not isinstance(announced := control.frame(), Connection):
                pass
            data = Original(self.host, supervised.listener.port)
            data.request(Accept(announced.id), secret)
            self.assertEqual(receiveExactly(data.sock, 5), b"hello")
            data.sock.sendall(b"world")
            self.assertEqual(receiveExactly(visitor, 5), b"world")
            data.sock.close()
        control.sock.close()


class Orders(SupervisedCase):
    """What the operator wants."""

    async def test_theyAreCarriedOutAndAnswered(self) -> None:
        supervised = self.supervised()
        await self.until(supervised, wm.Ready)
        for number, order in enumerate(("reload", "rotate", "sing"), 1):
            supervised.talk.send(wm.Order(number, order, None, None, 0.0))
        await self.until(supervised, wm.Done, 3)
        self.assertEqual(
            supervised.of(wm.Done),
            [
                wm.Done(1, (), ("changed",), None),
                wm.Done(2, (), (), None),
                wm.Done(3, (), (), "this version has no order 'sing'"),
            ],
        )
        self.assertEqual(supervised.inside.calls, ["reload", "rotate"])

    async def test_aUserAndATunnelAreKicked(self) -> None:
        supervised = self.supervised()
        await self.until(supervised, wm.Ready)
        client = self.client(supervised.listener.port, [TunnelSpec(await self.service(b"a"), name="a")])
        client.startService()
        public = await client.whenOpened("a")
        await self.assertShows(public, b"a")
        supervised.talk.send(wm.Order(1, "kick", None, 1, 0.0))
        supervised.talk.send(wm.Order(2, "kick", None, public, 0.0))
        supervised.talk.send(wm.Order(3, "kick", "", None, 0.0))
        await self.until(supervised, wm.Done, 3)
        self.assertEqual([each.counts for each in supervised.of(wm.Done)], [(0, 0, 0), (0, 1, 1), (1, 0, 0)])

    async def test_anErrorIsAnAnswer(self) -> None:
        supervised = self.supervised()
        await self.until(supervised, wm.Ready)
        supervised.inside.rotate = lambda: 1 // 0  # type: ignore[method-assign, assignment]
        supervised.talk.send(wm.Order(1, "rotate", None, None, 0.0))
        done = await self.until(supervised, wm.Done)
        self.assertIn("ZeroDivisionError", done.problem)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


class Ending(SupervisedCase):
    """It ends, and how."""

    async def test_onRequest(self) -> None:
        supervised = self.supervised()
        await self.until(supervised, wm.Ready)
        supervised.talk.send(wm.End())
        await supervised.worker.ended
        await self.until(supervised, wm.Bye)
        self.assertEqual((supervised.worker.code, supervised.inside.calls), (0, ["stop"]))

    async def test_whenTheSupervisorIsGone(self) -> None:
        supervised = self.supervised()
        await self.until(supervised, wm.Ready)
        client = self.client(supervised.listener.port, [TunnelSpec(await self.service(b"a"), name="a")])
        client.startService()
        await client.whenOpened("a")
        logged = captureLog(self)
        supervised.talk.close()
        await supervised.worker.ended
        self.assertEqual(supervised.inside.calls, ["stop"])
        lines = [formatEvent(each) for each in logged if each["log_level"] is LogLevel.error]
        self.assertEqual(lines, ["the supervisor is gone: this process takes no more visitors, and ends"])

    async def test_whatItHasReleasedIsSentBeforeItsLastWord(self) -> None:
        supervised = self.supervised()
        await self.until(supervised, wm.Ready)
        client = self.client(supervised.listener.port, [TunnelSpec(await self.service(b"a"), name="a")])
        client.startService()
        public = await client.whenOpened("a")
        supervised.talk.send(wm.End())
        await self.until(supervised, wm.Bye)
        self.assertEqual([each.address for each in supervised.of(wm.Release)], [public])
        self.assertIsInstance(supervised.received[-1], wm.Bye)

    async def test_theOldestUnclassifiedConnectionIsDropped(self) -> None:
        supervised = self.supervised(secret=SECRET)
        await self.until(supervised, wm.Ready)
        first = await deferToThread(Original, self.host, supervised.listener.port)
        await deferToThread(first.frame)
        self.addCleanup(first.sock.close)
        pending = await self.until(supervised, wm.Pending)
        ((source, count),) = pending.counts
        self.assertEqual(count, 1)
        supervised.talk.send(wm.DropOldest(source))
        self.assertEqual(await deferToThread(first.frame), messages.Error("too many connections that say nothing"))


class Retired(SupervisedCase):
    """All sessions are given away."""

    async def test_sessionsMoveAndStreamsGoOn(self) -> None:
        supervised = self.supervised()
        await self.until(supervised, wm.Ready)
        client = self.client(supervised.listener.port, [TunnelSpec(await self.service(b"a"), name="a")])
        client.startService()
        public = await client.whenOpened("a")
        visit = await self.assertShows(public, b"a")
        opened = self.seen(SessionOpened)
        supervised.talk.send(wm.Retire(60.0))
        await self.until(supervised, wm.Renew)
        self.assertEqual(await visit.ask(b"hello"), b"hello")
        cast(ITCPTransport, visit.transport).abortConnection()
        await client.stopService()
        self.assertEqual(self.seen(SessionOpened), opened, "what begins later is given away, too")
        self.assertFalse(supervised.of(wm.Bye))
        supervised.talk.send(wm.Expired(public, 1))
        await supervised.worker.ended
        await self.until(supervised, wm.Bye)

    async def test_withoutSessionsItEndsAtOnce(self) -> None:
        supervised = self.supervised()
        await self.until(supervised, wm.Ready)
        supervised.talk.send(wm.Retire(60.0))
        await supervised.worker.ended
        await self.until(supervised, wm.Bye)

    async def test_streamsHaveTheirTime(self) -> None:
        supervised = self.supervised()
        await self.until(supervised, wm.Ready)
        client = self.client(supervised.listener.port, [TunnelSpec(await self.service(b"a"), name="a")])
        client.startService()
        visit = await self.assertShows(await client.whenOpened("a"), b"a")
        supervised.talk.send(wm.Retire(0.5))
        await supervised.worker.ended
        await self.until(supervised, wm.Bye)
        await self.eventually(lambda: visit.lost)
