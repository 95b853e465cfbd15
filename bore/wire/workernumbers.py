"""
The numbers of a server's workers, in what its clients show on further connections of a session.

A server with several worker processes numbers them (docs/protocol.rst, "Workers"). A client shows the number of the
worker that has its session, so that its connections can be passed on to it: inside TLS as a protocol that it offers by
ALPN, otherwise in the token of the lane, or the id of the visitor. Numbers are not secret, and prove nothing.
"""

from __future__ import annotations

import re
from typing import Final
from uuid import UUID

#: The highest number of a worker: it has 16 bits. The lowest one is 1.
MAX_WORKER: Final = 0xFFFF

#: No worker has this number.
NO_WORKER: Final = 0

#: What stands before the number in a hint.
_PREFIX: Final = "bore-at/"

_NUMBER: Final = "([1-9][0-9]{0,4})"
_HINT: Final = re.compile(re.escape(_PREFIX) + _NUMBER)
_OF_TOKEN: Final = re.compile(_NUMBER + r"\.")

#: How far the first four hexadecimal digits of an id are from its end, in bits.
_ID_SHIFT: Final = 112


def hintOf(worker: int) -> str:
    """The hint that leads to a worker, which is also a name of a protocol (RFC 7301)."""
    return f"{_PREFIX}{worker}"


def workerOfHint(hint: str) -> int:
    """
    The worker that a hint leads to.

    :returns: its number; NO_WORKER: it is not a hint.
    """
    return _checked(_HINT.fullmatch(hint))


def workerOfToken(token: str) -> int:
    """
    The worker whose session has this token of a lane.

    :returns: its number; NO_WORKER: the token has none.
    """
    return _checked(_OF_TOKEN.match(token))


def workerOfId(id: UUID) -> int:
    """The worker that has drawn the id of a visitor. On a server without workers the number means nothing."""
    return id.int >> _ID_SHIFT


def _checked(found: re.Match[str] | None) -> int:
    number = NO_WORKER if found is None else int(found[1])
    return number if number <= MAX_WORKER else NO_WORKER
