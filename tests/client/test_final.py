"""What ends a client, and what is tried again: every kind of failure, at the first attempt and later."""

from __future__ import annotations

import itertools
from typing import Any, Final, cast

from twisted.internet.error import ConnectionRefusedError
from twisted.python.failure import Failure

from bore import exits
from bore.client.reasons import (
    CheckFailed,
    ExtensionNeeded,
    ServerSilent,
    ServerUnreachable,
)
from bore.streams.encryption import TlsError
from bore.streams.resolver import LookupFailed
from bore.tls.errors import CertificateNotCurrent, ServerKeyChanged, ServerNotTrusted
from bore.tls.settings import ClientTls
from bore.wire.errors import (
    ClientHasNoSecret,
    InvalidSecret,
    NoAnswer,
    PortInUse,
    PortNotAllowed,
    SecretMissing,
    ServerHasNoSecret,
    ServerLeft,
    ServerNotProven,
    ShuttingDown,
    UnboundChallenge,
    UnboundProof,
)
from bore.wire.sessionevents import BASE_TUNNEL
from tests.certificates import selfSigned
from tests.client.case import ControlCase
from tests.tls.trustcase import presenting

#: When it happens: at the very first attempt; at a later one, and there was no tunnel yet; or there was one.
FIRST, LATER, UP = "first", "later", "up"

#: The peer: unknown, as there is no TLS; with TLS, the known server; or a new one.
PLAIN, KNOWN, NEW = "plain", "known", "new"

MOMENTS, PEERS = (FIRST, LATER, UP), (PLAIN, KNOWN, NEW)

ALWAYS: Final = set(itertools.product(MOMENTS, PEERS))
NEVER: Final[set[tuple[str, str]]] = set()
#: A proof of the secret was refused, or not given: an error that ends the client, except for one whose tunnel was up,
#: if the peer inside TLS is a new one.
BY_WHOM_IT_CONCERNS: Final = ALWAYS - {(UP, NEW)}
AT_FIRST: Final = {(FIRST, peer) for peer in PEERS}
BEFORE_A_TUNNEL: Final = {(moment, peer) for moment, peer in ALWAYS if moment != UP}

#: When each failure is final, and the exit code that tells of it.
TABLE: Final[tuple[tuple[Exception, set[tuple[str, str]], int], ...]] = (
    (InvalidSecret(), BY_WHOM_IT_CONCERNS, exits.NO_PERMISSION),
    (SecretMissing(), BY_WHOM_IT_CONCERNS, exits.NO_PERMISSION),
    (ClientHasNoSecret(), BY_WHOM_IT_CONCERNS, exits.NO_PERMISSION),
    (ServerHasNoSecret(), BY_WHOM_IT_CONCERNS, exits.NO_PERMISSION),
    (UnboundProof(), BY_WHOM_IT_CONCERNS, exits.NO_PERMISSION),
    (UnboundChallenge(), BY_WHOM_IT_CONCERNS, exits.NO_PERMISSION),
    (ServerNotProven(), BY_WHOM_IT_CONCERNS, exits.NO_PERMISSION),
    (ServerKeyChanged("another key"), AT_FIRST, exits.NOT_TRUSTED),
    (ServerNotTrusted("another name"), AT_FIRST, exits.NOT_TRUSTED),
    (CertificateNotCurrent("not valid yet"), NEVER, exits.NOT_TRUSTED),
    (ExtensionNeeded("--proxy-protocol", "send addresses"), BEFORE_A_TUNNEL, exits.FAILURE),
    (ConnectionRefusedError(), NEVER, exits.FAILURE),
    (LookupFailed("no such name"), NEVER, exits.FAILURE),
    (TlsError(71, "it does not speak TLS"), NEVER, exits.FAILURE),
    (ServerSilent("silent"), NEVER, exits.FAILURE),
    (ServerLeft(), NEVER, exits.FAILURE),
    (CheckFailed("no visitor came through"), NEVER, exits.FAILURE),
    (ShuttingDown(), NEVER, exits.FAILURE),
    (PortInUse(), NEVER, exits.FAILURE),
    (PortNotAllowed(), NEVER, exits.FAILURE),
    (NoAnswer(), NEVER, exits.FAILURE),
)

#: Failures that are logged at level error, and followed by the longest delay, when they are not final.
LOUD: Final = (
    InvalidSecret,
    SecretMissing,
    ClientHasNoSecret,
    ServerHasNoSecret,
    UnboundProof,
    UnboundChallenge,
    ServerNotProven,
    ServerNotTrusted,
    ExtensionNeeded,
)


class FinalCase(ControlCase):
    """A client at some moment, with some peer."""

    def meet(self, moment: str, peer: str, *hosts: str, **settings: Any) -> None:
        """A client at that moment, with that peer."""
        if peer != PLAIN:
            settings["tls"] = ClientTls()
            self.provesSecret = True  # a server that is new is not trusted before its proof
        self.make(*hosts, **settings)
        if peer != PLAIN:
            self.shakeHands()
            if peer == KNOWN:
                self.link.proven()
        if moment == LATER:
            self.refuseConnection()
            self.delayToNextAttempt()
        elif moment == UP:
            self.open()
            self.reactor.advance(100)
            self.refuseSession()
            self.delayToNextAttempt()
        self._events.clear()

    def open(self) -> None:
        """There is a session with a tunnel."""
        self.assertEqual(self.link.firstPort in (0, 20001), True)
        self.link.foundBase()
        self.link.opened(BASE_TUNNEL, 20001, None)

    def refuseSession(self) -> None:
        """The session is lost, as the server does not run any more."""
        self.factory.clientConnectionLost(cast(Any, self.connector), Failure(ConnectionRefusedError()))

    def shakeHands(self) -> None:
        """The current server shows a certificate."""
        server = self.servers.current
        server.judged(server.trust().judge(presenting(selfSigned(), [18])))


class FinalTests(FinalCase):
    """A table of what is final."""

    def test_eachKindOfFailureIsFinalWhenItShouldBeAndOnlyThen(self) -> None:
        for (why, final, code), moment, peer in itertools.product(TABLE, MOMENTS, PEERS):
            with self.subTest(why=type(why).__name__, moment=moment, peer=peer):
                self.meet(moment, peer)
                self.failToConnect(why)
                if (moment, peer) in final:
                    error = self.gaveUp()
                    self.assertIs(error, why)
                    self.assertEqual(exits.codeFor(error), code)
                    continue
                self.assertIsNone(self.gaveUp())
                loud = isinstance(why, LOUD)
                levels = {event["log_level"].name for event in self._events} - {"info"}
                self.assertEqual(levels, {"error" if loud else "warn"})
                delay = self.delayToNextAttempt()
                if isinstance(why, LOUD) and not isinstance(why, CertificateNotCurrent):
                    self.assertGreater(delay, 31)
                elif isinstance(why, CertificateNotCurrent):
                    self.assertLess(delay, 4.2)

    def test_whatIsNotFinalCountsForExitAfterFailures(self) -> None:
        for why in (CertificateNotCurrent("not valid yet"), ServerKeyChanged("another key"), InvalidSecret()):
            self.meet(UP, NEW, exitAfterFailures=3)
            for _ in range(2):
                self.failToConnect(why)
                self.delayToNextAttempt()
            self.failToConnect(why)
            error = self.gaveUp()
            self.assertIsInstance(error, ServerUnreachable)
            self.assertEqual(exits.codeFor(error), exits.UNAVAILABLE)

    def test_aTunnelThatComesBackHasTheUsualDelaysAgain(self) -> None:
        self.meet(UP, NEW)
        self.failToConnect(ServerKeyChanged("another key"))
        self.delayToNextAttempt()
        self.open()
        self.refuseSession()
        self.assertLess(self.delayToNextAttempt(), 1.2)


class SeveralServersTests(FinalCase):
    """Each of them can end on its own."""

    def test_oneThatHasRefusedTheSecretIsNeverTriedAgain(self) -> None:
        self.meet(FIRST, PLAIN, "a", "b")
        self.failToConnect(InvalidSecret())
        self.assertIn("no tunnel from a:7835", self.logged[0].replace("cannot reach", "no tunnel from"))
        self.assertIn("it is not tried again", self.logged[0])
        self.assertLess(self.delayToNextAttempt(), 1.2)
        for _ in range(3):
            self.assertEqual(str(self.servers.current.address), "b:7835")
            self.open()
            self.refuseSession()
            self.delayToNextAttempt()
        self.failToConnect(InvalidSecret())
        self.assertIsInstance(self.gaveUp(), InvalidSecret)

    def test_oneThatWasNotTheRightOneAtFirstIsTriedAgainAfterATunnelAtAnother(self) -> None:
        self.meet(FIRST, KNOWN, "a", "b")
        self.failToConnect(ServerKeyChanged("another key"))
        self.delayToNextAttempt()
        self.shakeHands()
        self.open()
        self.refuseSession()
        self.assertEqual(str(self.servers.current.address), "a:7835")
        self.assertIsNone(self.gaveUp())
