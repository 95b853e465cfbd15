"""What the lines of ``bore user`` have of a server's certificate."""

from __future__ import annotations

from bore.options.invitation import parseInvitation
from tests.certificates import Authority
from tests.entrypoints.usercase import ADDRESS, UserCase


class CertificateTests(UserCase):
    """A server with a certificate in a file."""

    def test_theSettingsOfTheServerAreHeeded(self) -> None:
        identity = Authority().issue("tunnel.example.com")
        certificate, key = identity.write(self.home, "own")
        config = self.home / "server.toml"
        for settings, port in (("tls = true", 7835), ("tls-port = 7836", 7836), ("tls = true\ncontrol-port = 9", 9)):
            config.write_text(f'{settings}\ntls-cert = "{certificate}"\ntls-key = "{key}"\n')
            self.path.unlink(missing_ok=True)
            made = self.line("add", "alice", "--config", str(config), *ADDRESS)
            self.assertEqual((made.port, made.pins), (port, (identity.fingerprint,)))
        other = Authority().issue("tunnel.example.com")
        words = ("--tls-cert", other.write(self.home, "other")[0])
        self.assertEqual(self.line("add", "bob", "--config", str(config), *words, *ADDRESS).pins, (other.fingerprint,))
        config.write_text("lease = 0\n")
        self.assertCannot("add tls = true to its settings file", "add", "carol", "--config", str(config), *ADDRESS)

    def test_theCertificateOfAServerWithoutASettingsFileIsGiven(self) -> None:
        identity = Authority().issue("tunnel.example.com")
        certificate, _ = identity.write(self.home, "own")
        words = ("--tls-cert", str(certificate))
        printed = self.run_("add", "alice", *words, *ADDRESS)
        self.assertEqual(parseInvitation(printed.lines[0]).pins, (identity.fingerprint,))
        started = f"bore server --tls --tls-cert {certificate} --tls-key FILE --users {self.path}"
        self.assertEqual(printed.after, [f"The server has to run with this file: {started}"])
        self.assertEqual(self.line("rotate", "alice", *words).pins, (identity.fingerprint,))
        self.assertFalse((self.home / "txbore" / "tls.pem").exists())
        self.assertCannot("missing.pem", "add", "bob", "--tls-cert", str(self.home / "missing.pem"), *ADDRESS)
