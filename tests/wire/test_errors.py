"""Everything that can be wrong has a class, a text and, in the extension, a code."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bore.wire import errors
from bore.wire.errors import (
    AccessWithdrawn,
    AuthenticationFailed,
    BindFailed,
    BrokenRule,
    CertificateRefused,
    ClaimTimeout,
    ClientHasNoSecret,
    ClusterAway,
    ClusterLost,
    ClusterRecovering,
    FrameTooLong,
    InvalidSecret,
    Kicked,
    KindNotKnown,
    LateChallenge,
    MalformedMessage,
    NeedsTls,
    NoAnswer,
    NoFreePort,
    OpenTimeout,
    OverlongProof,
    PathNotAllowed,
    PortForbidden,
    PortInUse,
    PortNotAllowed,
    PresumedGone,
    ProofTimeout,
    ProtocolViolation,
    ProxyHeader,
    ProxyHeaderExpected,
    Refusal,
    RightsExpired,
    RightWithdrawn,
    SecretMissing,
    ServerHasNoSecret,
    ServerLeft,
    ServerNotProven,
    ShuttingDown,
    SourceNotAllowed,
    SpeaksNoTls,
    TakenOver,
    TooManyGuesses,
    TooManyInSession,
    TooManyPending,
    TooManyTunnels,
    TooManyTunnelsFromSource,
    TooManyTunnelsOfUser,
    UnboundChallenge,
    UnboundProof,
    UnknownMessage,
    UnreadableProof,
    VisitorsWithoutAddress,
    WireError,
)
from bore.wire.messages import Error, encode
from bore.wire.refusals import refusalFor, refusalForCode
from tests.wire.strategies import UNHURRIED

#: What the original's server writes in an Error, and the 0.5.x of it.
ORIGINALS: Final[dict[str, type[Refusal]]] = {
    "client port number not in allowed range": PortNotAllowed,
    "port already in use": PortInUse,
    "permission denied": PortForbidden,
    "failed to bind to port": BindFailed,
    "failed to find an available port": NoFreePort,
    "invalid secret": InvalidSecret,
    "server requires secret, but no secret was provided": SecretMissing,
    "unable to parse message": UnreadableProof,
    "frame error, invalid byte length": OverlongProof,
    "timed out waiting for initial message": ProofTimeout,
}

#: The further texts of our server, for any client.
OURS: Final[dict[str, type[Refusal]]] = {
    "server is shutting down": ShuttingDown,
    "too many connections that say nothing": TooManyPending,
    "too many tunnels": TooManyTunnels,
    "too many tunnels from your address": TooManyTunnelsFromSource,
    "timed out waiting for the port": ClaimTimeout,
    "this cluster cannot grant new tunnels now": ClusterAway,
    "this cluster is finding out which tunnels exist": ClusterRecovering,
    "this node of the cluster has lost the tunnel": ClusterLost,
    "too many tunnels of this user": TooManyTunnelsOfUser,
    "this user or its secret is not valid any more": AccessWithdrawn,
    "the rights of this user have expired": RightsExpired,
    "the right to this tunnel was withdrawn": RightWithdrawn,
    "this user may not connect from your address": SourceNotAllowed,
    "this port speaks TLS: use 'bore local' of txbore with --tls, or the server's plain port, if it has one": NeedsTls,
    "this port speaks no TLS: use the server's other port, or start it with --tls": SpeaksNoTls,
    "inside TLS the proof of the secret has to be bound to the connection": UnboundProof,
    "too many wrong secrets from your address": TooManyGuesses,
    "a PROXY protocol header at the control port: "
    "remove send-proxy for this port from the proxy in front of it, "
    "or start the server with its address in --trusted-proxies": ProxyHeader,
    "the server expects a PROXY protocol header from your address, "
    "which is in its --trusted-proxies": ProxyHeaderExpected,
    "no sign of life, and another client came": PresumedGone,
}

#: Its texts for clients of the extension only.
EXTENDED: Final[dict[str, type[Refusal]]] = {
    "no answer to heartbeats: this client, or the network to it, was silent for too long": NoAnswer,
    "another session has taken the tunnel over: this client runs twice, or its state was copied": TakenOver,
    "this client has requested no tunnel in time": OpenTimeout,
    "too many tunnels in this session": TooManyInSession,
}

#: The codes, and whether the same request may be granted later.
CODES: Final[dict[str, tuple[type[Refusal], bool]]] = {
    "port-not-allowed": (PortNotAllowed, False),
    "port-in-use": (PortInUse, True),
    "permission-denied": (PortForbidden, False),
    "bind-failed": (BindFailed, True),
    "no-free-port": (NoFreePort, True),
    "draining": (ShuttingDown, True),
    "too-many-pending": (TooManyPending, True),
    "too-many-tunnels": (TooManyTunnels, True),
    "too-many-tunnels-from-address": (TooManyTunnelsFromSource, True),
    "claim-timeout": (ClaimTimeout, True),
    "cluster-away": (ClusterAway, True),
    "cluster-recovering": (ClusterRecovering, True),
    "cluster-lost": (ClusterLost, True),
    "too-many-tunnels-of-user": (TooManyTunnelsOfUser, True),
    "access-withdrawn": (AccessWithdrawn, False),
    "rights-expired": (RightsExpired, False),
    "right-withdrawn": (RightWithdrawn, False),
    "kicked": (Kicked, True),
    "source-not-allowed": (SourceNotAllowed, True),
    "certificate-refused": (CertificateRefused, False),
    "needs-tls": (NeedsTls, False),
    "speaks-no-tls": (SpeaksNoTls, False),
    "no-answer": (NoAnswer, True),
    "taken-over": (TakenOver, True),
    "timeout": (OpenTimeout, True),
    "too-many-tunnels-in-session": (TooManyInSession, True),
    "path-not-allowed": (PathNotAllowed, False),
    "kind-not-known": (KindNotKnown, False),
    "visitors-without-address": (VisitorsWithoutAddress, False),
}

#: What a client finds out for itself.
FOUND_OUT: Final = (ClientHasNoSecret, ServerHasNoSecret, UnboundChallenge, ServerNotProven)

#: Sent before the extension is agreed on, or found out by the client: their codes are never read.
WITHOUT_CODE: Final = (
    InvalidSecret,
    SecretMissing,
    UnboundProof,
    UnreadableProof,
    OverlongProof,
    ProofTimeout,
    TooManyGuesses,
    ProxyHeader,
    ProxyHeaderExpected,
    PresumedGone,
    *FOUND_OUT,
)


def refusals(kind: type[Refusal] = Refusal) -> Iterator[type[Refusal]]:
    """All kinds of refusals below this one."""
    for below in kind.__subclasses__():
        yield below
        yield from refusals(below)


class TextTests(SynchronousTestCase):
    """The base protocol knows refusals by their texts."""

    def test_everyTextStandsForItsRefusalAndIsWrittenByIt(self) -> None:
        for text, kind in {**ORIGINALS, **OURS}.items():
            refusal = refusalFor(text)
            self.assertIs(type(refusal), kind)
            self.assertEqual((str(refusal), str(kind())), (text, text))

    def test_everyTextThatAServerWritesFitsAFrame(self) -> None:
        for kind in set(refusals()) - set(FOUND_OUT):
            self.assertLessEqual(len(encode(Error(kind.text))), 257, kind)

    def test_anyOtherTextIsAPlainRefusalThatCarriesIt(self) -> None:
        for text in ("", "no such thing as luck", "Invalid secret", "invalid secret ", "request refused", "zu spät 😀"):
            refusal = refusalFor(text)
            self.assertEqual((type(refusal), str(refusal)), (Refusal, text))
        self.assertEqual(str(Refusal()), "request refused")

    def test_aRefusalMayHaveAnotherText(self) -> None:
        self.assertEqual(str(PortInUse("taken by sshd")), "taken by sshd")
        self.assertEqual(str(PortInUse("")), "")

    def test_whatAClientFindsOutForItselfIsNotTakenFromAServersTexts(self) -> None:
        for own in FOUND_OUT:
            self.assertIs(type(refusalFor(own.text)), Refusal)

    def test_whatIsSentInTheExtensionOnlyHasATextToo(self) -> None:
        for text, kind in EXTENDED.items():
            self.assertEqual(str(kind()), text)
            self.assertIs(type(refusalFor(text)), Refusal)


class CodeTests(SynchronousTestCase):
    """The extension knows refusals by their codes."""

    def test_everyCodeStandsForItsRefusalAndIsWrittenByIt(self) -> None:
        for code, (kind, retry) in CODES.items():
            sent = kind()
            self.assertEqual((sent.code, sent.retry), (code, retry))
            received = refusalForCode(sent.code, str(sent), sent.retry)
            self.assertIs(type(received), kind)
            self.assertEqual((received.code, str(received), received.retry), (code, kind.text, retry))

    def test_everyRefusalHasACodeOfItsOwnOrNeedsNone(self) -> None:
        known = [*(kind for kind, _ in CODES.values()), *WITHOUT_CODE, AuthenticationFailed, BrokenRule]
        self.assertEqual(set(refusals()), set(known))
        for kind in WITHOUT_CODE:
            self.assertIs(type(refusalForCode(kind.code, kind.text, kind.retry)), Refusal)

    @UNHURRIED
    @given(st.text().filter(lambda code: code not in CODES), st.text(), st.booleans())
    def test_anUnknownCodeIsAPlainRefusalThatCarriesIt(self, code: str, text: str, retry: bool) -> None:
        refusal = refusalForCode(code, text, retry)
        self.assertIs(type(refusal), Refusal)
        self.assertEqual((refusal.code, str(refusal), refusal.retry), (code, text, retry))

    @UNHURRIED
    @given(st.sampled_from(sorted(CODES)), st.text(), st.booleans())
    def test_theServersTextAndItsWordOnTryingAgainCount(self, code: str, text: str, retry: bool) -> None:
        refusal = refusalForCode(code, text, retry)
        self.assertEqual((str(refusal), refusal.retry), (text, retry))

    def test_whatOneServerSentDoesNotChangeTheNextRefusal(self) -> None:
        refusalForCode("port-in-use", "for ever", False)
        refusalForCode("strange", "x", False)
        self.assertEqual((PortInUse().retry, Refusal().code, Refusal().retry), (True, "refused", True))

    def test_aBrokenRuleHasTheCodeOfItsCaseAndIsNotTriedAgain(self) -> None:
        for code in ("unknown-message", "malformed-message", "unexpected-message", "frame-too-long"):
            rule = BrokenRule(code, "so it was")
            self.assertEqual((rule.code, str(rule), rule.retry), (code, "so it was", False))


class KindTests(SynchronousTestCase):
    """What is done about an error depends on its kind."""

    def test_everythingWrongIsAWireError(self) -> None:
        for kind in vars(errors).values():
            if isinstance(kind, type) and issubclass(kind, Exception):
                self.assertTrue(issubclass(kind, WireError), kind)

    def test_aRefusalIsSentAndAViolationIsNot(self) -> None:
        for kind in refusals():
            self.assertFalse(issubclass(kind, ProtocolViolation), kind)
        for wrong in (FrameTooLong, MalformedMessage, UnknownMessage, LateChallenge):
            self.assertTrue(issubclass(wrong, ProtocolViolation), wrong)
        self.assertTrue(issubclass(UnknownMessage, MalformedMessage))
        self.assertFalse(issubclass(ServerLeft, ProtocolViolation | Refusal))

    def test_allThatASecretDecidesIsAnAuthenticationFailureAndIsNotTriedAgain(self) -> None:
        failures = {kind for kind in refusals() if issubclass(kind, AuthenticationFailed)} - {AuthenticationFailed}
        self.assertEqual(failures, {InvalidSecret, SecretMissing, UnboundProof, *FOUND_OUT})
        self.assertEqual({kind.retry for kind in failures}, {False})

    def test_whatIsNotUnderstoodIsTriedAgainInTheBaseProtocol(self) -> None:
        for text, kind in ORIGINALS.items():
            mayRetry = kind not in (PortNotAllowed, PortForbidden, InvalidSecret, SecretMissing)
            self.assertIs(refusalFor(text).retry, mayRetry, text)
        self.assertIs(refusalFor("no such thing as luck").retry, True)
