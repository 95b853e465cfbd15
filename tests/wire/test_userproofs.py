"""Users with a secret each: which of them a client is, by its proof."""

from __future__ import annotations

from typing import Final

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bore.wire.binding import BindingChallenge, BindingProof, decodeServerMessage, encode
from bore.wire.errors import InvalidSecret, ProtocolViolation, UnreadableProof, WireError
from bore.wire.extension import Lane, markedHello
from bore.wire.messages import Accept, Hello
from bore.wire.messages import encode as encodeBase
from bore.wire.proof import clientProof
from bore.wire.secret import Secret
from bore.wire.serverproof import NO_NAME, Identity
from bore.wire.serversession import ServerSession
from tests.wire.bindings import BINDING, ELSEWHERE, framesOf, proofFrame, proofOf
from tests.wire.knownusers import ALICE, BOB, NOBODY, SHARED, KnownUsers, proofBy, usersSession, withProof
from tests.wire.sessions import ID, LANE, controlSession, outcomesOf
from tests.wire.strategies import UNHURRIED, frameOf

HELLO: Final = encodeBase(Hello(8000))
ACCEPT: Final = encodeBase(Accept(ID))
WITHOUT_OWNER: Final = (HELLO, markedHello(8000))
WITH_OWNER: Final = (ACCEPT, frameOf(Lane(LANE)))


def boundProof(session: ServerSession, secret: Secret, user: str, channelBinding: bytes = BINDING) -> bytes:
    """The frame with which a client proves inside TLS that it is a user."""
    proof = clientProof(secret, channelBinding, user)
    challenge = decodeServerMessage(session.greeting()[:-1])
    assert proof is not None and isinstance(challenge, BindingChallenge)
    return proof.answer(challenge)


class InsideTlsTests(SynchronousTestCase):
    """The client sends its name."""

    def outcome(self, secret: Secret, user: str, known: KnownUsers | None = None) -> Identity | object:
        session = usersSession(None, BINDING, known)
        end = outcomesOf(session, boundProof(session, secret, user))[-1]
        return end if session.identity is None else session.identity

    def test_aUserProvesWithNameAndSecretWhoItIs(self) -> None:
        for user, secret in ((NO_NAME, SHARED), ("alice", ALICE), ("bob", BOB)):
            self.assertEqual(self.outcome(secret, user), Identity(user, secret))

    def test_aSecretProvesNoOtherName(self) -> None:
        for user in (NO_NAME, "alice", "bob", "mallory"):
            for secret in (SHARED, ALICE, BOB):
                if self.outcome(secret, user) != Identity(user, secret):
                    self.assertIs(self.outcome(secret, user), InvalidSecret)

    def test_onlyTheSecretsOfThatNameAreTried(self) -> None:
        known = KnownUsers()
        self.outcome(ALICE, "alice", known)
        self.outcome(ALICE, "mallory", known)
        self.assertEqual(known.tried, ["alice", "mallory"])

    def test_theNameIsBoundIntoTheProof(self) -> None:
        """A man in the middle cannot put another name to it, even if both have the same secret."""
        known = KnownUsers({"alice": ALICE, "bob": ALICE})
        session = usersSession(None, BINDING, known)
        frame = boundProof(session, ALICE, "alice").replace(b'"alice"', b'"bob"')
        self.assertEqual(outcomesOf(session, frame), [InvalidSecret])

    def test_theServerProvesTheSecretOfTheUser(self) -> None:
        for server, ends in ((KnownUsers(), False), (KnownUsers({"alice": BOB}), True)):
            session = usersSession(None, BINDING, server)
            client = controlSession(8000, ALICE, BINDING, "alice")
            sent = b"".join(each.data for each in client.feed(session.greeting()) if hasattr(each, "data"))
            outcomes = outcomesOf(session, sent)
            self.assertEqual(outcomes == [InvalidSecret], ends)

    def test_theFormulaIsThatOfTheReadme(self) -> None:
        session = usersSession(None, BINDING)
        (challenge,) = framesOf(session.greeting())
        assert isinstance(challenge, dict)
        nonce = bytes.fromhex(challenge["BindingChallenge"])
        proof = proofOf("client", nonce, ELSEWHERE, BINDING, "the secret of alice", "alice")
        frame = proofFrame(ELSEWHERE, proof).replace(b'{"nonce"', b'{"user":"alice","nonce"')
        outcomesOf(session, frame)
        self.assertEqual(session.identity, Identity("alice", ALICE))

    def test_theLongestNameFitsAFrameOfTheBaseProtocol(self) -> None:
        self.assertLessEqual(len(encode(BindingProof("0" * 64, "0" * 64, "x" * 64))), 257)

    def test_whatIsNoNameIsNotRead(self) -> None:
        for name in ('""', '"*"', '"a b"', "7", '"' + "x" * 65 + '"', '["a"]', '"-a"', '"\u00e9"'):
            frame = f'{{"BindingProof":{{"user":{name},"nonce":"{"0" * 64}","proof":"{"0" * 64}"}}}}\0'.encode()
            if len(frame) <= 257:
                self.assertEqual(outcomesOf(usersSession(None, BINDING), frame), [UnreadableProof], name)

    def test_aNameMayBeNull(self) -> None:
        session = usersSession(None, BINDING)
        frame = boundProof(session, SHARED, "").replace(b'{"nonce"', b'{"user":null,"nonce"')
        outcomesOf(session, frame)
        self.assertEqual(session.identity, Identity(NO_NAME, SHARED))

    @UNHURRIED
    @given(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}", fullmatch=True), st.text())
    def test_everyNameAndSecretIsUnderstood(self, name: str, text: str) -> None:
        known = KnownUsers({name: Secret(text)})
        self.assertEqual(self.outcome(Secret(text), name, known), Identity(name, Secret(text)))
        self.assertIs(self.outcome(Secret(text + "x"), name, known), InvalidSecret)


class BaseProtocolTests(SynchronousTestCase):
    """The client cannot send its name."""

    def test_aHelloIsTriedWithAllSecrets(self) -> None:
        for user, secret in ((NO_NAME, SHARED), ("alice", ALICE), ("bob", BOB)):
            for hello in WITHOUT_OWNER:
                session = withProof(secret)
                self.assertTrue(session.unproven)
                self.assertEqual(len(outcomesOf(session, hello)), 1)
                self.assertEqual(session.identity, Identity(user, secret))
                self.assertFalse(session.unproven)
        for hello in WITHOUT_OWNER:
            self.assertEqual(outcomesOf(withProof(NOBODY), hello), [InvalidSecret])

    def test_whatHasAnOwnerIsTriedWithTheSecretsOfThatUserOnly(self) -> None:
        for request in WITH_OWNER:
            for owner in (NO_NAME, "alice", "bob"):
                for user, secret in ((NO_NAME, SHARED), ("alice", ALICE), ("bob", BOB), ("nobody", NOBODY)):
                    session = withProof(secret, owner)
                    outcomes = outcomesOf(session, request)
                    if user == owner:
                        self.assertEqual(session.identity, Identity(user, secret))
                    else:
                        self.assertEqual(outcomes, [InvalidSecret])

    def test_allSecretsAreOnlyTriedForAHello(self) -> None:
        for request, tried in ((HELLO, [None]), (ACCEPT, ["alice"])):
            known = KnownUsers()
            session = usersSession("alice", known=known)
            outcomesOf(session, proofBy(session, ALICE) + request)
            self.assertEqual(known.tried, tried)

    def test_noSecretIsTriedForWhatIsOver(self) -> None:
        for request in WITH_OWNER:
            known = KnownUsers()
            session = usersSession(None, known=known)
            self.assertEqual(outcomesOf(session, proofBy(session, ALICE), request), [ProtocolViolation])
            self.assertEqual(known.tried, [])

    def test_aProofThatIsNoHexIsWrong(self) -> None:
        for proof in ("", "zz", "00" * 31, "\u00e9" * 32):
            session = usersSession(None)
            frame = f'{{"Authenticate":"{proof}"}}\0'.encode()
            self.assertEqual(outcomesOf(session, frame + HELLO), [InvalidSecret])

    @UNHURRIED
    @given(st.sampled_from([*WITHOUT_OWNER, *WITH_OWNER]), st.binary(max_size=40), st.sampled_from(["alice", None]))
    def test_nothingIsReadBehindAnError(self, request: bytes, rest: bytes, owner: str | None) -> None:
        session = withProof(NOBODY, owner)
        outcomes = outcomesOf(session, request, rest, HELLO)
        self.assertEqual(len(outcomes), 1)
        assert isinstance(outcomes[0], type)
        self.assertTrue(issubclass(outcomes[0], WireError))
