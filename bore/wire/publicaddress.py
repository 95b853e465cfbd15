"""
The public address of a tunnel: where its visitors come.

Each kind of address is a type of its own. A TCP port, by far the most frequent kind, is a plain number.
"""

from __future__ import annotations

from typing import Final, TypeAlias

from bore.wire.values import value

#: The request for any TCP port.
ANY_PORT: Final = 0


@value
class UnixPath:
    """
    A Unix socket at the server.

    :ivar path: its absolute path.
    """

    path: str

    def __str__(self) -> str:
        return f"unix:{self.path}"


#: A TCP port, or an address of another kind. Its text is what users write for it.
PublicAddress: TypeAlias = int | UnixPath


def satisfies(address: PublicAddress, asked: PublicAddress) -> bool:
    """Whether a client that asks for an address can have this one."""
    return address == asked or (asked == ANY_PORT and isinstance(address, int))


def fieldOf(address: PublicAddress) -> tuple[str, object]:
    """The name and the value of the field that an address is in messages, log lines and files."""
    match address:
        case UnixPath(path):
            return "path", path
        case _:
            return "port", address
