"""Redis servers inside TLS."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import ClassVar
from unittest import skipUnless

from tests.certificates import Authority
from tests.cluster.enginecontract import node
from tests.cluster.rediscase import RedisCase
from tests.cluster.redisserver import REDIS, WHY_NOT, RedisServer
from tests.ports import freePort


@skipUnless(REDIS, WHY_NOT)
class RedisTlsTests(RedisCase):
    """A server that requires TLS, and certificates of its clients."""

    server: ClassVar[RedisServer]
    folder: ClassVar[Path]
    trusted: ClassVar[str]

    @classmethod
    def setUpClass(cls) -> None:
        cls.folder = Path(tempfile.mkdtemp(prefix="bore-"))
        authority = Authority()
        cls.trusted = f"ca={authority.write(cls.folder)}"
        certificate, key = authority.issue("localhost").write(cls.folder, "server")
        authority.issue("node", forClients=True).write(cls.folder, "node")
        files = ("--tls-cert-file", certificate, "--tls-key-file", key, "--tls-ca-cert-file", f"{cls.folder}/ca.crt")
        port = freePort()
        cls.server = RedisServer("--port", "0", "--tls-port", str(port), *files, port=port)

    @classmethod
    def tearDownClass(cls) -> None:
        cls.server.kill()
        shutil.rmtree(cls.folder)

    def url(self, scheme: str, host: str, *options: str) -> str:
        return f"{scheme}://{host}:{self.server.port}?{'&'.join((f'prefix={self.prefix}', *options))}"

    @property
    def own(self) -> str:
        return f"cert={self.folder}/node.crt&key={self.folder}/node.key"

    async def test_aServerIsUsedWhoseCertificateIsForTheNameInTheUrl(self) -> None:
        engine = self.begun(self.url("rediss", "localhost", self.trusted, self.own))
        await self.ready(engine)
        self.assertEqual(len((await engine.beat(node("one/1", beat=3))).nodes), 1)
        await engine.stop()

    async def test_aServerIsRefusedWhoseCertificateIsForAnotherName(self) -> None:
        engine = self.begun(self.url("rediss", "127.0.0.1", self.trusted, self.own))
        error = await self.away(engine.enter(node("one/1")))
        self.assertIn("its certificate is not for this name or address", error)

    async def test_aServerIsRefusedThatNoAuthorityOfTheSystemHasSigned(self) -> None:
        error = await self.away(self.begun(self.url("rediss", "localhost", self.own)).enter(node("one/1")))
        self.assertIn("its certificate is not signed by an authority that is trusted", error)

    async def test_withoutACertificateOfOursTheServerRefusesUs(self) -> None:
        error = await self.away(self.begun(self.url("rediss", "localhost", self.trusted)).enter(node("one/1")))
        self.assertIn("it requires a certificate of ours", error)

    async def test_withoutTlsTheServerRefusesUs(self) -> None:
        error = await self.away(self.begun(self.url("redis", "localhost")).enter(node("one/1")))
        self.assertIn("the connection was cut", error)

    async def test_aFileThatIsNoneIsNamed(self) -> None:
        engine = self.begun(self.url("rediss", "localhost", "ca=/nonexistent/ca.crt"))
        self.assertIn("/nonexistent/ca.crt cannot be read", await self.away(engine.enter(node("one/1"))))
