"""The proof of the secret inside TLS: what it is made of, and that it is worth nothing anywhere else."""

from __future__ import annotations

from typing import Final

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import DataObject
from twisted.trial.unittest import SynchronousTestCase

from bore.wire import proof as proofs
from bore.wire.binding import BindingAnswer, BindingChallenge, decodeServerMessage
from bore.wire.errors import (
    InvalidSecret,
    MalformedMessage,
    ServerNotProven,
    UnboundProof,
    UnreadableProof,
    WireError,
)
from bore.wire.messages import Accept, Authenticate, encode
from bore.wire.proof import BoundClientProof, proveBase
from bore.wire.secret import Secret
from bore.wire.serverproof import BoundServerProof, SharedOnly
from bore.wire.sessionevents import SendData
from tests.wire.bindings import (
    BINDING,
    ELSEWHERE,
    NONCE,
    answerFrame,
    boundProof,
    challengeFrame,
    framesOf,
    nonceOf,
    proofFrame,
    proofOf,
    proving,
    sentBy,
    sentProof,
)
from tests.wire.sessions import ID, SECRET, controlSession, dataSession, outcomesOf, serverSession
from tests.wire.strategies import UNHURRIED

#: A nonce of a client's, where a test plays it.
OWN: Final = bytes(range(96, 128))

HEX: Final = st.binary(min_size=32, max_size=32)


class FormulaTests(SynchronousTestCase):
    """The proofs are those of docs/protocol.rst, so that others can make them too."""

    #: Computed with ``openssl dgst -sha256 -mac HMAC``: the secret is "my secret", the rest are the bytes 0 to 127.
    client: Final = "b115c33935d62a344c21e7b20cbbb6ad1c56db690f092738ed4ff86b82769b07"
    server: Final = "bc1c8e7e787e7edd97a3600485975d354783025f9ae8a6820b8cfbf6daf331f6"

    def test_theFormulaOfTheTestsGivesTheFixedVector(self) -> None:
        self.assertEqual(proofOf("client", NONCE, OWN), self.client)
        self.assertEqual(proofOf("server", NONCE, OWN), self.server)

    def test_bothSidesGiveTheFixedVectorByteForByte(self) -> None:
        server = BoundServerProof(SharedOnly([SECRET]), BINDING, lambda size: NONCE[:size])
        client = BoundClientProof(SECRET, BINDING, random=lambda size: OWN[:size])
        self.assertEqual(server.challenge(), challengeFrame(NONCE))
        given = client.answer(BindingChallenge(NONCE.hex()))
        self.assertEqual(given, proofFrame(OWN, self.client))
        self.assertEqual(server.check(given[:-1]), answerFrame(self.server))
        client.check(BindingAnswer(self.server))

    @UNHURRIED
    @given(st.text(), HEX, HEX, HEX)
    def test_bothSidesKeepToTheFormulaWhateverTheSecretAndTheConnection(
        self, secret: str, name: bytes, serverNonce: bytes, clientNonce: bytes
    ) -> None:
        server = serverSession(Secret(secret), name)
        nonce = nonceOf(server)
        proof = proofFrame(clientNonce, proofOf("client", nonce, clientNonce, name, secret))
        self.assertEqual(sentBy(server, proof), answerFrame(proofOf("server", nonce, clientNonce, name, secret)))
        client = controlSession(8000, Secret(secret), name)
        chosen, sent = sentProof(sentBy(client, challengeFrame(serverNonce)))
        self.assertEqual(sent, proofOf("client", serverNonce, chosen, name, secret))

    def test_theTwoProofsAreDifferentAndNewEachTime(self) -> None:
        sent = [sentProof(proving()[1]) for _ in range(50)]
        self.assertEqual(len({nonce for nonce, _ in sent}), 50)
        self.assertEqual(len({nonceOf(serverSession(SECRET, BINDING)) for _ in range(50)}), 50)
        for nonce, proof in sent:
            self.assertEqual(proof, proofOf("client", NONCE, nonce))
            self.assertNotEqual(proof, proofOf("server", NONCE, nonce))

    def test_aSessionKeepsItsChallenge(self) -> None:
        session = serverSession(SECRET, BINDING)
        self.assertEqual(session.greeting(), session.greeting())

    def test_theKeyIsNotTheOneOfTheBaseProtocolsProof(self) -> None:
        """The label of the one is never the challenge of the other, which has 16 bytes."""
        self.assertNotEqual(len(proofs._LABEL), len(ID.bytes))

    def test_theMessagesHaveTheirNamesAndFitFramesOfTheBaseProtocol(self) -> None:
        server = serverSession(SECRET, BINDING)
        for frame, shape in (
            (server.greeting(), rb'\{"BindingChallenge":"[0-9a-f]{64}"\}\0'),
            (proving()[1], rb'\{"BindingProof":\{"nonce":"[0-9a-f]{64}","proof":"[0-9a-f]{64}"\}\}\0'),
            (sentBy(server, boundProof(server)), rb'\{"BindingAnswer":"[0-9a-f]{64}"\}\0'),
        ):
            self.assertRegex(frame, rb"\A" + shape + rb"\Z")
            self.assertLessEqual(len(frame), 257)


class ValueTests(SynchronousTestCase):
    """Nonces and proofs are 64 lower-case hex digits, and nothing else."""

    bad: Final = (
        *('""', '"' + "0" * 63 + '"', '"' + "0" * 65 + '"', '"' + "A" * 64 + '"', '"' + "g" * 64 + '"'),
        *("0", "null", "[]", "{}", "true", '"' + "\u0660" * 64 + '"', '"' + "0" * 64 + '\\n"', '["' + "0" * 64 + '"]'),
    )

    def test_aClientTakesNoOther(self) -> None:
        for value in self.bad:
            for name in ("BindingChallenge", "BindingAnswer"):
                frame = f'{{"{name}":{value}}}\0'.encode()
                self.assertRaises(MalformedMessage, decodeServerMessage, frame[:-1])
                for session in (controlSession(1, SECRET, BINDING), proving()[0]):
                    self.assertEqual(outcomesOf(session, frame), [MalformedMessage], frame)
                self.assertRaises(MalformedMessage, dataSession(Accept(ID), SECRET, BINDING).feed, frame)

    def test_aServerTakesNoOther(self) -> None:
        good = '"' + "0" * 64 + '"'
        for nonce, proof in [*((value, good) for value in self.bad), *((good, value) for value in self.bad)]:
            frame = f'{{"BindingProof":{{"nonce":{nonce},"proof":{proof}}}}}\0'.encode()
            self.assertEqual(outcomesOf(serverSession(SECRET, BINDING), frame), [UnreadableProof], frame)
        for value in ("null", "{}", "[]", good, f'{{"nonce":{good}}}', f'{{"proof":{good}}}'):
            frame = b'{"BindingProof":%s}\0' % value.encode()
            self.assertEqual(outcomesOf(serverSession(SECRET, BINDING), frame), [UnreadableProof], frame)

    def test_aProofMayGrow(self) -> None:
        session = serverSession(SECRET, BINDING)
        grown = boundProof(session).replace(b'"proof"', b'"more":1,"proof"')
        self.assertEqual(sentBy(session, grown), answerFrame(proofOf("server", nonceOf(session), NONCE)))


class WorthlessElsewhereTests(SynchronousTestCase):
    """A proof is good for one connection, one pair of nonces and one side."""

    def test_aServerTakesNoProofThatWasMadeForSomethingElse(self) -> None:
        for wrong in (
            lambda nonce: proofOf("client", nonce, OWN, ELSEWHERE),
            lambda nonce: proofOf("client", nonce, OWN, secret="another"),
            lambda nonce: proofOf("client", nonce, OWN, secret=""),
            lambda nonce: proofOf("client", nonce, NONCE),
            lambda nonce: proofOf("client", NONCE, OWN),
            lambda nonce: proofOf("client", OWN, nonce),
            lambda nonce: proofOf("client", OWN, OWN),
            lambda nonce: proofOf("server", nonce, OWN),
            lambda nonce: proofOf("", nonce, OWN),
            lambda nonce: "00" * 32,
        ):
            session = serverSession(SECRET, BINDING)
            sent = proofFrame(OWN, wrong(nonceOf(session)))
            self.assertEqual(outcomesOf(session, sent, boundProof(session)), [InvalidSecret])

    def test_aClientTakesNoAnswerThatWasMadeForSomethingElse(self) -> None:
        for wrong in (
            lambda nonce: proofOf("server", NONCE, nonce, ELSEWHERE),
            lambda nonce: proofOf("server", NONCE, nonce, secret="another"),
            lambda nonce: proofOf("server", NONCE, OWN),
            lambda nonce: proofOf("server", OWN, nonce),
            lambda nonce: proofOf("server", nonce, NONCE),
            lambda nonce: proofOf("client", NONCE, nonce),
            lambda nonce: "00" * 32,
        ):
            session, output = proving()
            answer = answerFrame(wrong(sentProof(output)[0]))
            self.assertEqual(outcomesOf(session, answer), [ServerNotProven])
            data = dataSession(Accept(ID), SECRET, BINDING)
            answer = answerFrame(wrong(sentProof(data.feed(challengeFrame()))[0]))
            self.assertRaises(ServerNotProven, data.feed, answer)
            self.assertFalse(data.complete)

    def test_whatAServerAnswersIsNoProof(self) -> None:
        server = serverSession(SECRET, BINDING)
        (answer,) = framesOf(sentBy(server, boundProof(server)))
        assert isinstance(answer, dict)
        for reflecting in (server, serverSession(SECRET, BINDING)):
            outcomes = outcomesOf(reflecting, proofFrame(NONCE, answer["BindingAnswer"]))
            self.assertTrue(isinstance(outcomes[-1], type) and issubclass(outcomes[-1], WireError), outcomes)
        proof = BoundServerProof(SharedOnly([SECRET]), BINDING)
        (challenge,) = framesOf(proof.challenge())
        assert isinstance(challenge, dict)
        nonce = bytes.fromhex(challenge["BindingChallenge"])
        (given,) = framesOf(proof.check(proofFrame(OWN, proofOf("client", nonce, OWN))[:-1]))
        assert isinstance(given, dict)
        self.assertRaises(InvalidSecret, proof.check, proofFrame(OWN, given["BindingAnswer"])[:-1])

    def test_whatAClientProvesIsNoAnswer(self) -> None:
        session, output = proving()
        self.assertEqual(outcomesOf(session, answerFrame(sentProof(output)[1])), [ServerNotProven])

    def test_anAnswerBeforeTheProofIsNone(self) -> None:
        self.assertRaises(ServerNotProven, BoundClientProof(SECRET, BINDING).check, BindingAnswer("00" * 32))

    def test_theProofOfTheBaseProtocolIsNoneHere(self) -> None:
        for proof in (proveBase(SECRET, ID), "", "no hex"):
            session = serverSession(SECRET, BINDING)
            self.assertEqual(outcomesOf(session, encode(Authenticate(proof)), boundProof(session)), [UnboundProof])

    def test_aWholeConversationCannotBePlayedAgain(self) -> None:
        client, server = controlSession(8000, SECRET, BINDING), serverSession(SECRET, BINDING)
        fromServer = [server.greeting()]
        fromClient = [sentBy(client, fromServer[0])]
        fromServer.append(sentBy(server, fromClient[0]))
        fromClient.append(sentBy(client, fromServer[1]))
        for name in (BINDING, ELSEWHERE):
            self.assertEqual(outcomesOf(serverSession(SECRET, name), *fromClient), [InvalidSecret])
            outcomes = outcomesOf(controlSession(8000, SECRET, name), *fromServer)
            self.assertIsInstance(outcomes[0], SendData)
            self.assertEqual(outcomes[1:], [ServerNotProven])

    @UNHURRIED
    @given(st.data())
    def test_aManInTheMiddleWhoKnowsEverythingGetsNothing(self, data: DataObject) -> None:
        """The man in the middle knows everything that was ever sent on any connection, and combines it at will."""
        _, output = proving()
        own, proof = sentProof(output)
        known = {NONCE.hex(), own.hex(), proof, proofOf("server", NONCE, own), "00" * 32}
        anything = st.deferred(lambda: st.sampled_from(sorted(known)))
        for _ in range(data.draw(st.integers(1, 5))):
            client = controlSession(8000, SECRET, bytes(31) + b"c")
            server = serverSession(SECRET, bytes(31) + b"s")
            known.add(nonceOf(server).hex())
            nonce, sent = sentProof(sentBy(client, challengeFrame(bytes.fromhex(data.draw(anything)))))
            known |= {nonce.hex(), sent}
            passedOn = proofFrame(bytes.fromhex(data.draw(anything)), data.draw(anything))
            self.assertEqual(outcomesOf(server, passedOn), [InvalidSecret])
            self.assertEqual(outcomesOf(client, answerFrame(data.draw(anything))), [ServerNotProven])
