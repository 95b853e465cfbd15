"""Hosts and ports: as users write them, as sockets have them, and as name servers have them."""

from __future__ import annotations

import re
import socket
from ipaddress import IPv6Address, ip_address
from typing import Any, Final, TypeAlias

#: An address of the socket module: ``(host, port)``, or ``(host, port, flow, scope)`` for IPv6. Of a Unix socket it is
#: ``(path,)``.
SocketAddress: TypeAlias = tuple[Any, ...]

#: The address of a peer that has connected to a Unix socket.
NO_ADDRESS: Final[SocketAddress] = ()

#: What events call a peer without an address.
_UNIX: Final = "unix"

#: An address with its family, for a new socket.
Place: TypeAlias = tuple[socket.AddressFamily, SocketAddress]

#: RFC 1035, section 2.3.4, in characters.
_MAX_LABEL: Final = 63
_MAX_NAME: Final = 253

#: The separators of the labels of a name (RFC 3490, section 3.1).
_DOTS: Final = re.compile("[.\u3002\uff0e\uff61]")


def hostPort(host: str, port: int) -> str:
    """Join a host and a port: ``example.com:80``, ``[::1]:80``."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def isLiteral(host: str) -> bool:
    """Whether a host is an IP address, with or without a scope (``fe80::1%eth0``), and not a name."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def isLoopback(address: SocketAddress) -> bool:
    """Whether the address of a socket is within this machine."""
    host = str(address[0])
    return host.startswith("127.") or host == "::1"


def plainHost(address: SocketAddress) -> str:
    """The host of a socket's address; an IPv4 address of an IPv6 socket as IPv4."""
    host = str(address[0])
    if host.startswith("::ffff:"):
        mapped = IPv6Address(host).ipv4_mapped
        return host if mapped is None else str(mapped)
    return host


def sourceOf(address: SocketAddress) -> str:
    """
    Return the key of limits per source: an IPv4 address, or the first 64 bits of an IPv6 address, since one host may
    use all addresses of such a network.
    """
    if not address:
        return _UNIX
    host = plainHost(address)
    if ":" not in host:
        return host
    return str(IPv6Address(int(IPv6Address(host)) >> 64 << 64))


def socketAddress(address: SocketAddress) -> str:
    """Join the host and the port of a socket's address; an IPv4 address of an IPv6 socket as IPv4."""
    if len(address) < 2:
        return f"{_UNIX}:{address[0]}" if address else _UNIX
    return hostPort(plainHost(address), int(address[1]))


def hostOf(peer: str) -> str:
    """The host of the result of :func:`socketAddress`."""
    return peer.rpartition(":")[0].strip("[]")


def addressOn(sock: socket.socket, host: str, port: int) -> SocketAddress:
    """
    An address of a socket's peer that another program has announced, which may be of another family.

    :returns: as many parts as addresses of the socket's own family have: these tell the family where only the
        descriptor is known. A Unix socket has three then, and none otherwise.
    """
    match sock.family:
        case socket.AF_INET:
            return host, port
        case socket.AF_INET6:
            return host, port, 0, 0
        case _:
            return host, port, 0


def peerAddress(sock: socket.socket, peer: str) -> SocketAddress:
    """The address of a socket's peer, of which :func:`socketAddress` has made this."""
    return NO_ADDRESS if peer == _UNIX else addressOn(sock, hostOf(peer), int(peer.rpartition(":")[2]))


def localAddress(sock: socket.socket) -> SocketAddress:
    """Return the address of a listening socket."""
    address: SocketAddress | str = sock.getsockname()
    return (address,) if isinstance(address, str) else address


def peerOf(sock: socket.socket) -> tuple[str, int]:
    """
    The IP address (with its scope, if it has one) and the port that a socket is connected to.

    :raises OSError: when it is no longer connected.
    """
    host, port, *more = sock.getpeername()
    scope = more[1] if more else 0
    return (f"{host}%{scope}" if scope else host), port


def asciiName(host: str) -> str:
    """
    Encode a name as name servers and certificates have it.

    A label in ASCII stays as it is, and may have an underscore, as names in container networks do. Other labels are
    encoded by IDNA 2008 with the mapping of UTS 46 (upper case becomes lower case), or by IDNA 2003 if that fails or is
    not installed.

    :raises ValueError: when it is not a name: a label has more than 63 characters or none, or the name more than 253.
    """
    name = ".".join(label if label.isascii() else _asciiLabel(label) for label in _DOTS.split(host))
    labels = name.removesuffix(".").split(".")
    if not all(0 < len(label) <= _MAX_LABEL for label in labels) or len(name.removesuffix(".")) > _MAX_NAME:
        raise ValueError("must be an address, or a name whose labels have 1 to 63 characters")
    if not _isPlain(name):
        raise ValueError("must be a name or an address, such as example.com, 192.0.2.7 or [2001:db8::1]:7835")
    return name


def _asciiLabel(label: str) -> str:
    try:
        import idna  # comes with Twisted; few names need it

        return idna.encode(label, uts46=True).decode("ascii")
    except (ImportError, UnicodeError):
        return label.encode("idna").decode("ascii")


def _isPlain(name: str) -> bool:
    return not any(c.isspace() or c in "/@,:" or not c.isprintable() for c in name)


def literalAddress(host: str, port: int) -> Place:
    """
    Convert an IP address for a socket.

    :raises OSError: when the host is not an IP address, or its scope does not exist.
    """
    family, _, _, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
    )[0]
    return family, address


def parseHostPort(text: str) -> tuple[str, int | None]:
    """
    Parse ``host``, ``host:port``, ``[address]`` or ``[address]:port``; a bare IPv6 address is a host.

    :raises ValueError: when it is none of these; its text says what would be right.
    """
    if text.startswith("["):
        host, bracket, port = text[1:].partition("]")
        if not bracket or not isLiteral(host) or (port and not port.startswith(":")):
            raise ValueError("must be written as [2001:db8::1] or [2001:db8::1]:7835")
        return host, _portIn(port[1:]) if port else None
    if text.count(":") > 1:
        if not isLiteral(text):
            raise ValueError(
                "must be a name or an address; an IPv6 address with a port is written as [2001:db8::1]:7835"
            )
        return text, None
    host, colon, port = text.partition(":")
    if "," in text:
        raise ValueError("must be a single name or address")
    if not host or not _isPlain(host):
        raise ValueError("must be a name or an address, such as example.com, 192.0.2.7 or [2001:db8::1]:7835")
    try:
        asciiName(host)
    except UnicodeError:
        raise ValueError("must be an address, or a name of characters that are valid in names") from None
    return host, _portIn(port) if colon else None


def _portIn(text: str) -> int:
    try:
        return parsePort(text)
    except ValueError as e:
        # With an "@", it may be the secret of a user: errors do not show that.
        raise ValueError(f"port {e}" if "@" in text else f"port {text!r} {e}") from None


def parsePort(text: str, lowest: int = 1) -> int:
    """
    Parse a port.

    :raises ValueError: when it is not a number from ``lowest`` to 65535; its text says what would be right.
    """
    if text.isascii() and text.isdigit() and len(text) < 10 and lowest <= int(text) <= 65535:
        return int(text)
    raise ValueError(f"must be a number from {lowest} to 65535")
