"""What would be right where a client has no tunnel yet: every kind of failure, before the first success and after."""

from __future__ import annotations

import errno
import os
from typing import Final

from twisted.internet import defer, error
from twisted.trial.unittest import SynchronousTestCase

from bore import exits
from bore.client.advice import NO_ADVICE, Tried, adviceOn
from bore.client.reasons import (
    ExtensionNeeded,
    RequestUnanswered,
    ServerNotReading,
    ServerSilent,
    ServerUnreachable,
    describe,
)
from bore.client.settings import ServerAddress
from bore.streams.encryption import NotTls, OtherTls, TlsError
from bore.streams.resolver import LookupFailed
from bore.tls.errors import CertificateNotCurrent, ServerKeyChanged, ServerNotTrusted
from bore.wire import refusals
from bore.wire.errors import (
    AuthenticationFailed,
    ClientHasNoSecret,
    FrameTooLong,
    InvalidSecret,
    LateChallenge,
    NeedsTls,
    NoFreePort,
    OtherProtocol,
    PortForbidden,
    PortInUse,
    PortNotAllowed,
    Refusal,
    ServerLeft,
    SourceNotAllowed,
    TooManyTunnels,
    TooManyTunnelsFromSource,
    TooManyTunnelsOfUser,
)
from tests.client.case import ControlCase

HOST: Final = "tunnel.example.com"
USUAL: Final = Tried(ServerAddress(HOST), encrypted=False, public=80)
OTHER: Final = Tried(ServerAddress(HOST, 7001), encrypted=True, public=0)

_USUAL_PORT: Final = "check the port, as the server may have another one than 7835"
_OTHER_PORT: Final = "check the port, which is 7835 unless the server has another one"
_NETWORK: Final = "check the network of this machine"
_NO_PLAIN: Final = "start the server with --tls, or try --to {} without tls://, which encrypts nothing"
_OVERLOADED: Final = "the server may be overloaded, or another program may listen there: "
_TRUST: Final = (
    "if it is the right server, give --tls-fingerprint as it prints it at startup, or --tls-ca with its authority"
)


def numbered(number: int) -> OSError:
    return OSError(number, os.strerror(number))


#: A failure, what was tried, what the user can do about it, and whether waiting may mend it.
TABLE: Final[tuple[tuple[BaseException | None, Tried, str, bool], ...]] = (
    (numbered(errno.ECONNREFUSED), USUAL, f"no program listens there: start 'bore server', or {_USUAL_PORT}", True),
    (error.ConnectionRefusedError(), OTHER, f"no program listens there: start 'bore server', or {_OTHER_PORT}", True),
    (
        numbered(errno.ETIMEDOUT),
        USUAL,
        "no answer within 10 s: the address is wrong, or a firewall blocks port 7835",
        True,
    ),
    (error.TimeoutError(), OTHER, "no answer within 10 s: the address is wrong, or a firewall blocks port 7001", True),
    (
        defer.TimeoutError(),
        USUAL,
        "no answer within 10 s: the address is wrong, or a firewall blocks port 7835",
        True,
    ),
    (LookupFailed("the name x does not exist", temporary=False), USUAL, "check the name in --to", False),
    (
        LookupFailed("the name x cannot be looked up"),
        USUAL,
        "check the network of this machine, and its name servers (/etc/resolv.conf)",
        True,
    ),
    (numbered(errno.ENETUNREACH), USUAL, _NETWORK, True),
    (numbered(errno.EHOSTUNREACH), USUAL, _NETWORK, True),
    (numbered(errno.ENETDOWN), USUAL, _NETWORK, True),
    (error.NoRouteError(), USUAL, _NETWORK, True),
    (error.ConnectError(errno.EHOSTUNREACH, "x"), USUAL, _NETWORK, True),
    (
        error.ConnectionDone(),
        USUAL,
        f"a proxy whose server is down may be there, or another program: {_USUAL_PORT}",
        True,
    ),
    (
        error.ConnectionLost(),
        OTHER,
        f"a proxy whose server is down may be there, or another program: {_OTHER_PORT}",
        True,
    ),
    (ServerSilent("no sign of life for 8 s"), USUAL, _OVERLOADED + _USUAL_PORT, True),
    (RequestUnanswered("it has not answered the request for 30 s"), USUAL, "", True),
    (ServerNotReading(), OTHER, _OVERLOADED + _OTHER_PORT, True),
    (NotTls(errno.EPROTO, "it does not speak TLS"), OTHER, f"{_NO_PLAIN.format(f'{HOST}:7001')}; {_OTHER_PORT}", False),
    (NotTls(errno.ECONNRESET, "it closed"), USUAL, _NO_PLAIN.format(f"{HOST}:7835"), False),
    (OtherTls(errno.EPROTO, "bore/1"), OTHER, f"another program answers there: {_OTHER_PORT}", False),
    (
        TlsError(errno.ETIMEDOUT, "it does not answer in the TLS handshake"),
        USUAL,
        f"it accepts connections, so another program may listen there: {_USUAL_PORT}",
        True,
    ),
    (
        TlsError(errno.EPROTO, "it requires a certificate of the client: give --tls-cert and --tls-key"),
        OTHER,
        "",
        False,
    ),
    (OtherProtocol("an SSH server"), USUAL, _USUAL_PORT, False),
    (FrameTooLong("more than 256 bytes"), USUAL, f"another program may answer there: {_USUAL_PORT}", False),
    (LateChallenge("late"), USUAL, "", True),
    (ServerLeft("it said goodbye"), USUAL, "", True),
    (ServerNotTrusted("signed by an authority that is not trusted"), OTHER, _TRUST, False),
    (ServerKeyChanged("another key"), OTHER, "", False),
    (CertificateNotCurrent("expired: renew it, or set the clock"), OTHER, "", True),
    (NeedsTls(), USUAL, f"give --to tls://{HOST}:7835", False),
    (PortNotAllowed.outside(80, 20000, 20999), USUAL, "", False),
    (
        PortNotAllowed(),
        USUAL,
        "port 80 is outside this server's range, which it does not send: omit --port, and it chooses one",
        False,
    ),
    (
        PortNotAllowed("port 80 is not among the ports that you may have: 20010-20012"),
        USUAL,
        "give another --port, or omit it",
        False,
    ),
    (PortForbidden(), USUAL, "the server may not listen there: give a --port from 1024 on, or omit it", False),
    (PortInUse.on(80), USUAL, "another client or program has it: give another --port, or omit it", True),
    (
        NoFreePort(),
        USUAL,
        "all ports that the server has tried are in use: its --min-port and --max-port may be too narrow",
        True,
    ),
    (TooManyTunnels("too many tunnels: this server allows 1 (its option --max-tunnels)"), USUAL, "", True),
    (TooManyTunnels(), USUAL, "the server has as many tunnels as its --max-tunnels allows", True),
    (
        TooManyTunnelsFromSource(),
        USUAL,
        "stop another client of yours, or have --max-tunnels-per-source raised at the server",
        True,
    ),
    (
        TooManyTunnelsOfUser(),
        USUAL,
        "stop another client of this user, or have its max-tunnels raised at the server",
        True,
    ),
    (SourceNotAllowed(), USUAL, "ask the operator of the server to add it to 'from' of this user", True),
    (Refusal("some text of a later server"), USUAL, "", True),
    (ExtensionNeeded("--proxy-protocol", "send addresses"), USUAL, "", False),
    (InvalidSecret(), USUAL, "", False),
    (ClientHasNoSecret(), USUAL, "", False),
    (ZeroDivisionError(), USUAL, "", True),
    (None, USUAL, "", True),
)


class AdviceTests(SynchronousTestCase):
    """The table."""

    def test_eachFailureHasItsAdviceBeforeTheFirstSuccessAndNoneBehindIt(self) -> None:
        for why, tried, text, mends in TABLE:
            with self.subTest(why=repr(why)):
                self.assertEqual(adviceOn(why, tried, wasUp=False), (text, mends))
                self.assertEqual(adviceOn(why, tried, wasUp=True), NO_ADVICE)

    def test_waitingMendsARefusalThatTheServerMayWithdraw(self) -> None:
        for kind in (*refusals.BY_TEXT.values(), *refusals.BY_CODE.values()):
            if not issubclass(kind, AuthenticationFailed):
                self.assertEqual(adviceOn(kind(), USUAL, wasUp=False).mends, kind.retry, kind)


#: What ends a client with --fail-fast, and its exit code; the others are retried.
HOPELESS: Final[tuple[tuple[Exception, int], ...]] = (
    (PortNotAllowed.outside(80, 20000, 20999), exits.FAILURE),
    (NeedsTls(), exits.FAILURE),
    (OtherProtocol("an SSH server"), exits.FAILURE),
    (NotTls(errno.EPROTO, "it does not speak TLS"), exits.UNAVAILABLE),
    (OtherTls(errno.EPROTO, "it does not accept bore/1"), exits.UNAVAILABLE),
    (LookupFailed("the name x does not exist", temporary=False), exits.UNAVAILABLE),
    (ServerNotTrusted("another name"), exits.NOT_TRUSTED),
    (InvalidSecret(), exits.NO_PERMISSION),
)

RETRIED: Final = (
    numbered(errno.ECONNREFUSED),
    TimeoutError(),
    LookupFailed("the name x cannot be looked up"),
    PortInUse(),
    TooManyTunnels(),
    CertificateNotCurrent("expired"),
)


class FailFastTests(ControlCase):
    """--fail-fast."""

    def test_aFailureThatWaitingCannotMendIsFinalAndItsTextSaysWhatWouldBeRight(self) -> None:
        for why, code in HOPELESS:
            with self.subTest(why=repr(why)):
                self.make(failFast=True)
                self.failToConnect(why)
                error = self.gaveUp()
                self.assertEqual(exits.codeFor(error), code)
                self.assertIn(describe(why), describe(error))
                self.assertIn(adviceOn(why, self.servers.tried(0), wasUp=False).text, describe(error))

    def test_soItIsAtALaterAttempt(self) -> None:
        self.make(failFast=True)
        self.refuseConnection()
        self.delayToNextAttempt()
        self.failToConnect(NeedsTls())
        self.assertIsInstance(self.gaveUp(), NeedsTls)

    def test_whatWaitingMayMendIsTriedAgain(self) -> None:
        for why in RETRIED:
            self.make(failFast=True)
            self.failToConnect(why)
            self.assertIsNone(self.gaveUp(), repr(why))

    def test_withoutItAllButErrorsOfAuthenticationAreTriedAgain(self) -> None:
        for why, _ in HOPELESS:
            if not isinstance(why, AuthenticationFailed | ServerNotTrusted):
                self.make()
                self.failToConnect(why)
                self.assertIsNone(self.gaveUp(), repr(why))
                self.assertIn("a retry is unlikely to help", self.logged[0])

    def test_afterASuccessItHasNoEffectAndThereIsNoAdvice(self) -> None:
        self.make(failFast=True)
        self.link.firstPort  # noqa: B018 - chooses the first tunnel
        self.link.foundBase()
        self.link.opened(1, 20001, None)
        self.lose(self.connect()[0])
        self.delayToNextAttempt()
        self._events.clear()
        self.failToConnect(NotTls(errno.EPROTO, "it does not speak TLS"))
        self.assertIsNone(self.gaveUp())
        self.assertEqual(self.logged[0], "cannot reach example.com:7835: it does not speak TLS")

    def test_ofSeveralServersTheOneThatWaitingCannotMendIsNotTriedAgain(self) -> None:
        self.make("a", "b", failFast=True)
        self.failToConnect(NeedsTls())
        self.delayToNextAttempt()
        for _ in range(3):
            self.assertEqual(str(self.servers.current.address), "b:7835")
            self.refuseConnection()
            self.delayToNextAttempt()
        self.failToConnect(OtherProtocol("an HTTP server"))
        self.assertIsInstance(self.gaveUp(), OtherProtocol)

    def test_withoutReconnectingTheReasonHasTheAdvice(self) -> None:
        self.make(reconnect=False)
        self.refuseConnection()
        error = self.gaveUp()
        self.assertIsInstance(error, ServerUnreachable)
        self.assertIn("no program listens there: start 'bore server'", describe(error))


class SuggestionTests(ControlCase):
    """bore doctor is suggested."""

    def test_afterThreeFailuresInARowWithoutASuccessOnce(self) -> None:
        for count in range(1, 6):
            self.refuseConnection()
            self.assertEqual(sum("bore doctor" in line for line in self.logged), count >= 3)
            self.delayToNextAttempt()

    def test_notAfterASuccess(self) -> None:
        self.link.firstPort  # noqa: B018 - chooses the first tunnel
        self.link.foundBase()
        self.link.opened(1, 20001, None)
        self.lose(self.connect()[0])
        for _ in range(5):
            self.delayToNextAttempt()
            self.refuseConnection()
        self.assertFalse(any("bore doctor" in line for line in self.logged))
