"""The shared secret, and the proof of it."""

from __future__ import annotations

import hmac
from binascii import Error as NotHex
from binascii import unhexlify
from hashlib import sha256
from secrets import token_urlsafe
from typing import Final
from uuid import UUID

#: A secret with fewer characters can be found by trying, by whoever has seen a proof of it.
LEAST_LENGTH: Final = 16


#: What the log says of such a secret.
SHORT_SECRET: Final = (
    f"the secret has fewer than {LEAST_LENGTH} characters: an attacker who answers once in the server's place, or who "
    "reads a connection without TLS, can find it by trying; 'bore secret' prints a good one"
)


def newSecret() -> str:
    """A secret of almost 192 random bits, as text that is never taken for an option: it does not begin with ``-``."""
    while (secret := token_urlsafe(24)).startswith("-"):
        pass
    return secret


class Secret:
    """
    A secret that both ends know.

    Its proof is HMAC-SHA256 over the 16 bytes of the challenge's UUID, keyed with the SHA-256 of the secret's UTF-8
    bytes, in lower-case hex.

    :param text: the secret; an empty one is a secret, too.
    :raises UnicodeEncodeError: when the text has no UTF-8 form.
    :ivar short: it can be found by trying.
    """

    def __init__(self, text: str) -> None:
        self.short = len(text) < LEAST_LENGTH
        self._key = sha256(text.encode()).digest()

    def __repr__(self) -> str:
        return "<Secret>"

    def prove(self, challenge: UUID) -> str:
        """The answer to a challenge: 64 lower-case hex digits."""
        return self._tag(challenge).hex()

    def proves(self, challenge: UUID, proof: str) -> bool:
        """Whether a proof answers a challenge. Takes the same time for every proof of the right length."""
        try:
            given = unhexlify(proof.encode())
        except NotHex:
            return False
        return hmac.compare_digest(given, self._tag(challenge))

    def derive(self, label: bytes) -> bytes:
        """
        A key for something else than the proof.

        :param label: what for; not 16 bytes long, as a challenge is.
        """
        assert len(label) != 16
        return hmac.digest(self._key, label, "sha256")

    def _tag(self, challenge: UUID) -> bytes:
        return hmac.digest(self._key, challenge.bytes, "sha256")
