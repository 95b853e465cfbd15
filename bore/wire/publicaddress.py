"""
The public address of a tunnel: where its visitors come.

Each kind of address is a type of its own. A TCP port, by far the most frequent kind, is a plain number.
"""

from __future__ import annotations

from posixpath import normpath
from typing import Final, TypeAlias

from bore.wire.values import value

#: The request for any TCP port.
ANY_PORT: Final = 0

#: The longest path of a Unix socket, in bytes (sun_path in Linux's struct sockaddr_un, without its NUL).
MAX_UNIX_PATH: Final = 107

#: What users write in front of the path of a Unix socket.
UNIX: Final = "unix:"


@value
class UnixPath:
    """
    A Unix socket at the server.

    :ivar path: its absolute path, as :func:`parseUnixPath` returns it.
    """

    path: str

    def __str__(self) -> str:
        return f"{UNIX}{self.path}"


@value
class OtherKind:
    """
    An address of a kind that this version does not know, which a peer of a later version may ask for.

    :ivar kind: the name of the kind.
    """

    kind: str

    def __str__(self) -> str:
        return self.kind


#: A TCP port, or an address of another kind. Its text is what users write for it.
PublicAddress: TypeAlias = int | UnixPath | OtherKind


def parseUnixPath(text: str) -> UnixPath:
    """
    Parse the path of a Unix socket at the server, whatever the system is here.

    Repeated slashes and the parts ``.`` and ``..`` are resolved, so that one socket has one address.

    :raises ValueError: when it cannot be one; its text says what would be right.
    """
    path = "/" + normpath(text).lstrip("/")
    if not text.startswith("/") or "\0" in text or text.endswith("/") or path == "/":
        raise ValueError("must have the absolute path of a socket at the server, such as unix:/run/bore/web.sock")
    try:
        size = len(path.encode())
    except UnicodeEncodeError:
        raise ValueError("must have a path in UTF-8") from None
    if size > MAX_UNIX_PATH:
        raise ValueError(f"must have a path of at most {MAX_UNIX_PATH} bytes: systems allow no more for a socket")
    return UnixPath(path)


def satisfies(address: PublicAddress, asked: PublicAddress) -> bool:
    """Whether a client that asks for an address can have this one."""
    return address == asked or (asked == ANY_PORT and isinstance(address, int))


def fieldOf(address: PublicAddress) -> tuple[str, object]:
    """The name and the value of the field that an address is in log lines and files."""
    match address:
        case UnixPath(path):
            return "path", path
        case OtherKind(kind):
            return "kind", kind
        case _:
            return "port", address
