"""The shared secret."""

from __future__ import annotations

import hmac
from hashlib import sha256
from secrets import token_urlsafe
from typing import Final

#: A secret with fewer characters can be found by trying, given one proof of it.
LEAST_LENGTH: Final = 16

#: What the log says about such a secret.
SHORT_SECRET: Final = (
    f"the secret has fewer than {LEAST_LENGTH} characters: an attacker who answers once in the server's place, or who "
    "reads a connection without TLS, can find it by trying; 'bore secret' prints a good one"
)


def newSecret() -> str:
    """A secret of almost 192 random bits, as text. It does not begin with ``-``, as an option does."""
    while (secret := token_urlsafe(24)).startswith("-"):
        pass
    return secret


class Secret:
    """
    A secret that both ends know: the key of their proofs, see :mod:`bore.wire.proof`.

    :param text: the secret; an empty one is a secret, too.
    :raises UnicodeEncodeError: when the text has no UTF-8 form.
    :ivar short: whether the secret can be found by trying, as far as that is known.
    :ivar key: the SHA-256 of its UTF-8 bytes. It is as good as the secret for all who use this protocol.
    """

    def __init__(self, text: str) -> None:
        self.short = len(text) < LEAST_LENGTH
        self.key = sha256(text.encode()).digest()

    @classmethod
    def fromKey(cls, key: bytes) -> Secret:
        """
        Make a secret whose text is not known.

        :param key: the 32 bytes of its key.
        """
        secret = cls.__new__(cls)
        secret.short = False
        secret.key = key
        return secret

    def __repr__(self) -> str:
        return "<Secret>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self.key, other.key)

    def __hash__(self) -> int:
        return hash(self.key)

    def mac(self, message: bytes) -> bytes:
        """HMAC-SHA256 over a message, keyed with the SHA-256 of the secret's UTF-8 bytes."""
        return hmac.digest(self.key, message, "sha256")
