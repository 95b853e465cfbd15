"""The base of the tests of trust."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from twisted.trial.unittest import SynchronousTestCase

from bore.events import Event, Sink
from bore.tls.settings import ClientTls
from bore.tls.tlssocket import TlsSocket
from bore.tls.trust import Trust
from bore.wire.limits import CONTROL_PORT
from tests.certificates import Identity
from tests.support import temporaryFolder

HOST = "example.com"


@dataclass
class FakeTlsSocket:
    """The part of a TLS socket that is judged."""

    certificate: x509.Certificate | None
    chainErrors: list[int]

    @property
    def certificateBytes(self) -> bytes:
        return b"" if self.certificate is None else self.certificate.public_bytes(Encoding.DER)


def presenting(identity: Identity, chainErrors: list[int] | None = None) -> TlsSocket:
    """A connection to a server that presents this."""
    return cast(TlsSocket, FakeTlsSocket(identity.certificate, chainErrors or []))


class TrustCase(SynchronousTestCase):
    """A client with a file of known servers."""

    def setUp(self) -> None:
        self.path = temporaryFolder(self) / "known_servers"
        self.events: list[Event] = []
        self.sink = Sink()
        self.sink.subscribe(self.events.append)

    def trust(self, secret: bool = False, host: str = HOST, **settings: object) -> Trust:
        made = ClientTls(knownServers=self.path, **settings)  # type: ignore[arg-type]
        return Trust(host, CONTROL_PORT, made, secret, self.sink)

    def know(self, *keys: str) -> None:
        self.path.write_text("".join(f"{HOST}:7835 {key}\n" for key in keys))
        self.path.chmod(0o600)

    @property
    def written(self) -> str:
        return self.path.read_text() if self.path.exists() else ""
