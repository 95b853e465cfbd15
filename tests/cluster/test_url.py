"""The URLs of engines."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bore.cluster.url import ETCD, REDIS, SENTINEL, EngineServer, EngineTls, EngineUrl, Login, parseEngineUrl


class ParseTests(SynchronousTestCase):
    """What a URL says."""

    def test_aHostAloneIsEnough(self) -> None:
        self.assertEqual(parseEngineUrl("redis://10.0.0.5"), EngineUrl(REDIS, (EngineServer("10.0.0.5", 6379),)))
        found = parseEngineUrl("etcd://a,b:1234,[::1]")
        self.assertEqual(found.kind, ETCD)
        self.assertEqual(found.servers, (("a", 2379), ("b", 1234), ("::1", 2379)))

    def test_everythingThatAUrlOfRedisMayHave(self) -> None:
        found = parseEngineUrl("rediss://me:p%40ss%2F@h:1/3?prefix=other:&replicas=2&ca=/c.pem&cert=a.crt&key=a.key")
        expected = EngineUrl(
            REDIS,
            (EngineServer("h", 1),),
            Login("me", "p@ss/"),
            tls=EngineTls(Path("/c.pem"), Path("a.crt"), Path("a.key")),
            database=3,
            prefix="other:",
            replicas=2,
        )
        self.assertEqual(found, expected)

    def test_sentinelsNameTheirMasterAndMayHaveALoginOfTheirOwn(self) -> None:
        found = parseEngineUrl("redis+sentinel://:pw@a,b:1,c/main/2?sentinel-user=s&sentinel-password=t")
        self.assertEqual((found.kind, found.master, found.database), (SENTINEL, "main", 2))
        self.assertEqual(found.servers, (("a", 26379), ("b", 1), ("c", 26379)))
        self.assertEqual((tuple(found.login), tuple(found.sentinelLogin)), (("", "pw"), ("s", "t")))

    def test_itsTextForPeopleHasNoPassword(self) -> None:
        for text, expected in (
            ("rediss+sentinel://u:geheim@a,[::1]:2/main/1?sentinel-password=geheim", "rediss+sentinel://a:26379,[::1]:2/main/1"),
            ("redis://:geheim@a", "redis://a:6379"),
            ("etcds://u:geheim@a", "etcds://a:2379"),
        ):  # fmt: skip
            found = parseEngineUrl(text)
            self.assertEqual(str(found), expected)
            self.assertNotIn("geheim", repr(found))

    @given(st.text(min_size=1), st.text(min_size=1))
    def test_everyUserAndPasswordCanBeWritten(self, user: str, password: str) -> None:
        found = parseEngineUrl(f"redis://{quote(user, safe='')}:{quote(password, safe='')}@h/1")
        self.assertEqual(found.login, Login(user, password))


class MistakesTests(SynchronousTestCase):
    """Each mistake has a text that says what would be right."""

    def refused(self, text: str) -> str:
        return str(self.assertRaises(ValueError, parseEngineUrl, text))

    def test_mistakesAreNamed(self) -> None:
        for text, expected in (
            ("10.0.0.5", "must be the URL of an engine, such as redis://"),
            ("http://h", "must be the URL of an engine"),
            ("redis://", "must name a server behind redis://"),
            ("redis://a,b", "several servers: give one, or the Sentinels"),
            ("redis://h:0", "port '0' must be a number from 1 to 65535"),
            ("redis://h/x", "has 'x' for the number of the database, which must be from 0 to 65535"),
            ("redis://h/1/2", "must not have a path '/1/2'"),
            ("etcd://h/1", "must not have a path '/1'"),
            ("etcd://a,a:2379", "names the same server twice"),
            ("etcd://" + ",".join(f"h{n}" for n in range(17)), "must name at most 16 servers"),
            ("redis:/10.0.0.5", "must name a server behind redis://, as in redis://10.0.0.5"),
            ("etcd:10.0.0.5", "must name a server behind etcd://, as in etcd://10.0.0.5"),
            ("redis+sentinel://h", "must name the master that the Sentinels know"),
            ("redis://h?ca=/c.pem", "has ca=, which needs TLS: write rediss://"),
            ("etcds://h?cert=a", "has one of cert= and key=, which need each other"),
            ("redis://h?replica=1", "has an unknown option 'replica': with redis:// there are prefix, replicas, ca"),
            ("redis://h?replicas=65", "has '65' for replicas, which must be from 0 to 64"),
            ("redis://h?prefix=a&prefix=b", "must have prefix= once"),
            ("redis://h?prefix=", "must have prefix= once, and not empty"),
            ("redis://h?prefix=%20", "must have a prefix= of 1 to 64 visible ASCII characters"),
        ):
            self.assertIn(expected, self.refused(text), text)

    def test_aPasswordThatIsNotEncodedIsNotShown(self) -> None:
        for password in ("ge/heim", "ge#heim", "ge?heim", "ge/#?heim"):
            error = self.refused(f"redis://u:{password}@h")
            self.assertIn("write # / ? @ in a user or a password as %23", error)
            self.assertNotIn("heim", error)

    @given(st.text())
    def test_whateverIsGivenIsAUrlOrHasAText(self, text: str) -> None:
        for scheme in ("", "redis://", "rediss+sentinel://", "etcds://"):
            try:
                found = parseEngineUrl(scheme + text)
            except ValueError as e:
                self.assertTrue(str(e))
            else:
                self.assertTrue(found.servers)
