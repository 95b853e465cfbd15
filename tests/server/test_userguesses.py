"""Wrong secrets for users: how they are counted, and what they delay."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from bore.server.guesses import BURST, FORGET, LONGEST_DELAY, LONGEST_WAIT, Guesses
from bore.wire.binding import BindingChallenge, decodeServerMessage
from bore.wire.extension import Visitor, markedHello
from bore.wire.messages import Accept, encode
from bore.wire.proof import clientProof
from bore.wire.secret import Secret
from tests.fakes import FakeTransport
from tests.server.userscase import BINDING, UsersCase, portOf

WRONG = Secret("nobody has this one")

REFUSED = b'{"Error":"invalid secret"}\0'


class AccountsTests(SynchronousTestCase):
    """The accounts of users, and the answers to wrong secrets."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1e6)
        self.guesses = Guesses(self.clock)

    def test_theChecksOfOtherUsersAtTheAddressAreNotDelayed(self) -> None:
        for _ in range(BURST + 1):
            self.guesses.failed("a", "alice")
        self.assertTrue(self.guesses.limits("a", "alice"))
        for source, user in (("a", "bob"), ("a", ""), ("b", "alice")):
            self.assertFalse(self.guesses.limits(source, user))

    def test_theAnswersToOneAddressAreDelayedMoreAndMore(self) -> None:
        delays = [self.guesses.failed("a", "alice") for _ in range(2 * BURST + 8)]
        self.assertEqual(delays[: 2 * BURST], [0.0] * 2 * BURST)
        self.assertEqual(delays[2 * BURST :], [0.1, 0.2, 0.4, 0.8] + [LONGEST_DELAY] * 4)
        self.clock.advance(FORGET + 1)
        self.assertEqual(self.guesses.failed("a", "alice"), 0.0)

    def test_andThoseToManyAddressesThatGuessOneUser(self) -> None:
        delays = [self.guesses.failed(f"a{n}", "alice") for n in range(20 * BURST + 8)]
        self.assertEqual(delays[: 20 * BURST], [0.0] * 20 * BURST)
        self.assertEqual(delays[-1], LONGEST_DELAY)
        self.assertFalse(self.guesses.limits("b", "alice"), "the check of the user's own secret is not delayed")

    def test_soAreThoseWithoutAName(self) -> None:
        """All who hold the shared secret are one user, so only the address counts."""
        self.assertEqual({self.guesses.failed(f"a{n}") for n in range(50 * BURST)}, {0.0})

    def test_anOriginalClientHasItsAnswerInTime(self) -> None:
        self.assertLess(LONGEST_WAIT + LONGEST_DELAY, 3)

    def test_theirMemoryIsBounded(self) -> None:
        for n in range(20_000):
            self.guesses.failed(f"a{n}", f"user{n}")
        self.assertLessEqual(len(self.guesses), 4096)
        self.assertLessEqual(len(self.guesses._buckets), 4096)

    def test_theyCanBeTurnedOff(self) -> None:
        self.guesses.apply(0)
        self.assertEqual({self.guesses.failed("a", "alice") for _ in range(1000)}, {0.0})
        self.assertFalse(self.guesses.limits("a", "alice"))


class CheckTests(UsersCase):
    """Which checks are delayed, when there were many wrong secrets for a user."""

    def setUp(self) -> None:
        super().setUp()
        self.accepts = {user: self.accept(user) for user in ("alice", "bob", "")}
        for _ in range(BURST + 1):
            self.server.guesses.failed("192.0.2.1", "alice")

    def tearDown(self) -> None:
        self.reactor.pump([0.1] * 40)

    def isDelayed(self, parts: Callable[[bytes], list[bytes]]) -> bool:
        """
        Whether a wrong secret for alice is not checked at once.

        :param parts: returns what is sent, for a proof.
        """
        protocol = self.server.control.buildProtocol(None, "192.0.2.1:4711", "192.0.2.1", BINDING)
        transport = FakeTransport()
        self.addCleanup(transport.socket.close)
        protocol.makeConnection(transport)
        challenge = decodeServerMessage(transport.takeWritten()[:-1])
        assert isinstance(challenge, BindingChallenge)
        proof = clientProof(WRONG, BINDING, "alice")
        assert proof is not None
        for part in parts(proof.answer(challenge)):
            protocol.dataReceived(part)
        self.reactor.advance(0)
        return transport.takeWritten() == b""

    def accept(self, user: str) -> bytes:
        """The first message of a data connection, for a visitor of a user."""
        _, transport, opened = self.tunnel(user)
        self.visit(portOf(opened))
        [announced] = self.said(transport)
        assert isinstance(announced, Visitor)
        return encode(Accept(announced.id))

    def test_aProofInPartsIsDelayedAsOneInOnePieceIs(self) -> None:
        self.assertTrue(self.isDelayed(lambda proof: [proof]))
        self.assertTrue(self.isDelayed(lambda proof: [proof[:40], proof[40:]]))
        self.assertTrue(self.isDelayed(lambda proof: [proof[:1], proof[1:-1], proof[-1:]]))

    def test_soIsOneInFrontOfWhatOnlyAnotherUserKnows(self) -> None:
        for user, delayed in (("bob", True), ("", True), ("alice", False)):

            def parts(proof: bytes, user: str = user) -> list[bytes]:
                return [proof + self.accepts[user]]

            self.assertEqual(self.isDelayed(parts), delayed, user)


class UserGuessesTests(UsersCase):
    """Inside TLS, where each client sends its name."""

    def guess(self, user: str, source: str = "192.0.2.1") -> bytes:
        """The answer to a wrong secret, as far as it comes at once."""
        _, transport = self.come(user, WRONG, lost=True, source=source)
        self.reactor.advance(0)  # together they send more than one turn's share
        return transport.takeWritten()

    def tearDown(self) -> None:
        self.reactor.pump([0.1] * 40)

    def isLetIn(self, user: str, source: str = "192.0.2.1") -> bool:
        """Whether the right secret has its answer at once."""
        protocol, transport = self.come(user, source=source)
        protocol.dataReceived(markedHello(0))
        self.reactor.advance(0)
        return b'"Extended"' in transport.takeWritten()

    def test_aUserIsNotKeptWaitingByWrongSecretsForAnother(self) -> None:
        while self.guess("alice") == REFUSED:
            pass
        self.assertFalse(self.isLetIn("alice"), "it is as if she mistyped")
        self.assertTrue(self.isLetIn("bob"))
        self.assertTrue(self.isLetIn(""))
        self.assertTrue(self.isLetIn("alice", "192.0.2.2"))

    def test_norByThoseFromOtherAddresses(self) -> None:
        for n in range(20 * BURST + 1):
            self.guess("alice", f"198.51.{n // 250}.{n % 250}")
        self.assertEqual(self.guess("alice", "203.0.113.1"), b"", "the answer to a wrong one is delayed")
        self.assertTrue(self.isLetIn("alice", "203.0.113.1"))

    def test_namesThatNobodyHasAreCountedLikeOthers(self) -> None:
        answers = {}
        for user in ("alice", "nobody"):
            answers[user] = [self.guess(user) for _ in range(3 * BURST)]
        self.assertEqual(answers["alice"], answers["nobody"])
        self.assertIn(b"", answers["alice"])

    def test_theAnswerComesAfterTheDelay(self) -> None:
        for n in range(20 * BURST):
            self.guess("alice", f"198.51.{n // 250}.{n % 250}")
        _, transport = self.come("alice", WRONG, lost=True, source="203.0.113.1")
        self.reactor.advance(0.09)
        self.assertEqual((transport.takeWritten(), transport.disconnecting), (b"", False))
        self.reactor.advance(0.02)
        self.assertEqual((transport.takeWritten(), transport.disconnecting), (REFUSED, True))

    def test_wrongSecretsAreForgotten(self) -> None:
        while self.guess("alice") == REFUSED:
            pass
        self.reactor.pump([1.0] * int(FORGET + 1))
        self.assertEqual(self.guess("alice"), REFUSED)
