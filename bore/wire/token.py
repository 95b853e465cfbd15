"""Random values: the tokens with which a client resumes its tunnel, and opens lanes."""

from __future__ import annotations

import hashlib
from secrets import token_hex

from bore.wire.workernumbers import NO_WORKER

_BYTES = 16


def newToken(worker: int = NO_WORKER) -> str:
    """
    A token: 128 random bits, as text.

    :param worker: the number of the worker to which it leads, which stands in front; NO_WORKER: it leads to none.
    """
    return f"{worker}.{token_hex(_BYTES)}" if worker else token_hex(_BYTES)


def digest(token: str) -> bytes:
    """
    The key under which a token is stored.

    The time of a look-up by the token itself would depend on how many of its characters are right; that of a look-up by
    its hash reveals nothing useful.
    """
    return hashlib.sha256(token.encode()).digest()
