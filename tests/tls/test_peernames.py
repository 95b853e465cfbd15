"""The names in a client's certificate."""

from __future__ import annotations

from cryptography.hazmat.primitives.serialization import Encoding
from twisted.trial.unittest import SynchronousTestCase

from bore.tls.peernames import namesIn
from tests.certificates import Authority, Identity
from tests.oddcertificates import ODD, changed


def namesOf(identity: Identity) -> tuple[str, ...]:
    return namesIn(identity.certificate.public_bytes(Encoding.DER))


class NamesTests(SynchronousTestCase):
    """Alternative names come before common names."""

    def test_theNamesOfTheSubject(self) -> None:
        for given in (["alice"], ["alice.example.com", "alice"]):
            self.assertEqual(namesOf(Authority().issue(*given, forClients=True)), tuple(given))

    def test_withoutAlternativeNamesTheCommonName(self) -> None:
        self.assertEqual(namesOf(Authority("carl").identity), ("carl",))

    def test_whatCannotBeReadHasNone(self) -> None:
        identity = Authority().issue("alice", forClients=True)
        for name, change in ODD.items():
            self.assertIn(namesIn(changed(identity, change)), ((), ("alice",)), name)
        self.assertEqual(namesIn(b"junk"), ())
