"""Servers with certificates that break the rules: each gets a verdict."""

from __future__ import annotations

import warnings
from typing import cast

from cryptography import x509
from hypothesis import given, settings
from hypothesis import strategies as st
from OpenSSL import crypto

from bore.tls.errors import ServerNotTrusted
from bore.tls.tlssocket import TlsSocket
from bore.tls.trust import Trust
from tests.certificates import Authority, selfSigned
from tests.effort import examples
from tests.oddcertificates import ODD, changed, readByOpenSSL, signed
from tests.tls.trustcase import HOST, TrustCase


class OddTlsSocket:
    """The part of a TLS socket that is judged, with a certificate of OpenSSL."""

    def __init__(self, certificate: crypto.X509, chainErrors: list[int]) -> None:
        self._certificate = certificate
        self.chainErrors = chainErrors

    @property
    def certificate(self) -> x509.Certificate:
        return self._certificate.to_cryptography()

    @property
    def certificateBytes(self) -> bytes:
        return crypto.dump_certificate(crypto.FILETYPE_ASN1, self._certificate)


class OddTests(TrustCase):
    """The verdict of the client."""

    def judge(self, trust: Trust, data: bytes, chainErrors: list[int]) -> str:
        """Why the server is not trusted; empty: it is."""
        try:
            certificate = readByOpenSSL(data)
        except crypto.Error:
            return "OpenSSL does not read it"
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                trust.judge(cast(TlsSocket, OddTlsSocket(certificate, chainErrors)))
        except ServerNotTrusted as e:
            return str(e)
        return ""

    def trusts(self) -> dict[str, Trust]:
        authority = (Authority().identity.certificate,)
        return {
            "ca": self.trust(authorities=authority),
            "fingerprint": self.trust(fingerprint="SHA256:" + "A" * 43),
            "new": self.trust(secret=True),
        }

    def test_eachKindIsJudged(self) -> None:
        identity = selfSigned(HOST)
        for name, change in ODD.items():
            data = changed(identity, change)
            for setting, trust in self.trusts().items():
                for chainErrors in ([], [18], [20]):
                    why = self.judge(trust, data, chainErrors)
                    with self.subTest(kind=name, setting=setting, chainErrors=chainErrors):
                        if setting == "fingerprint" or (chainErrors and setting == "ca"):
                            self.assertNotEqual(why, "")
                        for words in ("OpenSSL", "X509", "extension"):
                            self.assertNotIn(words, why)

    def test_anUnreadableCertificateIsRefusedWhateverIsKnown(self) -> None:
        identity = selfSigned(HOST)
        data = changed(identity, ODD["version 6"])
        for known in ("authority", identity.fingerprint):
            self.know(known)
            why = self.judge(self.trust(), data, [18])
            self.assertEqual(why, "the server's certificate breaks the rules for certificates (RFC 5280)")
        self.assertEqual(
            self.judge(self.trust(), changed(identity, ODD["an unknown key"]), [18]),
            "the server's certificate has a key of an unknown kind",
        )

    def test_aKnownKeyWithANegativeSerialNumberIsAcceptedWithoutAWarning(self) -> None:
        identity = selfSigned(HOST)
        self.know(identity.fingerprint)
        self.assertEqual(self.judge(self.trust(), changed(identity, ODD["negative serial"]), [18]), "")

    @settings(max_examples=examples(100), deadline=None)
    @given(st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), min_size=1, max_size=4))
    def test_anyChangeGetsAVerdict(self, changes: list[tuple[int, int]]) -> None:
        identity = _IDENTITY
        tbs = bytearray(identity.certificate.tbs_certificate_bytes)
        for at, byte in changes:
            tbs[at % len(tbs)] = byte
        for trust in self.trusts().values():
            self.judge(trust, signed(bytes(tbs), identity.key), [])


_IDENTITY = selfSigned(HOST, "192.0.2.1")
