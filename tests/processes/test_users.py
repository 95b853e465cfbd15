"""Users of a server, as people meet them."""

from __future__ import annotations

import hashlib
import signal

from tests.certificates import Authority
from tests.processes.tlscase import TlsCase
from tests.promptness import within
from tests.support import Program, isClosed


class UsersCase(TlsCase):
    """A server with a users file."""

    def setUp(self) -> None:
        super().setUp()
        self.users = self.home / "users.toml"
        self.users.touch(0o600)

    def key(self, name: str) -> str:
        return f'"sha256:{hashlib.sha256(self.secretOf(name).encode()).hexdigest()}"'

    def secretOf(self, name: str) -> str:
        return f"the own secret of {name}"

    def write(self, text: str) -> None:
        """Replace the file."""
        new = self.users.with_suffix(".new")
        new.touch(0o600)
        new.write_text(text)
        new.replace(self.users)


class OriginalTests(UsersCase):
    """Users without TLS."""

    def setUp(self) -> None:
        super().setUp()
        self.write(f"[alice]\nkey = {self.key('alice')}\noriginal = true\n[bob]\nkey = {self.key('bob')}\n")
        self.bore, self.control = self.server("--users", str(self.users))

    def clientOf(self, name: str, *words: str) -> tuple[Program, int]:
        return self.client(self.control, "--no-state", "--secret", self.secretOf(name), *words)

    def test_aUserIsOutWithinTwoSeconds(self) -> None:
        _, port = self.clientOf("alice")
        visitor = self.visitor(port)
        self.assertEchoes(visitor)
        self.write(f"[bob]\nkey = {self.key('bob')}\n")
        with within(2):
            self.assertTrue(isClosed(visitor))
        self.assertFree(port)
        self.bore.waitFor("user alice: removed")

    def test_aServerThatNobodyCanReachSaysSo(self) -> None:
        self.write(f"[bob]\nkey = {self.key('bob')}\n")
        bore, _ = self.server("--users", str(self.users))
        bore.waitFor("no user can connect: users need TLS")

    def test_aFileWithMistakesChangesNothing(self) -> None:
        _, port = self.clientOf("alice")
        self.write("[alice]\nprots = 1\n")
        self.bore.waitFor("alice.prots: unknown key; did you mean 'ports'?")
        self.bore.waitFor("has mistakes: the settings stay as they are")
        self.assertServes(port)
        self.bore.process.send_signal(signal.SIGHUP)
        self.bore.waitFor("has mistakes: the settings stay as they are", after=1)
        self.assertServes(port)


class CertificateTests(UsersCase):
    """The certificate of a client has the name of its user."""

    def test_theUserNeedsNoSecretAndHasItsRights(self) -> None:
        authority = Authority("Office")
        clients = self.home / "clients.crt"
        clients.write_bytes(authority.identity.pem)
        self.write('[carl]\nkey = "certificate"\nmax-tunnels = 1\n')
        bore, control = self.tlsServer("--tls-client-ca", str(clients), "--users", str(self.users))
        own = authority.issue("carl", forClients=True).options(self.home, "carl")
        client, port = self.tlsClient(control, "--no-state", *own)
        self.assertServes(port)
        bore.waitFor("opened for carl at")
        self.write("")
        client.waitFor("this user or its secret is not valid any more")
        self.assertFree(port)
        self.assertNoTraceback(bore, client)


class SharedSecretTests(UsersCase):
    """A secret that is replaced in the file of a server."""

    def test_theFileIsReadAgainOnRequest(self) -> None:
        file = self.home / "secrets"
        file.touch(0o600)
        former, new = "the former secret of all", "the new secret of all"
        file.write_text(f"{former}\n")
        bore, control = self.server("--secret-file", str(file))
        _, port = self.client(control, "--no-state", "--secret", former)
        file.write_text(f"{new}\n{former}\n")
        bore.process.send_signal(signal.SIGHUP)
        bore.waitFor("shared secrets: 2")
        _, other = self.client(control, "--no-state", "--secret", new)
        self.assertServes(port)
        file.write_text("\n")
        bore.process.send_signal(signal.SIGHUP)
        bore.waitFor("the shared secrets stay as they were: ")
        self.assertServes(port)
        file.write_text(f"{new}\n")
        bore.process.send_signal(signal.SIGHUP)
        bore.waitFor("shared secrets: 1")
        self.assertFree(port)
        self.assertServes(other)
