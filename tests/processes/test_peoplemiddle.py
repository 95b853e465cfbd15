"""A man in the middle who is a user of the server himself, between another user and the server."""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

from bore.tls.certificates import readCredentials
from tests.certificates import Identity, selfSigned
from tests.processes.case import count
from tests.processes.peoplecase import PeopleCase
from tests.processes.tlscase import NO_PERMISSION, NOT_TRUSTED
from tests.processes.usermiddle import UserMiddle


class UserMiddleTests(PeopleCase):
    """Bob, with a valid secret of his own, before alice's client."""

    def setUp(self) -> None:
        super().setUp()
        self.bore = self.peopleServer()
        self.alice, self.bob = self.invite("alice"), self.invite("bob")
        self.bore.waitFor("2 users")

    def between(self, identity: Identity, answer: str) -> UserMiddle:
        middle = UserMiddle(self.host, (self.host, self.control), identity, "bob", self.bob.secret, answer)
        self.addCleanup(middle.close)
        return middle

    def stolen(self) -> Identity:
        """The key of the server itself."""
        own = Path(self.serverHome) / "txbore" / "tls.pem"
        credentials = readCredentials(own, own)
        assert isinstance(credentials.key, EllipticCurvePrivateKey)
        return Identity(credentials.key, credentials.chain)

    def test_byHisKeyHeIsRefusedBeforeAliceProvesAnything(self) -> None:
        middle = self.between(selfSigned(), "relayed")
        refused = self.join(self.alice, self.home, NOT_TRUSTED, port=middle.port)
        self.assertIn("Someone may be intercepting the connection", refused.err[-1])
        middle.over.wait(20)
        self.assertEqual(middle.fromUser, [])

    def test_evenWithTheServersOwnKeyHeReachesNothingOnEitherSide(self) -> None:
        for answer in ("relayed", "own", "other"):
            middle = self.between(self.stolen(), answer)
            refused = self.join(self.alice, self.home, NO_PERMISSION, port=middle.port)
            self.assertNotIn("joined", "".join(refused.out))
            self.assertTrue(middle.over.wait(20))
            (proof,) = middle.fromUser
            self.assertIn(b'"user":"alice"', proof)
            relayed, own, asAlice = middle.ofServer
            self.assertIn(b"invalid secret", relayed, "her proof is worth nothing on his connection")
            self.assertIn(b"BindingAnswer", own, "his own secret is valid")
            self.assertIn(b"invalid secret", asAlice, "and not for her name")
        self.assertEqual(count(self.bore, "opened for"), 0)
        self.join(self.alice, self.home)
        client = self.show(self.home)
        self.assertServes(client.port("listening at "))
        self.assertNoTraceback(self.bore, client)
