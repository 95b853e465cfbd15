"""What Redis servers answer, and who may use them."""

from __future__ import annotations

import socket
from typing import ClassVar, Final
from unittest import skipUnless

from bore.cluster.engine import EngineRefuses, UserLimit
from tests.cluster.enginecontract import node, wanted
from tests.cluster.rediscase import RedisCase
from tests.cluster.redisserver import REDIS, WHY_NOT, RedisServer
from tests.support import LocalService

#: The rights of a user of Redis that the engine needs, as in docs/cluster.rst.
_COMMANDS: Final = "+@hash +@sortedset +@scripting +unlink +info +wait +ping +select"


class AnswersTests(RedisCase):
    """Servers that answer, and cannot be used."""

    async def awayFor(self, answer: bytes) -> str:
        """The error for a server that has one answer to everything, and closes the connection if it is empty."""

        def serve(sock: socket.socket) -> None:
            while sock.recv(1 << 16) and answer:
                sock.sendall(answer)

        service = LocalService(serve)
        self.addCleanup(service.close)
        return await self.away(self.begun(f"redis://127.0.0.1:{service.port}").enter(node("one/1")))

    async def test_aServerThatIsNotReadySaysWhy(self) -> None:
        for answer in (
            b"-LOADING Redis is loading",
            b"-MASTERDOWN Link with MASTER is down",
            b"-DENIED protected mode",
        ):
            self.assertIn(answer[1:].decode(), await self.awayFor(answer + b"\r\n"))

    async def test_anErrorIsNotShownWithoutEnd(self) -> None:
        self.assertLess(len(await self.awayFor(b"-ERR " + b"x" * 10000 + b"\r\n")), 300)

    async def test_aServerThatClosesTheConnectionIsAway(self) -> None:
        self.assertRegex(await self.awayFor(b""), "closed the connection|connection was cut")

    async def test_whatIsNotAnAnswerIsAnError(self) -> None:
        for answer in (
            b"+what\r\n",
            b":7\r\n",
            b"*1\r\n$2\r\nhi\r\n",
            b"$-1\r\n",
            b'$8\r\n{"no":1}\r\n',
            b"$1\r\n?\r\n",
        ):
            self.assertIn("it has answered", await self.awayFor(answer))


@skipUnless(REDIS, WHY_NOT)
class RedisAccessTests(RedisCase):
    """Who may use a server, and what there is beside us."""

    server: ClassVar[RedisServer]

    @classmethod
    def setUpClass(cls) -> None:
        cls.server = RedisServer("--requirepass", "geheim")

    @classmethod
    def tearDownClass(cls) -> None:
        cls.server.kill()

    def url(self, credentials: str, path: str = "") -> str:
        return f"redis://{credentials}127.0.0.1:{self.server.port}{path}?prefix={self.prefix}"

    async def test_aPasswordIsRequired(self) -> None:
        self.assertIn("NOAUTH", await self.away(self.begun(self.url("")).enter(node("one/1"))))
        self.assertIn("WRONGPASS", await self.away(self.begun(self.url(":wrong@")).enter(node("one/1"))))
        self.assertIn("WRONGPASS", await self.away(self.begun(self.url("nobody:geheim@")).enter(node("one/1"))))
        self.assertEqual(await self.begun(self.url(":geheim@")).enter(node("one/1")), 7)
        self.assertEqual(await self.begun(self.url("default:geheim@")).enter(node("one/2")), 7)

    async def test_aUserNeedsTheseRightsAndNoOthers(self) -> None:
        password, commands = ">geheim", _COMMANDS.split()
        server = ["--no-auth-warning", "-a", "geheim", "ACL", "SETUSER", "bore", "reset", "on", password]
        self.server.command(*server, "~test*", *commands)
        engine = self.begun(self.url("bore:geheim@"))
        await self.ready(engine)
        await engine.grant(wanted("one/1", user="bob", limit=1))
        await self.assertFailure(engine.grant(wanted("one/1", 2002, user="bob", limit=1)), UserLimit)
        await engine.restore("one/1", await engine.records())
        await engine.leave("one/1", 2001, 1)
        await engine.depart("one/1")
        self.server.command(*server, "~other*", *commands)
        error = await self.away(self.begun(self.url("bore:geheim@")).enter(node("one/1")))
        self.assertRegex(error, "can't access at least one of the keys|No permissions to access a key")
        self.assertNotIn("user_script", error)

    async def test_aRightThatOnlyClaimsNeedIsNamed(self) -> None:
        server = ["--no-auth-warning", "-a", "geheim", "ACL", "SETUSER", "less", "reset", "on", ">geheim", "~test*"]
        self.server.command(*server, *_COMMANDS.replace("+@sortedset ", "").split())
        engine = self.begun(self.url("less:geheim@"))
        await self.ready(engine)
        error = await self.assertFailure(engine.grant(wanted("one/1")), EngineRefuses)
        self.assertRegex(str(error), "can't run this command|No permissions to run|no permissions to run")

    async def test_databasesAndPrefixesAreApart(self) -> None:
        for path in ("", "/3"):
            engine = self.begun(self.url(":geheim@", path))
            await self.ready(engine)
            await engine.grant(wanted("one/1"))
        self.prefix += "other:"
        engine = self.begun(self.url(":geheim@", "/3"))
        self.assertEqual(await engine.records(), [])
        self.assertIn("out of range", await self.away(self.begun(self.url(":geheim@", "/99")).enter(node("one/1"))))
