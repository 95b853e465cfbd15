"""A server's session between a request and its answer; other protocols at the control port; time-outs."""

from __future__ import annotations

from typing import Final

from twisted.trial.unittest import SynchronousTestCase

from bore.wire.errors import (
    ClaimTimeout,
    MalformedMessage,
    OpenTimeout,
    PortInUse,
    ProofTimeout,
    ProxyHeader,
    SpeaksNoTls,
)
from bore.wire.extension import Alive, Goodbye, Open
from bore.wire.messages import Accept, Hello, encode
from bore.wire.proxyprotocol import SIGNATURES
from bore.wire.sessionevents import ClientAlive, ClientLeft, TunnelAsked, VisitorTaken
from tests.wire.sessions import (
    ID,
    SECRET,
    SERVER_STATES,
    TOKEN,
    outcomesOf,
    rightProof,
    serverSession,
)
from tests.wire.strategies import frameOf


class ClaimTests(SynchronousTestCase):
    """Between the request for a tunnel and its answer a session is claiming."""

    def test_aSessionClaimsFromTheRequestToTheAnswer(self) -> None:
        claiming = {
            "BASE_CLAIMING",
            "EXTENDED, claiming",
            "EXTENDED, claiming after the proof",
            "EXTENDED, with all rules",
        }
        for state in SERVER_STATES:
            self.assertIs(SERVER_STATES[state]().claims(1), state in claiming, state)
            self.assertFalse(SERVER_STATES[state]().claims(2), state)

    def test_aClientThatLeavesClaimsNothingMore(self) -> None:
        session = SERVER_STATES["EXTENDED, claiming"]()
        self.assertEqual(outcomesOf(session, frameOf(Goodbye())), [ClientLeft()])
        self.assertFalse(session.claims(1))

    def test_noTunnelIsOpenedOrRefusedWithoutAClaim(self) -> None:
        for state in SERVER_STATES:
            session = SERVER_STATES[state]()
            if not session.claims(1):
                self.assertRaises(AssertionError, session.opened, 1, 8000, TOKEN, 60)
                self.assertRaises(AssertionError, session.refused, 1, PortInUse())

    def test_afterARefusalNothingIsReadAndNothingIsClaimed(self) -> None:
        for state in SERVER_STATES:
            session = SERVER_STATES[state]()
            session.refusal(PortInUse())
            self.assertFalse(session.claims(1))
            self.assertIsNone(session.timedOut())
            self.assertEqual(outcomesOf(session, encode(Hello(1)) + b"junk\0", b"x" * 5000), [], state)

    def test_framesThatCameBehindOpenAreReadInTheStateOfTheirTime(self) -> None:
        """A claim that is granted at once is granted before the next frame is read."""
        session = SERVER_STATES["OPENING"]()
        events = session.feed(frameOf(Open(1, 1)) + frameOf(Alive()))
        self.assertEqual(next(events), TunnelAsked(1, 1))
        session.opened(1, 1, TOKEN, 60)
        session.heartbeat()
        self.assertEqual(list(events), [ClientAlive()])


class TlsTests(SynchronousTestCase):
    """A client that uses another protocol is refused by its name."""

    #: The first record of a handshake (RFC 8446, section 5.1), in part.
    hello: Final = b"\x16\x03\x01\x00\xf6\x01\x00\x00\xf2\x03\x03" + bytes(32)

    def test_aHandshakeIsRefusedBeforeAnythingElseIsRead(self) -> None:
        for secret in (None, SECRET):
            for data in (self.hello, self.hello[:2], self.hello + b"x" * 5000):
                session = serverSession(secret)
                self.assertEqual(outcomesOf(session, data, rightProof(session), encode(Hello(1))), [SpeaksNoTls])

    def test_anotherProtocolIsRecognisedInAnyPortions(self) -> None:
        for data, refusal in ((self.hello, SpeaksNoTls), *((signature, ProxyHeader) for signature in SIGNATURES)):
            for secret in (None, SECRET):
                portions = [data[at : at + 1] for at in range(len(data))]
                self.assertEqual(outcomesOf(serverSession(secret), *portions), [refusal])

    def test_whatOnlyBeginsAsAnotherProtocolIsReadAsFrames(self) -> None:
        self.assertEqual(outcomesOf(serverSession(None), b"\r", b"\n", encode(Accept(ID))), [VisitorTaken(ID, b"")])
        self.assertEqual(outcomesOf(serverSession(None), b"P", b"ROXZ\0"), [MalformedMessage])
        self.assertEqual(outcomesOf(serverSession(None), b"\x16", b"\0"), [MalformedMessage])

    def test_theRefusalIsAnError(self) -> None:
        refusal = self.assertRaises(SpeaksNoTls, list, serverSession(None).feed(self.hello))
        self.assertEqual(
            serverSession(None).refusal(refusal),
            b'{"Error":"this port speaks no TLS: use the server\'s other port, or start it with --tls"}\0',
        )

    def test_laterTheSameBytesAreNoHandshake(self) -> None:
        session = SERVER_STATES["PROOF"]()
        self.assertEqual(outcomesOf(session, rightProof(session), self.hello), [MalformedMessage])
        self.assertEqual(
            outcomesOf(SERVER_STATES["REQUEST"](), encode(Accept(ID)) + self.hello), [VisitorTaken(ID, self.hello)]
        )


class TimeTests(SynchronousTestCase):
    """What is sent when a client has asked for nothing in time, or a claim has taken too long."""

    def test_aTimeOutIsARefusalWhereAProofAnOpenOrATunnelIsOutstanding(self) -> None:
        kinds = {
            "PROOF": ProofTimeout,
            "OPENING": OpenTimeout,
            "OPENING after the proof": OpenTimeout,
            "OPENING, with all rules": OpenTimeout,
            "BASE_CLAIMING": ClaimTimeout,
            **{state: OpenTimeout for state in SERVER_STATES if state.startswith("EXTENDED")},
        }
        for state in SERVER_STATES:
            self.assertIs(type(SERVER_STATES[state]().timedOut()), kinds.get(state, type(None)), state)

    def test_halfAProofIsStillNone(self) -> None:
        session = serverSession(SECRET)
        self.assertEqual(outcomesOf(session, rightProof(session)[:-1]), [])
        self.assertIsInstance(session.timedOut(), ProofTimeout)

    def test_halfAnOpenIsStillNone(self) -> None:
        session = SERVER_STATES["OPENING"]()
        self.assertEqual(outcomesOf(session, frameOf(Open(1, 1))[:-1]), [])
        self.assertIsInstance(session.timedOut(), OpenTimeout)
