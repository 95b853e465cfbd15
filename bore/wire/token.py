"""Tokens: what a client shows to have its tunnel back."""

from __future__ import annotations

import hashlib
from secrets import token_hex

_BYTES = 16


def newToken() -> str:
    """128 random bits, as text."""
    return token_hex(_BYTES)


def digest(token: str) -> bytes:
    """
    What a token is kept under.

    Looking a token up by its own characters would take a time that depends on how many of them are right; by its hash
    the time says nothing that can be used.
    """
    return hashlib.sha256(token.encode()).digest()
