"""The names in a certificate."""

from __future__ import annotations

from bore.tls.errors import ServerNotTrusted
from tests.certificates import Authority
from tests.tls.trustcase import TrustCase, presenting

AUTHORITY = Authority()


class NameTests(TrustCase):
    """A certificate by a trusted authority, for this name or another one."""

    def good(self, host: str, *names: str) -> bool:
        """Whether a certificate for these names is one for this host."""
        trust = self.trust(host=host, authorities=(AUTHORITY.identity.certificate,))
        try:
            trust.judge(presenting(AUTHORITY.issue(*names)))
        except ServerNotTrusted as e:
            self.assertIn(host, str(e))
            return False
        return True

    def test_namesAreComparedAsDnsDoes(self) -> None:
        for host, *names in (
            ("example.com", "example.com"),
            ("EXAMPLE.com", "example.com"),
            ("example.com", "other.example", "Example.Com"),
            ("tunnel.example.com", "*.example.com"),
            ("bücher.example", "xn--bcher-kva.example"),
            ("BÜCHER.example", "xn--bcher-kva.example"),
            ("straße.example", "xn--strae-oqa.example"),
            ("bore_server", "bore_server"),
            ("stack_bore-server.1", "stack_bore-server.1"),
            ("192.0.2.7", "192.0.2.7"),
            ("2001:db8::1", "2001:db8:0:0::1"),
            ("fe80::1%lo", "fe80::1"),
        ):
            self.assertTrue(self.good(host, *names), (host, names))

    def test_otherNamesAreRefused(self) -> None:
        for host, *names in (
            ("example.com",),
            ("example.com", "sub.example.com"),
            ("sub.example.com", "example.com"),
            ("a.b.example.com", "*.example.com"),
            ("example.com", "*.com.example"),
            ("example.com", "192.0.2.7"),
            ("192.0.2.7", "example.com"),
            ("192.0.2.7", "192.0.2.8"),
            ("2001:db8::1", "2001:db8::2"),
        ):
            self.assertFalse(self.good(host, *names), (host, names))

    def test_theHandshakeHasTheNameOfTheServerButNoAddress(self) -> None:
        names = [self.trust(host=host).name for host in ("example.com", "192.0.2.7", "2001:db8::1")]
        self.assertEqual(names, ["example.com", "", ""])
