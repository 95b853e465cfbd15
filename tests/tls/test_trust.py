"""The trust in one server: verdicts are written down, hold for a session, and are reported."""

from __future__ import annotations

import itertools
from typing import Final, cast

from bore.events.client import ServerNew, ServerNotRemembered, ServerRemembered, ServerTrusted
from bore.tls.errors import ServerKeyChanged, ServerNotTrusted
from bore.tls.settings import ClientTls
from bore.tls.tlssocket import TlsSocket
from bore.tls.trust import Trust
from bore.wire.limits import CONTROL_PORT
from bore.wire.pins import AUTHORITY
from tests.certificates import selfSigned
from tests.tls.test_verdict import PRESENTED, STRANGER, TABLE, authority
from tests.tls.trustcase import HOST, FakeTlsSocket, TrustCase, presenting

KEY: Final = PRESENTED["self-signed"][0].fingerprint
SERVER: Final = f"{HOST}:{CONTROL_PORT}"


class FileTests(TrustCase):
    """The file of known servers: what is written, and when."""

    def test_aNewServerIsWrittenDownAtOnceOrOnceItHasProvedTheSecretAndNothingElseIs(self) -> None:
        for (given, known), secret in itertools.product(TABLE, (False, True)):
            for (name, (identity, chainErrors)), outcome in zip(PRESENTED.items(), TABLE[given, known], strict=True):
                with self.subTest(given=given, known=known, secret=secret, presented=name):
                    self.path.unlink(missing_ok=True)
                    self.knowKey(known, identity.fingerprint)
                    trust = self.trusting(given, identity.fingerprint, secret)
                    before, sock = self.written, presenting(identity, chainErrors)
                    if not isinstance(outcome, str):
                        self.assertRaises(outcome, trust.judge, sock)
                        self.assertEqual(self.written, before)
                        continue
                    verdict = trust.judge(sock)
                    key = {"new key": identity.fingerprint, "new by an authority": AUTHORITY}.get(outcome)
                    after = f"{HOST}:7835 {key}\n" if key else before
                    self.assertEqual(self.written, before if secret else after)
                    self.assertEqual(bool(verdict.new), bool(key) and secret)
                    if secret:
                        verdict = trust.proven(verdict)
                        self.assertEqual(self.written, after)
                        self.assertEqual(verdict.new, "")

    def knowKey(self, known: str, key: str) -> None:
        keys = {"this key": [key], "another key": [STRANGER], "authority": [AUTHORITY]}.get(known, [])
        if known == "authority and this key":
            keys = [AUTHORITY, key]
        if keys:
            self.know(*keys)

    def trusting(self, given: str, key: str, secret: bool) -> Trust:
        return self.trust(
            secret,
            fingerprint={"this fingerprint": key, "another fingerprint": STRANGER}.get(given),
            authorities=(authority.identity.certificate,) if given == "ca" else None,
        )

    def test_aServerWithoutACertificateIsNotTrusted(self) -> None:
        self.assertRaises(ServerNotTrusted, self.trust().judge, cast(TlsSocket, FakeTlsSocket(None, [])))

    def test_aServerWithoutAProofIsNotWrittenDown(self) -> None:
        trust = self.trust(secret=True)
        trust.judge(presenting(*PRESENTED["self-signed"]))
        trust.judge(presenting(selfSigned(), [18]))
        self.assertEqual(self.written, "")
        trust.proven(trust.judge(presenting(*PRESENTED["self-signed"])))
        self.assertEqual(self.written, f"{HOST}:7835 {KEY}\n")

    def test_theLineThatAnotherClientHasWrittenDecides(self) -> None:
        trust = self.trust(secret=True)
        verdict = trust.judge(presenting(*PRESENTED["self-signed"]))
        self.know(KEY)
        self.assertEqual(trust.proven(verdict).new, "")
        self.know(STRANGER)
        error = self.assertRaises(ServerKeyChanged, trust.proven, verdict)
        self.assertIn(STRANGER, str(error))
        self.assertEqual(self.written, f"{HOST}:7835 {STRANGER}\n")

    def test_onlyAServerThatIsNotNewIsKnown(self) -> None:
        for secret in (False, True):
            self.path.unlink(missing_ok=True)
            trust = self.trust(secret)
            verdict = trust.judge(presenting(*PRESENTED["self-signed"]))
            self.assertEqual(verdict.isKnown, not secret)
            self.assertTrue(trust.proven(verdict).isKnown)
            self.assertRaises(ServerKeyChanged, trust.judge, presenting(selfSigned(), [18]))
            self.assertTrue(trust.judge(presenting(*PRESENTED["self-signed"])).isKnown)

    def test_anUnreliableFileDoesNotMakeAServerNew(self) -> None:
        self.path.write_text("damaged\n")
        self.path.chmod(0o600)
        error = self.assertRaises(ServerNotTrusted, self.trust().judge, presenting(*PRESENTED["self-signed"]))
        self.assertIn(str(self.path), str(error))
        self.assertEqual(self.written, "damaged\n")
        for given in ("this fingerprint", "ca"):
            self.trusting(given, PRESENTED["good"][0].fingerprint, False).judge(presenting(*PRESENTED["good"]))

    def test_whereNothingCanBeWrittenTheKeyHoldsForTheRun(self) -> None:
        trust = Trust(HOST, CONTROL_PORT, ClientTls(knownServers=None), False, self.sink)
        for _ in range(2):
            trust.judge(presenting(*PRESENTED["self-signed"]))
        error = self.assertRaises(ServerKeyChanged, trust.judge, presenting(selfSigned(HOST), [18]))
        self.assertIn("restart the client", str(error))
        self.assertIn(ServerNotRemembered(SERVER, KEY, "there is no directory for it"), self.events)
        self.assertEqual([event for event in self.events if isinstance(event, ServerRemembered)], [])


class AgainTests(TrustCase):
    """Further connections of the session."""

    def test_theSameCertificateIsGoodWhateverHasBecomeOfTheFile(self) -> None:
        sock = presenting(*PRESENTED["self-signed"])
        trust = self.trust()
        verdict = trust.judge(sock)
        for content in ("", "damaged\n", f"{HOST}:7835 {STRANGER}\n"):
            self.path.write_text(content)
            self.assertTrue(verdict.accepts(sock))
            self.assertIs(trust.judgeAgain(sock, verdict), verdict)

    def test_anotherKeyIsRefused(self) -> None:
        for secret, name in itertools.product((False, True), ("self-signed", "good")):
            with self.subTest(secret=secret, first=name):
                self.path.unlink(missing_ok=True)
                trust = self.trust(secret)
                verdict = trust.judge(presenting(*PRESENTED[name]))
                stranger = presenting(selfSigned(HOST), [18])
                self.assertFalse(verdict.accepts(stranger))
                self.assertRaises(ServerNotTrusted, trust.judgeAgain, stranger, verdict)
                verdict = trust.proven(verdict)
                self.assertRaises(ServerKeyChanged, trust.judgeAgain, stranger, verdict)
                self.assertNotIn("SHA256" if name == "good" else AUTHORITY, self.written)

    def test_anotherKeyIsRefusedWhenTheFileIsGone(self) -> None:
        trust = self.trust()
        verdict = trust.judge(presenting(*PRESENTED["self-signed"]))
        self.path.unlink()
        self.assertRaises(ServerNotTrusted, trust.judgeAgain, presenting(selfSigned(HOST), [18]), verdict)
        self.assertEqual(self.written, "")

    def test_aNewCertificateOfTheSameAuthorityIsGood(self) -> None:
        for authorities in (None, (authority.identity.certificate,)):
            trust = self.trust(authorities=authorities)
            verdict = trust.judge(presenting(*PRESENTED["good"]))
            renewed = presenting(authority.issue(HOST))
            self.assertTrue(trust.judgeAgain(renewed, verdict).accepts(renewed))
            self.assertRaises(ServerNotTrusted, trust.judgeAgain, presenting(*PRESENTED["wrong name"]), verdict)
            self.assertRaises(ServerNotTrusted, trust.judgeAgain, presenting(*PRESENTED["expired"]), verdict)

    def test_withAFingerprintOnlyThatKeyIsGood(self) -> None:
        identity = PRESENTED["good"][0]
        trust = self.trust(fingerprint=identity.fingerprint)
        verdict = trust.judge(presenting(identity))
        self.assertRaises(ServerKeyChanged, trust.judgeAgain, presenting(authority.issue(HOST)), verdict)


class EventTests(TrustCase):
    """Events."""

    def test_firstUseIsReportedAndAKnownServerIsReportedOnce(self) -> None:
        sock = presenting(*PRESENTED["self-signed"])
        first = self.trust()
        first.report(first.judge(sock))
        new = [ServerNew(SERVER, KEY), ServerRemembered(SERVER, str(self.path))]
        self.assertEqual(self.events, [*new, ServerTrusted(SERVER, KEY, "trusted on first use")])
        self.events.clear()
        again = self.trust()
        for _ in range(2):
            again.report(again.judge(sock))
        self.assertEqual(self.events, [ServerTrusted(SERVER, KEY, "known")])

    def test_withASecretNothingIsReportedBeforeTheProofAndNoFirstUse(self) -> None:
        sock = presenting(*PRESENTED["self-signed"])
        for why in ("new", "known"):
            self.events.clear()
            trust = self.trust(secret=True)
            verdict = trust.judge(sock)
            self.assertEqual(self.events, [])
            trust.report(trust.proven(verdict))
            remembered = [ServerRemembered(SERVER, str(self.path))] if why == "new" else []
            self.assertEqual(self.events, [*remembered, ServerTrusted(SERVER, KEY, f"{why}, and verified by secret")])

    def test_anAuthorityIsNamedBesideTheSecret(self) -> None:
        trust = self.trust(secret=True)
        trust.report(trust.proven(trust.judge(presenting(*PRESENTED["good"]))))
        reason = "signed by a trusted authority, and verified by secret"
        self.assertEqual(self.events, [ServerTrusted(SERVER, PRESENTED["good"][0].fingerprint, reason)])

    def test_aChangeNamesTheLinesToRemove(self) -> None:
        self.path.write_text(f"# mine\n{HOST}:7835 {STRANGER}\nother:1 authority\n{HOST}:7835 {STRANGER}\n")
        self.path.chmod(0o600)
        error = str(self.assertRaises(ServerKeyChanged, self.trust().judge, presenting(*PRESENTED["self-signed"])))
        self.assertIn(f"2 and 4 of {self.path}", error)
