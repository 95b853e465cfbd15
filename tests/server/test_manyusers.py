"""A thousand users of one server."""

from __future__ import annotations

import time

from twisted.trial.unittest import SynchronousTestCase

from bore.server.userlist import UserList
from bore.server.users import User
from bore.users.entry import UserEntry, UserKey, Users
from bore.users.ports import ports
from bore.users.rights import Rights
from bore.wire.binding import BindingChallenge, decodeServerMessage
from bore.wire.errors import InvalidSecret
from bore.wire.messages import Challenge, Hello
from bore.wire.proof import clientProof
from bore.wire.secret import Secret
from bore.wire.serverproof import Identity
from tests.server.userscase import BINDING, BOB, SHARED


class ManyTests(SynchronousTestCase):
    """A thousand users."""

    def setUp(self) -> None:
        names = [f"user{n}" for n in range(1000)]
        self.secrets = {name: Secret(f"the own secret of {name}") for name in names}
        entries = {
            name: UserEntry(name, (UserKey(each),), Rights(original=True)) for name, each in self.secrets.items()
        }
        self.known = UserList(Users(entries), [SHARED])

    def identified(self, secret: Secret, user: str, channelBinding: bytes) -> Identity | None:
        """Who a client is that proves a secret, in the base protocol without the name."""
        proof = self.known.proof(channelBinding, lambda request: None)
        assert proof is not None
        sent = clientProof(secret, channelBinding, user)
        challenge = decodeServerMessage(proof.challenge()[:-1])
        assert sent is not None and isinstance(challenge, BindingChallenge | Challenge)
        try:
            proof.check(sent.answer(challenge)[:-1])
            proof.identify(Hello(0))
        except InvalidSecret:
            return None
        return proof.identity

    def test_eachIsKnownByItsOwnSecret(self) -> None:
        for name, secret in self.secrets.items():
            self.assertEqual(self.identified(secret, name, BINDING), Identity(name, secret))
            self.assertIsNone(self.identified(secret, "user0" if name != "user0" else "user1", BINDING))
        for name in ("user0", "user500", "user999"):
            secret = self.secrets[name]
            self.assertEqual(self.identified(secret, "", b""), Identity(name, secret))
        self.assertIsNone(self.identified(BOB, "", b""))

    def test_tryingAllOfThemTakesMilliseconds(self) -> None:
        self.assertEqual(len(self.known.nameless()), 1001)
        began = time.thread_time()
        for _ in range(10):
            self.identified(BOB, "", b"")
        self.assertLess((time.thread_time() - began) / 10, 0.05)

    def test_theirPortsDoNotTakeLongToFind(self) -> None:
        entries = {
            f"user{n}": UserEntry(f"user{n}", (), Rights(exclusive=ports([(2000 + n, 2000 + n)]))) for n in range(1000)
        }
        known = UserList(Users(entries), [])
        began = time.thread_time()
        self.assertIsNone(known.addressRefusal(User("user7"), 2007))
        self.assertIsNotNone(known.addressRefusal(User("user7"), 2008))
        self.assertLess(time.thread_time() - began, 0.5)
