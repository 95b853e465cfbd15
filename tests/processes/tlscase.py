"""What the tests with TLS between processes share."""

from __future__ import annotations

import re
import socket
import ssl
from pathlib import Path

from tests.certificates import Identity
from tests.forwarder import Forwarder
from tests.processes.case import ProcessCase
from tests.support import PATIENCE, Program, bore, temporaryFolder

#: Long enough for there to be no warning.
SECRET = ("--secret", "correct horse battery staple")

#: The line of a client that has no tunnel and will not try again.
NOT_TRUSTED = 76
NO_PERMISSION = 77


class TlsCase(ProcessCase):
    """
    Servers that speak TLS, and clients that remember what they have seen.

    :ivar home: where the clients of a test keep their state.
    :ivar serverHome: where its servers do.
    """

    def setUp(self) -> None:
        super().setUp()
        self.home = temporaryFolder(self)
        self.serverHome = temporaryFolder(self)

    @property
    def pins(self) -> Path:
        """The file of the servers that the clients know."""
        return self.home / "txbore" / "known_servers"

    def tlsServer(self, *words: str, port: int = 0, tls: str = "--tls", host: str = "") -> tuple[Program, int]:
        """A server that speaks TLS on its control port, and that port."""
        options = ("--bind-addr", host or self.host, "--control-port", str(port), *filter(None, [tls]), *words)
        program = self.start(bore("server", *options, environment={"XDG_STATE_HOME": str(self.serverHome)}))
        return program, portOf(program.waitFor("listening on "))

    def tlsLaunch(self, port: int, *words: str, host: str = "", **environment: str) -> Program:
        """A client that was started, and need not have a tunnel."""
        to = f"tls://{host or self.host}:{port}"
        return self.launch(to, "--max-reconnect-delay", "1", *words, home=self.home, **environment)

    def tlsClient(self, port: int, *words: str, host: str = "", **environment: str) -> tuple[Program, int]:
        """A client that has a tunnel, and its public port."""
        program = self.tlsLaunch(port, *words, host=host, **environment)
        return program, program.port("listening at ")

    def know(self, port: int, key: str, host: str = "") -> None:
        """Have the clients know a server by this key."""
        self.pins.parent.mkdir(exist_ok=True)
        with self.pins.open("a") as file:
            file.write(f"{host or self.host}:{port} {key}\n")
        self.pins.chmod(0o600)

    def forwarder(self, port: int) -> Forwarder:
        """A way to a server that can be listened to."""
        way = Forwarder(self.host, 0, (self.host, port))
        self.addCleanup(way.close)
        return way

    def assertRefuses(self, client: Program, *texts: str, code: int = NOT_TRUSTED) -> str:
        """A client has ended at its first attempt, with the reason in its last line."""
        self.assertEqual(client.wait(), code, client.transcript())
        self.assertEqual(client.out, [], client.transcript())
        self.assertNotIn("next attempt", "\n".join(client.err))
        last = client.err[-1]
        for text in texts:
            self.assertIn(text, last)
        return last

    def assertNoTraceback(self, *programs: Program) -> None:
        for program in programs:
            self.assertNotIn("Traceback", program.transcript())
            self.assertNotIn("Unhandled", program.transcript())


def portOf(line: str) -> int:
    """The port in the line that tells where a server listens."""
    found = re.search(r"listening on \S+:(\d+)[ ,]", line)
    assert found is not None, line
    return int(found.group(1))


def keyOf(server: Program) -> str:
    """The fingerprint that a server has printed."""
    found = re.search(r"with TLS, key (SHA256:[A-Za-z0-9+/]{43}), ", server.waitFor("with TLS"))
    assert found is not None, server.transcript()
    return found.group(1)


def clientContext(*protocols: str, identity: tuple[str, str] | None = None) -> ssl.SSLContext:
    """What a client of another make offers, who looks at no certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if protocols:
        context.set_alpn_protocols(list(protocols))
    if identity is not None:
        context.load_cert_chain(*identity)
    return context


def serverContext(identity: Identity, folder: Path) -> ssl.SSLContext:
    """What a server of another make offers."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*identity.write(folder, identity.fingerprint[7:15].replace("/", "_")))
    context.set_alpn_protocols(["bore/1"])
    return context


def hello(host: str, port: int, *protocols: str) -> ssl.SSLSocket:
    """A TLS connection that a client of another make has made."""
    plain = socket.create_connection((host, port), PATIENCE)
    try:
        return clientContext(*protocols).wrap_socket(plain)
    except BaseException:
        plain.close()
        raise
