"""What the targets have in common: values that both sides know, and bytes in portions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, TypeAlias
from uuid import UUID

from bore.wire.errors import WireError
from bore.wire.secret import Secret
from bore.wire.serverproof import SharedOnly

#: What both sides know where a target needs it. Nothing is random: a right proof can be found, and replayed.
SECRET: Final = Secret("my secret")
KNOWN: Final = SharedOnly([SECRET])
BINDING: Final = bytes(range(32))
VISITOR: Final = UUID("00000000-0000-4000-8000-000000000001")
TOKEN: Final = "0123456789abcdef0123456789abcdef"

#: The longest portion in which bytes arrive, in bytes.
_LONGEST_PORTION: Final = 64

#: What a session has done: its events, and the error that ended it.
Outcome: TypeAlias = list[object]


def notRandom(size: int) -> bytes:
    """Bytes that are always the same."""
    return bytes(range(64, 64 + size))


def portions(data: bytes, seed: int) -> Iterator[bytes]:
    """The same bytes in portions; which ones depends on the seed. 0: one by one."""
    start = 0
    while start < len(data):
        seed = (seed * 137 + 29) % 1009 if seed else 0
        size = 1 + seed % _LONGEST_PORTION if seed else 1
        yield data[start : start + size]
        start += size


def errorOf(error: WireError) -> tuple[str, str]:
    return type(error).__name__, str(error)
