"""Several workers: their clients are served, wherever their connections arrive, and move with their tunnels."""

from __future__ import annotations

import socket
from typing import Any, cast

from twisted.internet.interfaces import ITCPTransport
from twisted.internet.threads import deferToThread

from bore.client.service import ClientService
from bore.client.tunnelspec import TunnelSpec
from bore.events.server import TunnelBack, TunnelLost, TunnelOpened
from bore.server.visitorids import markIds
from bore.tls.settings import ClientTls, ServerTls
from bore.wire import workermessages as wm
from bore.wire.messages import Accept, Connection, Error, Hello
from bore.wire.publicaddress import PublicAddress
from bore.wire.secret import Secret
from tests.support import receiveExactly
from tests.workers.originals import Original
from tests.workers.staffcase import Member, Staff, StaffCase

SECRET = Secret("correct horse battery staple")


class Case(StaffCase):
    async def tunnel(self, staff: Staff, name: bytes = b"a", **settings: Any) -> tuple[ClientService, PublicAddress]:
        """A client with a tunnel to a service of this name."""
        port = staff.port if "tls" not in settings else staff.tlsPort
        spec = TunnelSpec(await self.service(name), name=name.decode())
        client = self.client(port, [spec], **settings)
        client.startService()
        return client, await client.whenOpened(name.decode())

    def sessions(self, staff: Staff) -> list[int]:
        return [len(member.inside.core.server.sessions) for member in staff.members]

    def having(self, staff: Staff) -> Member:
        """The worker that has the only session."""
        (member,) = [each for each in staff.members if len(each.inside.core.server.sessions)]
        return member


class Serving(Case):
    async def spread(self, staff: Staff, **settings: Any) -> None:
        names = [b"a", b"b", b"c", b"d"]
        ports = [(await self.tunnel(staff, name, **settings))[1] for name in names]
        self.assertEqual(self.sessions(staff), [2, 2])
        for _ in range(3):
            for port, name in zip(ports, names, strict=True):
                visit = await self.assertShows(port, name)
                self.assertEqual(await visit.ask(b"hello"), b"hello")

    async def test_sessionsAreSpreadAndTheirLanesFindThem(self) -> None:
        await self.spread(await self.staff())

    async def test_behindASecret(self) -> None:
        """All connections without TLS go anywhere, and are handed on."""
        staff = await self.staff(secret=SECRET)
        await self.spread(staff, secret=SECRET)
        self.assertTrue(any(isinstance(each, wm.HandOn) for member in staff.members for each in member.received))

    async def test_insideTls(self) -> None:
        staff = await self.staff(secret=SECRET, tls=ServerTls(port=1, folder=self.folder))
        await self.spread(staff, secret=SECRET, tls=ClientTls())

    async def test_aPortIsOneWorkersOnly(self) -> None:
        staff = await self.staff()
        _, port = await self.tunnel(staff)
        spec = TunnelSpec(await self.service(b"b"), public=port, name="b")
        client = self.client(staff.port, [spec], reconnect=False)
        client.startService()
        error = await self.assertFailure(client.whenOpened("b"), Exception)
        self.assertIn("in use", str(error))


class Moving(Case):
    async def test_retired(self) -> None:
        """The tunnel moves with the visitors that wait, the running stream goes on, and then the worker ends."""
        choices: list[dict[str, Any]] = [{}, {"secret": SECRET}]
        for settings in choices:
            staff = await self.staff(**settings)
            client, port = await self.tunnel(staff, **settings)
            visit = await self.assertShows(port, b"a")
            former = self.having(staff)
            former.send(wm.Retire(60.0))
            await self.eventually(lambda member=former: len(member.inside.core.server.sessions) == 0)
            meanwhile = [await self.visit(port) for _ in range(3)]
            for each in meanwhile:
                self.assertEqual(await each.take(2), b"a\n")
                cast(ITCPTransport, each.transport).abortConnection()
            self.assertIsNot(self.having(staff), former)
            self.assertEqual(await visit.ask(b"still here"), b"still here")
            self.assertNotIn(wm.Bye(), former.received)
            cast(ITCPTransport, visit.transport).abortConnection()
            await self.eventually(lambda member=former: wm.Bye() in member.received)
            self.assertNotIn(former, staff.members)
            kinds = TunnelOpened, TunnelLost, TunnelBack
            told = [type(each) for each in self.events if isinstance(each, kinds) and each.address == port]
            self.assertEqual(told, list(kinds))
            visit = await self.assertShows(port, b"a")
            cast(ITCPTransport, visit.transport).abortConnection()
            await client.stopService()

    async def test_oneDies(self) -> None:
        """Its clients come back to the other one, and have their ports."""
        staff = await self.staff()
        _, port = await self.tunnel(staff)
        await self.assertShows(port, b"a")
        former = self.having(staff)
        former.talk.close()
        former.gone()
        meanwhile = await self.visit(port)
        self.assertEqual(await meanwhile.take(2), b"a\n")
        self.assertIsNot(self.having(staff), former)

    async def test_backAndForth(self) -> None:
        staff = await self.staff()
        _, port = await self.tunnel(staff)
        for _ in range(3):
            former = self.having(staff)
            staff.add()
            await self.eventually(lambda: all(member.takesSessions for member in staff.members))
            former.send(wm.Retire(60.0))
            await self.eventually(lambda member=former: member not in staff.members)
            visit = await self.assertShows(port, b"a")
            cast(ITCPTransport, visit.transport).abortConnection()


class Originals(Case):
    """Original clients cannot be told to come again: their sessions move as they are."""

    async def test_theyNoticeNothing(self) -> None:
        for secret in None, SECRET:
            await self._moveTwice(await self.staff(secret=secret), secret)

    async def _moveTwice(self, staff: Staff, secret: Secret | None) -> None:
        control, port = await deferToThread(self._begin, staff, secret)
        markIds(self.having(staff).number)  # each process draws ids of its own
        visitor, data = await deferToThread(self._visit, staff, control, port, secret)
        for _ in range(2):
            former, new = self.having(staff), staff.add()
            await self.eventually(lambda member=new: member.takesSessions)
            former.send(wm.Retire(60.0))
            await self.eventually(lambda member=former: not len(member.inside.core.server.sessions))
            await self.eventually(lambda: sum(self.sessions(staff)) == 1)
            markIds(self.having(staff).number)
            await deferToThread(self._visit, staff, control, port, secret)
        await deferToThread(self._echo, visitor, data)

    def _begin(self, staff: Staff, secret: Secret | None) -> tuple[Original, int]:
        control = Original(self.host, staff.port)
        self.addCleanup(control.sock.close)
        control.request(Hello(0), secret)
        hello = control.frame()
        assert isinstance(hello, Hello)
        return control, hello.port

    def _visit(
        self, staff: Staff, control: Original, port: int, secret: Secret | None
    ) -> tuple[socket.socket, socket.socket]:
        visitor = socket.create_connection((self.host, port), 10)
        self.addCleanup(visitor.close)
        while not isinstance(announced := control.frame(), Connection):
            self.assertNotIsInstance(announced, Error)
        data = Original(self.host, staff.port)
        self.addCleanup(data.sock.close)
        data.request(Accept(announced.id), secret)
        self._echo(visitor, data.sock)
        return visitor, data.sock

    def _echo(self, one: socket.socket, other: socket.socket) -> None:
        one.sendall(b"hello")
        self.assertEqual(receiveExactly(other, 5), b"hello")
        other.sendall(b"world")
        self.assertEqual(receiveExactly(one, 5), b"world")
