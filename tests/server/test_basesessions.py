"""The session of an original client passes to another server process, on real sockets: the client notices nothing."""

from __future__ import annotations

import socket
from functools import partial
from typing import Any, cast
from uuid import UUID

from twisted.internet.task import deferLater

from bore.events.server import SessionLost, SessionOpened, TunnelBack, TunnelClosed, TunnelEnd, TunnelOpened
from bore.server import tunnels
from bore.server.users import NAMELESS, Login
from bore.wire.messages import Accept, encode
from bore.wire.secret import Secret
from tests.server.basesessioncase import BaseSessionCase, Client

#: Of a socket whose peer does not read: full after a few kilobytes.
SMALL = 4096


class MoveTests(BaseSessionCase):
    """The session moves."""

    async def test_theClientNoticesNothing(self) -> None:
        client = await self.begun()
        self.move()
        await self.eventually(lambda: self.new.tunnels.get(self.port))
        await deferLater(self.reactor, 0.7)
        heartbeats = client.take("Heartbeat")
        self.assertGreaterEqual(len(heartbeats), 2)
        self.assertEqual(client.frames, [])
        self.assertEqual((len(self.old.tunnels), len(self.old.sessions)), (0, 0))
        [lost], [closed] = self.seen(SessionLost), self.seen(TunnelClosed)
        self.assertEqual((lost.why.name, closed.reason), ("HANDED_OVER", TunnelEnd.HANDED_OVER))
        self.assertEqual(len(self.seen(SessionOpened)), 2)
        self.assertEqual((len(self.seen(TunnelOpened)), len(self.seen(TunnelBack))), (1, 1))

    async def test_visitorsComeToTheNewServer(self) -> None:
        client = await self.begun()
        self.move()
        visitor = self.visit(b"early")
        await self.talk(self.new, await self.announced(client), visitor, b"early")

    async def test_aVisitorThatWasAnnouncedIsTakenAtTheOldServer(self) -> None:
        client = await self.begun()
        before = self.visit(b"before")
        id = await self.announced(client)
        self.move()
        await self.eventually(lambda: self.new.tunnels.get(self.port))
        after = self.visit(b"after")
        other = await self.announced(client)
        self.assertNotEqual(id, other)
        await self.talk(self.old, id, before, b"before")
        await self.talk(self.new, other, after, b"after")

    async def test_aVisitorThatComesBetweenGoesWithTheTunnel(self) -> None:
        client = await self.begun()
        [session] = self.old.sessions.passable()
        base = session.handOver()
        visitor = self.visit(b"between")
        await self.eventually(lambda: len(self.old.unaccepted))
        self.new.control.adopt(base)
        await self.talk(self.new, await self.announced(client), visitor, b"between")
        self.assertEqual(len(self.old.unaccepted), 0)

    async def test_aRunningStreamStays(self) -> None:
        client = await self.begun()
        visitor = self.visit(b"early")
        data = self.connect(self.old)
        data.send(encode(Accept(UUID(await self.announced(client)))))
        await self.eventually(lambda: self.received(data, b"early"))
        data.recv(5)
        self.move()
        await self.eventually(lambda: self.new.tunnels.get(self.port))
        for word in (b"one", b"two"):
            visitor.send(word)
            await self.eventually(partial(self.received, data, word))
            data.recv(3)

    async def test_itMovesAgain(self) -> None:
        client = await self.begun()
        for _ in range(3):
            self.move()
            await self.eventually(lambda: len(self.new.sessions.passable()) == 1)
            self.old, self.new = self.new, self.old
        await self.talk(self.old, await self.visited(client), self.visitor, b"early")

    async def visited(self, client: Client) -> str:
        self.visitor = self.visit(b"early")
        return await self.announced(client)

    async def test_aClientThatLeavesAfterwardsIsNoticed(self) -> None:
        client = await self.begun()
        self.move()
        await self.eventually(lambda: self.new.tunnels.get(self.port))
        client.sock.close()
        await self.eventually(lambda: not len(self.custody))

    async def test_aClientThatLeavesMeanwhileIsNoticed(self) -> None:
        client = await self.begun()
        [session] = self.old.sessions.passable()
        base = session.handOver()
        client.sock.close()
        self.new.control.adopt(base)
        await self.eventually(lambda: not len(self.custody))
        self.assertEqual(len(self.old.tunnels), 0)

    async def test_aSessionThatNobodyAdoptsEnds(self) -> None:
        self.patch(tunnels, "DEPARTURE_TIMEOUT", 0.05)
        await self.begun()
        [session] = self.old.sessions.passable()
        session.handOver().socket.close()
        await self.eventually(lambda: not len(self.custody))
        self.assertEqual([event.reason for event in self.seen(TunnelClosed)], [TunnelEnd.NOT_KEPT])

    async def test_aTunnelThatIsGoneByThenIsOpenedAnew(self) -> None:
        client = await self.begun()
        [session] = self.old.sessions.passable()
        base = session.handOver()
        tunnel = self.old.tunnels.get(self.port)
        assert tunnel is not None
        self.old.tunnels.close(tunnel, TunnelEnd.NOT_KEPT)
        self.new.control.adopt(base)
        visitor = self.visit(b"early")
        await self.talk(self.new, await self.announced(client), visitor, b"early")


class StayTests(BaseSessionCase):
    """What cannot move."""

    async def test_aClientThatDoesNotReadStaysUntilItHasRead(self) -> None:
        client = await self.begun()
        [session] = self.old.sessions.all()
        session.handle.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL)
        protocol = cast(Any, session._connection)
        protocol.transport.write(b'"Heartbeat"\0' * 20_000)
        await self.eventually(lambda: 0 < protocol.transport.queued < 240_000)
        self.assertEqual(self.old.sessions.passable(), [])

        def hasRead() -> bool:
            client.read()
            return bool(self.old.sessions.passable())

        await self.eventually(hasRead)
        self.move()
        await self.eventually(lambda: self.new.tunnels.get(self.port))
        await self.eventually(lambda: not client.read())
        self.assertEqual(set(client.frames), {"Heartbeat"})

    async def test_aClientOfTheExtensionDoesNotMoveThus(self) -> None:
        from bore.wire.extension import Open, markedHello
        from bore.wire.extension import encode as encodeExtended

        sock = self.connect(self.old)
        sock.send(markedHello(0) + encodeExtended(Open(1, self.port)))
        await self.eventually(lambda: self.old.tunnels.get(self.port))
        self.assertEqual(self.old.sessions.passable(), [])


class WithdrawnTests(BaseSessionCase):
    """What was withdrawn while the session was on its way."""

    async def test_aSecretThatIsNotValidAnyMoreEndsTheSession(self) -> None:
        self.patch(tunnels, "DEPARTURE_TIMEOUT", 0.1)
        client = await self.begun()
        [session] = self.old.sessions.passable()
        base = session.handOver()
        login = Login(NAMELESS, base.login.peer, Secret("another secret of some length"), False)
        self.new.applySecrets([Secret("correct horse battery staple")])
        self.new.control.adopt(base._replace(login=login))
        await self.eventually(lambda: client.take("Error"))
        await self.eventually(lambda: not len(self.custody))
