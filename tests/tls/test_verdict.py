"""When a server is trusted: every combination of what the user has given, what is known, and what is presented."""

from __future__ import annotations

import datetime
import itertools
from dataclasses import replace
from pathlib import Path
from typing import Final

from twisted.trial.unittest import SynchronousTestCase

from bore.tls.errors import CertificateNotCurrent, ServerKeyChanged, ServerNotTrusted
from bore.tls.knownservers import NOTHING, Known, KnownServer
from bore.tls.settings import ClientTls
from bore.tls.verdict import Expected, Presented, Verdict, judge, judgeAgain
from bore.wire.limits import CONTROL_PORT
from bore.wire.pins import AUTHORITY
from tests.certificates import Authority, Identity, selfSigned

HOST: Final = "example.com"

_HOUR: Final = datetime.timedelta(hours=1)

authority: Final = Authority()

#: The certificates that a server may present, with the errors of the chain as codes of X509_STORE_CTX_get_error(3).
PRESENTED: Final[dict[str, tuple[Identity, list[int]]]] = {
    "self-signed": (selfSigned(HOST), [18]),
    "unknown authority": (Authority("Another").issue(HOST), [20, 21]),
    "good": (authority.issue(HOST), []),
    "wrong name": (authority.issue("other.example"), []),
    "expired": (authority.issue(HOST, begins=-2 * _HOUR, ends=-_HOUR), [10]),
    "not valid yet": (authority.issue(HOST, begins=_HOUR, ends=2 * _HOUR), [9]),
    "expired, wrong name": (authority.issue("other.example", begins=-2 * _HOUR, ends=-_HOUR), [10]),
    "expired, self-signed": (selfSigned(HOST), [18, 10]),
}

STRANGER: Final = selfSigned().fingerprint

#: The outcomes: accepted for a reason; or refused, because of the name or the authority, of the dates alone, or because
#: the key has changed. KEY and BY_AUTHORITY are new servers, which are written down.
GIVEN, CA, KNOWN, SIGNED, KEY, BY_AUTHORITY = "given", "ca", "known", "signed", "new key", "new by an authority"
NO, DATES, CHANGED = ServerNotTrusted, CertificateNotCurrent, ServerKeyChanged

_NOT_BY_KNOWN: Final[dict[str, tuple[str | type[ServerNotTrusted], ...]]] = {
    "this fingerprint": (GIVEN,) * 8,
    "another fingerprint": (CHANGED,) * 8,
    "ca": (NO, NO, CA, NO, DATES, DATES, NO, NO),
}

#: For each setting and each known key: the outcomes of all in PRESENTED.
TABLE: Final[dict[tuple[str, str], tuple[str | type[ServerNotTrusted], ...]]] = {
    # self-signed, by an unknown authority, good, wrong name, expired, not valid yet, expired: wrong name, self-signed
    ("nothing", "nothing"): (KEY, KEY, BY_AUTHORITY, NO, DATES, DATES, NO, KEY),
    ("nothing", "this key"): (KNOWN,) * 8,
    ("nothing", "another key"): (CHANGED,) * 8,
    ("nothing", "authority"): (CHANGED, CHANGED, SIGNED, NO, DATES, DATES, NO, CHANGED),
    ("nothing", "authority and this key"): (KNOWN,) * 8,
    **{
        (given, known): row
        for given, row in _NOT_BY_KNOWN.items()
        for known in ("nothing", "this key", "another key", "authority", "authority and this key")
    },
}

#: Why a server is trusted, as the log has it: with a secret, and without one.
WHY: Final = {
    GIVEN: ("as --tls-fingerprint says",) * 2,
    CA: ("signed by an authority of --tls-ca",) * 2,
    KNOWN: ("known",) * 2,
    SIGNED: ("signed by a trusted authority",) * 2,
    KEY: ("new", "trusted on first use"),
    BY_AUTHORITY: ("signed by a trusted authority",) * 2,
}


def presentedAs(name: str) -> Presented:
    identity, chainErrors = PRESENTED[name]
    return Presented(identity.certificate, b"encoded", identity.fingerprint, chainErrors)


def knownAs(name: str, key: str) -> Known:
    keys = {"this key": [key], "another key": [STRANGER], "authority": [AUTHORITY]}.get(name, [])
    if name == "authority and this key":
        keys = [AUTHORITY, key]
    return Known(tuple(KnownServer(each, line) for line, each in enumerate(keys, 1)), Path("known_servers"))


def expecting(given: str = "nothing", key: str = "", secret: bool = False, host: str = HOST) -> Expected:
    fingerprint = {"this fingerprint": key, "another fingerprint": STRANGER}.get(given)
    authorities = (authority.identity.certificate,) if given == "ca" else None
    return Expected(host, CONTROL_PORT, ClientTls(authorities=authorities, fingerprint=fingerprint), secret)


class TableTests(SynchronousTestCase):
    """The control connection, and further connections of a session."""

    def test_everyCombinationIsJudgedAsTheTableSays(self) -> None:
        for ((given, known), row), secret in itertools.product(TABLE.items(), (False, True)):
            for name, outcome in zip(PRESENTED, row, strict=True):
                with self.subTest(given=given, known=known, secret=secret, presented=name):
                    presented = presentedAs(name)
                    expected = expecting(given, presented.key, secret)
                    remembered = knownAs(known, presented.key)
                    if not isinstance(outcome, str):
                        for function in (judge, judgeAgain):
                            error = self.assertRaises(ServerNotTrusted, function, presented, expected, remembered)
                            self.assertIs(type(error), outcome)
                            self.assertTrue(str(error))
                        continue
                    new = {KEY: presented.key, BY_AUTHORITY: AUTHORITY}.get(outcome, "")
                    verdict = Verdict(presented.key, WHY[outcome][not secret], new, b"encoded")
                    self.assertEqual(judge(presented, expected, remembered), verdict)
                    self.assertEqual(verdict.isKnown, outcome != KEY)
                    if new:
                        self.assertRaises(ServerNotTrusted, judgeAgain, presented, expected, remembered)
                    else:
                        self.assertEqual(judgeAgain(presented, expected, remembered), verdict)

    def test_aNameMayEndWithADot(self) -> None:
        expected = expecting(host=HOST + ".")
        self.assertEqual((expected.name, str(expected)), (HOST, f"{HOST}.:{CONTROL_PORT}"))
        self.assertEqual(judge(presentedAs("good"), expected, NOTHING).new, AUTHORITY)

    def test_theTableHasEveryCombination(self) -> None:
        given = {given for given, _ in TABLE}
        known = {known for _, known in TABLE}
        self.assertEqual(set(TABLE), set(itertools.product(given, known)))


class ErrorTests(SynchronousTestCase):
    """The texts of errors."""

    def error(self, name: str, known: Known = NOTHING, given: str = "nothing") -> str:
        return str(self.assertRaises(ServerNotTrusted, judge, presentedAs(name), expecting(given), known))

    def test_errorsOfDatesHaveTheTimeOfTheClock(self) -> None:
        for name in ("expired", "not valid yet"):
            error = self.error(name)
            self.assertIn(name, error)
            self.assertRegex(error, r"clock of this machine, which reads \d{4}-\d\d-\d\d \d\d:\d\d UTC")

    def test_aChangeNamesBothKeysAndTheLinesToRemove(self) -> None:
        path = Path("/somewhere/known_servers")
        error = self.error("self-signed", Known((KnownServer(STRANGER, 2), KnownServer(STRANGER, 4)), path))
        key = PRESENTED["self-signed"][0].fingerprint
        self.assertIn(f"the key of {HOST}:{CONTROL_PORT} has changed", error)
        self.assertIn(f"expected the key {STRANGER}, received the key {key}", error)
        self.assertIn(f"remove line 2 and 4 of {path}", error)
        self.assertIn("restart the client", self.error("self-signed", Known((KnownServer(STRANGER, 0),))))
        self.assertIn("a certificate by a trusted authority", self.error("self-signed", knownAs("authority", "")))

    def test_errorsOfOpenSSLHaveTexts(self) -> None:
        self.assertIn("signed by an authority that is not trusted", self.error("unknown authority", given="ca"))
        self.assertIn("self-signed", self.error("self-signed", given="ca"))
        presented = replace(presentedAs("good"), chainErrors=[26])
        self.assertIn("not made for servers", str(self.assertRaises(NO, judge, presented, expecting(), NOTHING)))
        presented = replace(presentedAs("good"), chainErrors=[79])
        self.assertIn("(error 79)", str(self.assertRaises(NO, judge, presented, expecting(), NOTHING)))


class VerdictTests(SynchronousTestCase):
    """Operations on a verdict."""

    def test_theSecretIsNamedOnce(self) -> None:
        verdict = Verdict("key", "known", "", b"").verifiedBySecret()
        self.assertEqual(verdict.why, "known, and verified by secret")
        self.assertEqual(verdict.verifiedBySecret(), verdict)
