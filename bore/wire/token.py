"""What is random: tokens, which a client shows to have its tunnel back, and the ids of visitors."""

from __future__ import annotations

import hashlib
from secrets import token_hex

_BYTES = 16


def newToken() -> str:
    """128 random bits, as text."""
    return token_hex(_BYTES)


def newId() -> str:
    """A random UUID (RFC 9562, version 4) as text, which takes half the time that an object would take."""
    digits = token_hex(16)
    variant = "89ab"[int(digits[16], 16) & 3]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"


def digest(token: str) -> bytes:
    """
    What a token is kept under.

    Looking a token up by its own characters would take a time that depends on how many of them are right; by its hash
    the time says nothing that can be used.
    """
    return hashlib.sha256(token.encode()).digest()
