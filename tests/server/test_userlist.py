"""Users of a file: who they are, and what they may do."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from bore.server.userlist import UserList
from bore.server.users import Login, User
from bore.users.entry import UserEntry, UserKey, Users
from bore.users.ports import Ports, ports
from bore.users.rights import Rights
from bore.wire.addressrules import parseNetwork
from bore.wire.binding import BindingChallenge, decodeServerMessage
from bore.wire.errors import (
    AccessWithdrawn,
    InvalidSecret,
    PathNotAllowed,
    PortNotAllowed,
    Refusal,
    RightsExpired,
    SourceNotAllowed,
)
from bore.wire.extension import Visitor, markedHello
from bore.wire.messages import Accept, Hello, encode
from bore.wire.proof import clientProof
from bore.wire.publicaddress import UnixPath
from bore.wire.secret import Secret
from bore.wire.serverproof import Identity
from tests.server.userscase import ALICE, BINDING, BOB, NOW, SHARED, UsersCase, entry, portOf, usersOf


class SecretsTests(SynchronousTestCase):
    """Which secrets are tried, and how many."""

    def setUp(self) -> None:
        self.now = NOW

    def make(self, users: Users, *secrets: Secret) -> UserList:
        return UserList(users, secrets, lambda: self.now)

    def test_asManyAreTriedForNobodyAsForThoseWithMost(self) -> None:
        old = [UserKey(Secret(f"old {n}"), NOW + 10) for n in range(2)]
        known = self.make(Users({"alice": entry("alice", Rights(), *old), "bob": entry("bob")}), SHARED)
        for name in ("", "alice", "bob", "nobody"):
            self.assertEqual(len(known.of(name)), 3, name)
        self.assertNotIn(known.of("nobody")[0], (ALICE, BOB, SHARED))
        self.assertEqual(known.of("nobody"), known.of("nobody"))

    def test_aFormerSecretIsValidUntilItsEnd(self) -> None:
        known = self.make(Users({"alice": entry("alice", Rights(), UserKey(BOB, NOW + 10))}))
        for now, valid in ((NOW, True), (NOW + 9.9, True), (NOW + 10, False)):
            self.now = now
            self.assertEqual(BOB in known.of("alice"), valid)
            self.assertEqual(len(known.of("alice")), 2)
            self.assertIs(known.objection(Login(User("alice"), "192.0.2.1:4711", BOB, True)) is None, valid)
            self.assertIsNone(known.objection(Login(User("alice"), "192.0.2.1:4711", ALICE, True)))

    def test_onlyOriginalUsersAreTriedWithoutAName(self) -> None:
        known = self.make(usersOf(alice=Rights(original=True), bob=Rights()), SHARED)
        self.assertEqual(known.nameless(), [Identity("", SHARED), Identity("alice", ALICE)])

    def test_withoutASharedSecretThereIsNobodyWithoutAName(self) -> None:
        known = self.make(usersOf(alice=Rights()))
        self.assertTrue(known.asks, "also if the last user is removed")
        self.assertEqual(known.nameless(), [])
        self.assertNotIn(ALICE, known.of(""))

    def test_theNextEndIsThatOfAUserOrOfASecret(self) -> None:
        users = {
            "alice": entry("alice", Rights(expires=NOW + 20), UserKey(BOB, NOW + 10)),
            "bob": UserEntry("bob", (), Rights(expires=NOW - 1)),
        }
        known = self.make(Users(users))
        ends = []
        for _ in range(3):
            ends.append(known.nextEnd())
            self.now = ends[-1] or self.now
        self.assertEqual(ends, [NOW + 10, NOW + 20, None])


class ObjectionsTests(SynchronousTestCase):
    """Who may not connect."""

    def objection(self, rights: Rights, peer: str = "192.0.2.1:4711", encrypted: bool = True) -> type[Refusal] | None:
        known = UserList(usersOf(alice=rights), (), lambda: NOW)
        refusal = known.objection(Login(User("alice"), peer, ALICE, encrypted))
        return None if refusal is None else type(refusal)

    def test_anExpiredUser(self) -> None:
        self.assertIs(self.objection(Rights(expires=NOW)), RightsExpired)
        self.assertIsNone(self.objection(Rights(expires=NOW + 0.1)))

    def test_aUserFromElsewhere(self) -> None:
        rights = Rights(sources=(parseNetwork("198.51.100.0/24"), parseNetwork("2001:db8::/32")))
        for peer, allowed in (
            ("198.51.100.7:1", True),
            ("[2001:db8::7]:1", True),
            ("192.0.2.1:1", False),
            ("[2001:db9::7]:1", False),
            ("[fe80::1%eth0]:1", False),
        ):
            self.assertIs(self.objection(rights, peer) is None, allowed, peer)
        self.assertIs(self.objection(rights), SourceNotAllowed)

    def test_withoutTlsWhoIsNotMarkedForIt(self) -> None:
        self.assertIs(self.objection(Rights(), encrypted=False), AccessWithdrawn)
        self.assertIsNone(self.objection(Rights(original=True), encrypted=False))

    def test_whoIsRemovedOrHasAnotherSecret(self) -> None:
        known = UserList(usersOf(alice=Rights()), [SHARED], lambda: NOW)
        for name, secret, allowed in (("bob", BOB, False), ("alice", BOB, False), ("", BOB, False), ("", SHARED, True)):
            refusal = known.objection(Login(User(name), "192.0.2.1:1", secret, True))
            self.assertIs(refusal is None, allowed)


class PortsTests(SynchronousTestCase):
    """Which ports a user may have."""

    def refusal(self, known: UserList, name: str, port: int) -> str | None:
        refusal = known.addressRefusal(User(name), port)
        self.assertIsInstance(refusal, PortNotAllowed | None)
        return None if refusal is None else str(refusal)

    def test_onlyThoseOfTheEntry(self) -> None:
        known = UserList(usersOf(alice=Rights(ports([(20000, 20009), (22022, 22022)])), bob=Rights()), ())
        for port, allowed in ((20000, True), (20009, True), (22022, True), (19999, False), (20010, False)):
            self.assertIs(self.refusal(known, "alice", port) is None, allowed)
            self.assertIsNone(self.refusal(known, "bob", port))
        self.assertEqual(
            self.refusal(known, "alice", 80), "port 80 is not among the ports that you may have: 20000-20009, 22022"
        )

    def test_theirSummaryIsShortHoweverManyThereAre(self) -> None:
        many = ports((port, port) for port in range(1, 65536, 2))
        known = UserList(
            usersOf(alice=Rights(many, maxTunnels=3), bob=Rights(exclusive=ports([(9, 9)]), bandwidth=2500)), ()
        )
        self.assertRegex(known.summary(User("alice")), r"\Aports 1, 3, [0-9, ]*, \.\.\., max-tunnels 3\Z")
        self.assertLess(len(known.summary(User("alice"))), 300)
        self.assertEqual(known.summary(User("bob")), "bandwidth 2500 B/s")

    def test_exclusivePortsAreRefusedToAllOthers(self) -> None:
        known = UserList(usersOf(Rights(), alice=Rights(exclusive=ports([(443, 443)])), bob=Rights()), [SHARED])
        self.assertIsNone(self.refusal(known, "alice", 443))
        self.assertIsNone(self.refusal(known, "alice", 80))
        for name in ("bob", ""):
            self.assertEqual(self.refusal(known, name, 443), "port 443 belongs to another user")
            self.assertIsNone(self.refusal(known, name, 80))
            self.assertNotIn(443, known.rights(User(name)).ports)

    def test_aUserWhosePortsAreLimitedHasNoUnixSockets(self) -> None:
        alice, web = Rights(ports([(20000, 20009)]), ports([(443, 443)])), UnixPath("/run/bore/web.sock")
        known = UserList(usersOf(Rights(), alice=alice, bob=Rights()), [SHARED])
        for name, allowed in (("alice", False), ("bob", True), ("", True), ("nobody", False)):
            refusal = known.addressRefusal(User(name), web)
            self.assertIs(refusal is None, allowed, name)
            self.assertIs(known.refuses(User(name), web), not allowed)
            if refusal is not None:
                self.assertIsInstance(refusal, PathNotAllowed)

    def test_aUserThatWasRemovedHasNone(self) -> None:
        self.assertEqual(UserList(Users(), ()).rights(User("alice")).ports, Ports())

    def test_aRefusalNamesFewRanges(self) -> None:
        known = UserList(usersOf(alice=Rights(ports((n, n) for n in range(2, 2000, 2)))), ())
        text = self.refusal(known, "alice", 1)
        assert text is not None
        self.assertTrue(text.endswith("2, 4, 6, 8, 10, 12, 14, 16, ..."), text)


class CertificateTests(SynchronousTestCase):
    """Users whose certificate has their name."""

    def setUp(self) -> None:
        users = {"alice": entry("alice"), "carl": UserEntry("carl", ())}
        self.known = UserList(Users(users), [SHARED])

    def identified(self, names: list[str], user: str, secret: Secret) -> str | None:
        """The user whom a client is taken for that sends this name and proves this secret; None: it is refused."""
        proof = self.known.proof(BINDING, lambda request: None, names)
        assert proof is not None
        challenge = decodeServerMessage(proof.challenge()[:-1])
        sent = clientProof(secret, BINDING, user)
        assert sent is not None and isinstance(challenge, BindingChallenge)
        try:
            proof.check(sent.answer(challenge)[:-1])
        except InvalidSecret:
            return None
        return self.known.user(proof.identity, names).name

    def objection(self, name: str, secret: Secret | None) -> Refusal | None:
        return self.known.objection(Login(User(name), "192.0.2.1:1", secret, True))

    def test_aUserWithoutASecretHasNothingToProve(self) -> None:
        self.assertIsNone(self.known.proof(BINDING, lambda request: None, ["carl"]))
        self.assertEqual(self.known.user(None, ["x", "carl"]), User("carl"))
        self.assertIsNone(self.objection("carl", None))

    def test_aUserWithASecretProvesItAsWell(self) -> None:
        self.assertEqual(self.identified(["alice"], "alice", ALICE), "alice")
        self.assertEqual(self.identified(["alice"], "", ALICE), "alice")
        self.assertIsInstance(self.objection("alice", None), AccessWithdrawn)

    def test_andCannotBeAnotherOne(self) -> None:
        for user, secret in (("", SHARED), ("bob", BOB), ("alice", SHARED), ("carl", ALICE)):
            self.assertIsNone(self.identified(["alice"], user, secret))

    def test_aCertificateWithoutTheNameOfAUserProvesNothing(self) -> None:
        for names in ([], ["example.com"], ["", "*"]):
            self.assertEqual(self.identified(names, "alice", ALICE), "alice")
            self.assertEqual(self.identified(names, "", SHARED), "")


class LogInTests(UsersCase):
    """At the control port."""

    def test_eachIsLetInInsideTls(self) -> None:
        for name in ("alice", "bob", ""):
            self.tunnel(name)
        self.assertEqual({tunnel.user.name for tunnel in self.server.tunnels._byAddress.values()}, {"alice", "bob", ""})

    def test_aWrongNameIsAnsweredLikeAWrongSecret(self) -> None:
        answers = []
        for name, secret in (("alice", BOB), ("nobody", BOB), ("", BOB)):
            _, transport = self.come(name, secret, lost=True)
            answers.append((transport.takeWritten(), transport.disconnecting))
        self.assertEqual(len(set(answers)), 1)

    def test_withoutTlsOnlyTheSharedSecretIsKnown(self) -> None:
        protocol, transport = self.come("", encrypted=False)
        protocol.dataReceived(encode(Hello(0)))
        self.assertIn(b'{"Hello"', transport.takeWritten())
        _, transport = self.come("alice", encrypted=False)
        self.assertEqual(transport.takeWritten(), b'{"Error":"invalid secret"}\0')

    def test_anOriginalClientIsTheUserWhoseSecretItHas(self) -> None:
        self.list.apply(usersOf(alice=Rights(original=True), bob=Rights()), [SHARED])
        for name in ("alice", ""):
            protocol, transport = self.come(name, encrypted=False)
            protocol.dataReceived(encode(Hello(0)))
            self.assertIn(b'{"Hello"', transport.takeWritten())
        protocol, transport = self.come("bob", encrypted=False)
        protocol.dataReceived(encode(Hello(0)))
        self.assertEqual(transport.takeWritten(), b'{"Error":"invalid secret"}\0')

    def test_whoMayNotConnectIsSentTheReason(self) -> None:
        self.list.apply(usersOf(alice=Rights(expires=NOW, original=True)), [])
        protocol, transport = self.come("alice")
        protocol.dataReceived(markedHello(0))
        self.assertEqual(self.refusal(transport), "rights-expired")
        protocol, transport = self.come("alice", encrypted=False)
        protocol.dataReceived(encode(Hello(0)))
        self.assertEqual(transport.takeWritten(), b'{"Error":"the rights of this user have expired"}\0')

    def test_aDataConnectionOfAnotherUserIsClosed(self) -> None:
        _, transport, opened = self.tunnel("alice")
        self.visit(portOf(opened))
        [announced] = self.said(transport)
        assert isinstance(announced, Visitor)
        for name, taken in (("bob", False), ("", False), ("alice", True)):
            protocol, other = self.come(name)
            protocol.dataReceived(encode(Accept(announced.id)))
            self.assertEqual(len(self.relay.joined), taken)
            self.assertEqual((other.takeWritten(), other.disconnecting), (b"", not taken))
