"""A client and a server that do not share a secret, or are slow to find out."""

from __future__ import annotations

from uuid import uuid4

from bore.client.control import ControlProtocol
from bore.wire.errors import AuthenticationFailed
from bore.wire.extension import Extended
from bore.wire.messages import Challenge, Error, Hello
from bore.wire.secret import Secret
from tests.client.case import ControlCase


class AuthenticationTests(ControlCase):
    """All three ways not to share a secret are final at once."""

    def assertFinal(self, protocol: ControlProtocol, text: str) -> None:
        self.lose(protocol)
        error = self.gaveUp()
        self.assertIsInstance(error, AuthenticationFailed)
        self.assertEqual(str(error), text)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_aWrongSecretIsFinal(self) -> None:
        self.make(secret=Secret("wrong"))
        protocol, _ = self.connect()
        self.receive(protocol, Challenge(uuid4()), Error("invalid secret"))
        self.assertFinal(protocol, "invalid secret")

    def test_aChallengeWithoutASecretIsFinal(self) -> None:
        protocol, _ = self.connect()
        self.receive(protocol, Challenge(uuid4()))
        self.assertFinal(protocol, "server requires authentication, but no client secret was provided")

    def test_aServerWithoutASecretIsFinalForAClientWithOne(self) -> None:
        self.make(secret=Secret("x"))
        protocol, transport = self.connect()
        self.assertEqual(transport.takeWritten(), b"")
        self.reactor.advance(1.6)
        self.assertEqual(transport.takeWritten(), b'{"Hello":1} \0')
        self.hear(protocol, Extended(1))
        self.assertFinal(protocol, "expected authentication challenge, but no secret was required")

    def test_aServerThatOnlyClosesIsTriedAgain(self) -> None:
        self.make(secret=Secret("x"))
        protocol, _ = self.connect()
        self.reactor.advance(3)
        self.lose(protocol)
        self.delayToNextAttempt()

    def test_aLateChallengeIsTriedAgainWithMorePatience(self) -> None:
        self.make(secret=Secret("x"))
        protocol, transport = self.connect()
        self.reactor.advance(1.6)
        self.receive(protocol, Challenge(uuid4()))
        self.assertTrue(transport.aborted)
        self.lose(protocol)
        self.delayToNextAttempt()
        protocol, transport = self.connect()
        self.reactor.advance(7)
        self.assertEqual(transport.takeWritten(), b"")
        self.receive(protocol, Challenge(uuid4()), Hello(20001))
        self.assertTrue(self.announced)

    def test_aLateChallengeOfOneServerIsNothingAgainstTheOthers(self) -> None:
        self.make("a.example", "b.example", secret=Secret("x"))
        protocol, _ = self.connect()
        self.reactor.advance(1.6)
        self.receive(protocol, Challenge(uuid4()))
        for asked in (True, False):
            self.lose(protocol)
            self.delayToNextAttempt()
            protocol, transport = self.connect()
            self.reactor.advance(7)
            self.assertEqual(bool(transport.takeWritten()), asked)
