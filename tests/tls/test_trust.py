"""Whom a client trusts: every combination of what it was told, what it knows, and what it is shown."""

from __future__ import annotations

import datetime
import itertools
from typing import Final, cast

from bore.tls.errors import CertificateNotCurrent, ServerKeyChanged, ServerNotTrusted
from bore.tls.knownservers import AUTHORITY
from bore.tls.settings import ClientTls
from bore.tls.tlssocket import TlsSocket
from bore.tls.trust import Trust
from bore.wire.limits import CONTROL_PORT
from tests.certificates import Authority, Identity, selfSigned
from tests.tls.trustcase import HOST, FakeTlsSocket, TrustCase, shown

_HOUR: Final = datetime.timedelta(hours=1)

_authority = Authority()

#: What a server may show, and what OpenSSL says of its chain, by the codes of X509_STORE_CTX_get_error(3).
SHOWN: Final[dict[str, tuple[Identity, list[int]]]] = {
    "self-signed": (selfSigned(HOST), [18]),
    "good": (_authority.issue(HOST), []),
    "wrong name": (_authority.issue("other.example"), []),
    "expired": (_authority.issue(HOST, begins=-2 * _HOUR, ends=-_HOUR), [10]),
    "not valid yet": (_authority.issue(HOST, begins=_HOUR, ends=2 * _HOUR), [9]),
    "expired, wrong name": (_authority.issue("other.example", begins=-2 * _HOUR, ends=-_HOUR), [10]),
    "expired, self-signed": (selfSigned(HOST), [18, 10]),
}

#: Becomes of it: it is accepted; or refused, because of the name or the authority, of the dates alone, or because
#: something has changed.
YES, NO, DATES, CHANGED = None, ServerNotTrusted, CertificateNotCurrent, ServerKeyChanged

#: By what the client was told and what it knows: what becomes of each in SHOWN.
TABLE: Final[dict[tuple[str, str], tuple[type[ServerNotTrusted] | None, ...]]] = {
    # (told, known): self-signed, good, wrong name, expired, not valid yet, expired with a wrong name, or self-signed
    ("nothing", "nothing"): (YES, YES, NO, DATES, DATES, NO, YES),
    ("nothing", "this key"): (YES,) * 7,
    ("nothing", "another key"): (CHANGED,) * 7,
    ("nothing", "authority"): (CHANGED, YES, NO, DATES, DATES, NO, CHANGED),
    **{("this fingerprint", known): (YES,) * 7 for known in ("nothing", "this key", "another key", "authority")},
    **{("another fingerprint", known): (CHANGED,) * 7 for known in ("nothing", "this key", "another key", "authority")},
    **{
        ("ca", known): (NO, YES, NO, DATES, DATES, NO, NO)
        for known in ("nothing", "this key", "another key", "authority")
    },
}

STRANGER: Final = selfSigned().fingerprint


class TableTests(TrustCase):
    """The first connection of a session."""

    def test_everyCombinationIsDecidedAsTheTableHasIt(self) -> None:
        for ((told, known), row), secret in itertools.product(TABLE.items(), (False, True)):
            for (name, (identity, complaints)), expected in zip(SHOWN.items(), row, strict=True):
                with self.subTest(told=told, known=known, secret=secret, shown=name):
                    self.path.unlink(missing_ok=True)
                    keys = {"this key": identity.fingerprint, "another key": STRANGER, "authority": AUTHORITY}
                    if known in keys:
                        self.know(keys[known])
                    fingerprints = {"this fingerprint": identity.fingerprint, "another fingerprint": STRANGER}
                    trust = self.trust(
                        secret,
                        fingerprint=fingerprints.get(told),
                        authorities=(_authority.identity.certificate,) if told == "ca" else None,
                    )
                    before, become = self.written, self._judge(trust, shown(identity, complaints))
                    self.assertIs(become, expected)
                    key = AUTHORITY if name == "good" else identity.fingerprint
                    line = f"{HOST}:7835 {key}\n"
                    new = (told, known) == ("nothing", "nothing") and expected is YES
                    self.assertEqual(self.written, line if new and not secret else before)
                    if expected is YES and secret:
                        trust.proven()
                        self.assertEqual(self.written, line if new else before)

    def _judge(self, trust: Trust, sock: TlsSocket) -> type[Exception] | None:
        try:
            trust.judge(sock)
        except ServerNotTrusted as e:
            self.assertTrue(str(e))
            return type(e)
        return None

    def test_whoeverHasSignedItAServerOfAnUnknownAuthorityIsNewByItsKey(self) -> None:
        identity = Authority("Another").issue(HOST)
        self.trust().judge(shown(identity, [20, 21]))
        self.assertEqual(self.written, f"{HOST}:7835 {identity.fingerprint}\n")

    def test_noCertificateIsNoServer(self) -> None:
        self.assertRaises(ServerNotTrusted, self.trust().judge, cast(TlsSocket, FakeTlsSocket(None, [])))

    def test_whatIsNotProvenIsNotWrittenDown(self) -> None:
        trust = self.trust(secret=True)
        trust.judge(shown(*SHOWN["self-signed"]))
        trust.judge(shown(selfSigned(), [18]))
        self.assertEqual(self.written, "")
        trust.judge(shown(*SHOWN["self-signed"]))
        trust.proven()
        self.assertEqual(self.written, f"{HOST}:7835 {SHOWN['self-signed'][0].fingerprint}\n")

    def test_whetherTheServerIsKnownIsKnown(self) -> None:
        for secret in (False, True):
            self.path.unlink(missing_ok=True)
            trust = self.trust(secret)
            self.assertFalse(trust.known)
            trust.judge(shown(*SHOWN["self-signed"]))
            self.assertEqual(trust.known, not secret)
            if secret:
                trust.proven()
            self.assertTrue(trust.known)
            self.assertRaises(ServerKeyChanged, trust.judge, shown(selfSigned(), [18]))
            self.assertFalse(trust.known)
            trust.judge(shown(*SHOWN["self-signed"]))
            self.assertTrue(trust.known)

    def test_datesAreSaidTogetherWithTheClock(self) -> None:
        for name in ("expired", "not valid yet"):
            error = self.assertRaises(CertificateNotCurrent, self.trust().judge, shown(*SHOWN[name]))
            self.assertIn(name, str(error))
            self.assertRegex(str(error), r"clock is wrong, which says \d{4}-\d\d-\d\d \d\d:\d\d UTC")

    def test_aFileThatCannotBeReliedOnIsNoFirstUse(self) -> None:
        self.path.write_text("damaged\n")
        self.path.chmod(0o600)
        error = self.assertRaises(ServerNotTrusted, self.trust().judge, shown(*SHOWN["self-signed"]))
        self.assertIn(str(self.path), str(error))
        self.assertEqual(self.written, "damaged\n")


class AgainTests(TrustCase):
    """Further connections of the session."""

    def test_theSameCertificateIsGoodWhateverHasBecomeOfTheFile(self) -> None:
        sock = shown(*SHOWN["self-signed"])
        trust = self.trust()
        trust.judge(sock)
        for content in ("", "damaged\n", f"{HOST}:7835 {STRANGER}\n"):
            self.path.write_text(content)
            self.assertTrue(trust.isSame(sock))
            trust.judgeAgain(sock)

    def test_anotherKeyIsRefused(self) -> None:
        for secret, name in itertools.product((False, True), ("self-signed", "good")):
            with self.subTest(secret=secret, first=name):
                self.path.unlink(missing_ok=True)
                trust = self.trust(secret)
                trust.judge(shown(*SHOWN[name]))
                stranger = shown(selfSigned(HOST), [18])
                self.assertFalse(trust.isSame(stranger))
                self.assertRaises(ServerNotTrusted, trust.judgeAgain, stranger)
                trust.proven()
                self.assertRaises(ServerKeyChanged, trust.judgeAgain, stranger)
                self.assertNotIn("SHA256" if name == "good" else AUTHORITY, self.written)

    def test_anotherKeyIsRefusedWhenTheFileIsGone(self) -> None:
        trust = self.trust()
        trust.judge(shown(*SHOWN["self-signed"]))
        self.path.unlink()
        self.assertRaises(ServerNotTrusted, trust.judgeAgain, shown(selfSigned(HOST), [18]))
        self.assertEqual(self.written, "")

    def test_aNewCertificateOfTheSameAuthorityIsGood(self) -> None:
        for authorities in (None, (_authority.identity.certificate,)):
            trust = self.trust(authorities=authorities)
            trust.judge(shown(*SHOWN["good"]))
            trust.judgeAgain(shown(_authority.issue(HOST)))
            self.assertRaises(ServerNotTrusted, trust.judgeAgain, shown(*SHOWN["wrong name"]))
            self.assertRaises(ServerNotTrusted, trust.judgeAgain, shown(*SHOWN["expired"]))

    def test_withAFingerprintOnlyThatKeyIsGood(self) -> None:
        identity = SHOWN["good"][0]
        trust = self.trust(fingerprint=identity.fingerprint)
        trust.judge(shown(identity))
        self.assertRaises(ServerKeyChanged, trust.judgeAgain, shown(_authority.issue(HOST)))

    def test_whereNothingCanBeWrittenTheKeyHoldsForTheRun(self) -> None:
        trust = Trust(HOST, CONTROL_PORT, ClientTls(knownServers=None), False)
        identity = SHOWN["self-signed"][0]
        for _ in range(2):
            trust.judge(shown(identity, [18]))
        error = self.assertRaises(ServerKeyChanged, trust.judge, shown(selfSigned(HOST), [18]))
        self.assertIn("start the client anew", str(error))
        self.assertTrue(any(f"--tls-fingerprint {identity.fingerprint}" in line for line in self.said))


class WordsTests(TrustCase):
    """What is said about it."""

    def test_firstUseIsAWarningWithTheKeyAndKnownIsNone(self) -> None:
        sock, key = shown(*SHOWN["self-signed"]), SHOWN["self-signed"][0].fingerprint
        first = self.trust()
        first.judge(sock)
        first.tell()
        warnings = [line for line in self.said if line.startswith("warn")]
        self.assertEqual(len(warnings), 1)
        self.assertIn(key, warnings[0])
        self.logged.clear()
        again = self.trust()
        again.judge(sock)
        again.tell()
        again.tell()
        self.assertEqual(self.said, [f"info: TLS with {HOST}:7835: key {key}, known"])

    def test_theSecretIsNamed(self) -> None:
        sock, key = shown(*SHOWN["self-signed"]), SHOWN["self-signed"][0].fingerprint
        for _ in range(2):
            self.logged.clear()
            trust = self.trust(secret=True)
            trust.judge(sock)
            self.assertEqual(self.said, [])
            trust.proven()
            trust.tell()
            self.assertTrue(self.said[-1].startswith(f"info: TLS with {HOST}:7835: key {key}, "))
            self.assertTrue(self.said[-1].endswith("verified by secret"))
            self.assertFalse([line for line in self.said if line.startswith("warn")])

    def test_anAuthorityIsNamedBesideTheSecret(self) -> None:
        trust = self.trust(secret=True)
        trust.judge(shown(*SHOWN["good"]))
        trust.proven()
        trust.tell()
        self.assertIn("authority", self.said[-1])
        self.assertIn("verified by secret", self.said[-1])

    def test_aChangeSaysWhatWasExpectedWhatCameAndWhichLinesToRemove(self) -> None:
        self.path.write_text(f"# mine\n{HOST}:7835 {STRANGER}\nother:1 authority\n{HOST}:7835 {STRANGER}\n")
        self.path.chmod(0o600)
        identity, complaints = SHOWN["self-signed"]
        error = str(self.assertRaises(ServerKeyChanged, self.trust().judge, shown(identity, complaints)))
        for words in (f"expected was the key {STRANGER}", f"what came is the key {identity.fingerprint}"):
            self.assertIn(words, error)
        self.assertIn(f"2 and 4 of {self.path}", error)
