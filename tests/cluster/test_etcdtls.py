"""The engine in a member of etcd that requires TLS, certificates of clients, and users."""

from __future__ import annotations

import json
import shutil
import ssl
import tempfile
import urllib.request
from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar
from urllib.parse import quote

from twisted.internet.defer import gatherResults
from twisted.trial.unittest import TestCase

from bore.cluster.engine import EngineAway
from bore.cluster.etcd import EtcdEngine
from tests.certificates import Authority
from tests.cluster.enginecontract import node, wanted
from tests.cluster.etcdprogram import ETCD, WHY_NOT, EtcdMember, engineOf
from tests.support import PATIENCE

#: Users of etcd, and their passwords.
ROOT = {"name": "root", "password": "root"}
USER = {"name": "bore", "password": "pass/word:@ü"}
LOGIN = f"bore:{quote(USER['password'], safe='')}@"

#: What the names of the keys begin with that the user may use.
PREFIX = "bore/"


class EtcdTlsTests(TestCase):
    """With a certificate, and as a user, it is used; without, the reason is said."""

    if ETCD is None:
        skip = WHY_NOT

    member: ClassVar[EtcdMember]
    folder: ClassVar[Path]
    authorities: ClassVar[str]
    own: ClassVar[tuple[str, str]]
    named: ClassVar[tuple[str, str]]
    token: ClassVar[str] = ""

    @classmethod
    def setUpClass(cls) -> None:
        cls.folder = Path(tempfile.mkdtemp(prefix="bore-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        authority = Authority()
        cls.authorities = authority.write(cls.folder)
        cls.own = authority.issue("node", forClients=True, named=False).write(cls.folder, "node")
        cls.named = authority.issue("node", forClients=True).write(cls.folder, "named")
        # Its gateway is a client of its own.
        certificate, key = authority.issue("127.0.0.1", forBoth=True, named=False).write(cls.folder, "etcd")
        tls = ("--cert-file", certificate, "--key-file", key, "--trusted-ca-file", cls.authorities)
        cls.member = EtcdMember(*tls, "--client-cert-auth", scheme="https")
        cls.addClassCleanup(cls.member.end)
        cls.member.start()
        cls.member.wait()
        cls.makeUsers()

    @classmethod
    def makeUsers(cls) -> None:
        """Make a user who may use the keys with the prefix."""
        first, end = (b64encode(text.encode()).decode() for text in (PREFIX, "bore0"))
        cls.ask("auth/user/add", ROOT)
        cls.ask("auth/role/add", {"name": "root"})
        cls.ask("auth/user/grant", {"user": "root", "role": "root"})
        cls.ask("auth/user/add", USER)
        cls.ask("auth/role/add", {"name": "tunnels"})
        cls.ask(
            "auth/role/grant", {"name": "tunnels", "perm": {"permType": "READWRITE", "key": first, "range_end": end}}
        )
        cls.ask("auth/user/grant", {"user": "bore", "role": "tunnels"})
        cls.ask("auth/enable", {})
        cls.token = str(cls.ask("auth/authenticate", ROOT)["token"])

    @classmethod
    def ask(cls, path: str, body: Mapping[str, object]) -> dict[str, object]:
        """Send a request of the operator."""
        context = ssl.create_default_context(cafile=cls.authorities)
        context.load_cert_chain(*cls.own)
        headers = {"Authorization": cls.token} if cls.token else {}
        url = f"https://127.0.0.1:{cls.member.port}/v3/{path}"
        request = urllib.request.Request(url, json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request, timeout=PATIENCE, context=context) as answer:
            found = json.loads(answer.read())
        assert isinstance(found, dict)
        return found

    def engine(self, login: str = LOGIN, host: str = "127.0.0.1", prefix: str = PREFIX) -> EtcdEngine:
        """An engine with a certificate."""
        query = f"prefix={prefix}&ca={self.authorities}&cert={self.own[0]}&key={self.own[1]}"
        return engineOf(self, f"etcds://{login}{host}:{self.member.port}?{query}")

    async def whyNot(self, engine: EtcdEngine) -> str:
        """Why a call fails."""
        with self.assertRaises(EngineAway) as raised:
            await engine.records()
        return str(raised.exception).partition(" cannot be used: ")[2]

    async def test_withACertificateAndAsAUserItIsUsed(self) -> None:
        engine = self.engine()
        await engine.enter(node("one/1"))
        await engine.recovered((await engine.beat(node("one/1", beat=2))).incarnation)
        record = await engine.grant(wanted("one/1"))
        self.assertEqual(await engine.records(), [record])
        await engine.depart("one/1")

    async def test_itsTokenIsRenewed(self) -> None:
        """A change of the users voids all tokens, as the end of their time does."""
        engine = self.engine()
        await engine.records()
        self.ask("auth/user/add", {"name": "another", "password": "another"})
        type(self).token = str(self.ask("auth/authenticate", ROOT)["token"])
        await gatherResults([engine.records() for _ in range(4)])
        self.member.restart()  # which forgets the tokens
        await gatherResults([engine.records() for _ in range(4)])

    async def test_aWrongPasswordAndAnUnknownUserAreRefused(self) -> None:
        for login in ("bore:wrong@", "nobody:wrong@"):
            self.assertEqual(await self.whyNot(self.engine(login)), "it rejects the user or the password in the URL")

    async def test_withoutAUserWhoHasRightsItSaysThatOneIsRequired(self) -> None:
        for engine in (self.engine(""), self.engine(prefix="elsewhere/")):
            why = await self.whyNot(engine)
            self.assertEqual(why, "it does not let us use its keys: give a user in the URL that has readwrite on them")

    async def test_aCertificateForAnotherNameIsRefused(self) -> None:
        why = await self.whyNot(self.engine(host="localhost"))
        self.assertEqual(why, "its certificate is not for this name or address")

    async def test_aCertificateOfAnotherAuthorityIsRefused(self) -> None:
        url = f"etcds://{LOGIN}127.0.0.1:{self.member.port}?cert={self.own[0]}&key={self.own[1]}"
        why = await self.whyNot(engineOf(self, url))
        self.assertEqual(why, "its certificate is not signed by an authority that is trusted, or has expired")

    async def test_withoutACertificateOfOursItSaysThatOneIsRequired(self) -> None:
        why = await self.whyNot(engineOf(self, f"etcds://127.0.0.1:{self.member.port}?ca={self.authorities}"))
        self.assertEqual(why, "it rejects our certificate, or requires one: give cert= and key= in the URL")

    async def test_withACertificateThatHasACommonNameTheReasonIsSaid(self) -> None:
        """The gateway of etcd does not take both a user and a common name, which may be another user."""
        query = f"ca={self.authorities}&cert={self.named[0]}&key={self.named[1]}"
        why = await self.whyNot(engineOf(self, f"etcds://{LOGIN}127.0.0.1:{self.member.port}?{query}"))
        self.assertEqual(why, "it has users, and then takes no certificate of ours with a common name: use one without")

    async def test_withoutTlsItEndsTheConnection(self) -> None:
        why = await self.whyNot(engineOf(self, f"etcd://127.0.0.1:{self.member.port}"))
        self.assertIn(why, ("it closed the connection", "the connection was cut"))

    async def test_aFileThatIsNoCertificateIsNamed(self) -> None:
        why = await self.whyNot(engineOf(self, f"etcds://127.0.0.1:{self.member.port}?ca={self.own[1]}"))
        self.assertIn(f"{self.own[1]} has no certificate", why)
