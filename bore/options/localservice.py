"""
How users write a local service, and the public port for it.

================================ ===========================================================
``8000``                         a port of this machine, or of ``--local-host``
``HOST:8000``, ``[::1]:8000``    a port of another host; HOST has a character beside digits
``unix:/run/app.sock``           a Unix socket
each of them and ``:20080``      the same, with this public port; 0: any
a port and ``:unix:PATH``        the same, with a Unix socket at the server
================================ ===========================================================

Two numbers are a local and a public port: ``5432:20432``. A Unix socket has no short form with another Unix socket, as
its path may contain ``:unix:``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final

from bore.client.target import AnyTarget, Target, UnixTarget
from bore.streams.addresses import isLiteral, parseHostPort, parsePort
from bore.streams.unixdial import unixPath
from bore.wire.publicaddress import UNIX, PublicAddress, parseUnixPath

_EXPECTED: Final = "must be PORT, HOST:PORT, [ADDRESS]:PORT or unix:PATH"

#: A range of ports, with or without a host.
_RANGE: Final = re.compile(r"(.*:)?[0-9]+-[0-9]+")


@dataclass(frozen=True, slots=True)
class LocalService:
    """
    A local service as the user has written it.

    :ivar text: what the user has written.
    :ivar port: its port; 0: it is a Unix socket.
    :ivar host: its host; None: the default.
    :ivar public: the public address for it; 0: any port; None: not given.
    :ivar path: the path of its Unix socket; None: it has a port.
    """

    text: str
    port: int
    host: str | None = None
    public: PublicAddress | None = None
    path: str | None = None

    def target(self, host: str) -> AnyTarget:
        """Return where it is; ``host`` is the default."""
        if self.path is not None:
            return UnixTarget(self.path)
        return Target(self.port, self.host or host)


def localService(text: str) -> LocalService:
    """
    Parse a local service without a public port.

    :raises ValueError: if it is not one; the text says what would be valid.
    """
    if _RANGE.fullmatch(text):
        raise ValueError("must be the first port only: port has the range, and local ports count along with it")
    found = _parse(text, _EXPECTED)
    if found.public is not None:
        raise ValueError(f"{_EXPECTED}, without a public port")
    return found


def localServiceOrTunnel(text: str) -> LocalService:
    """
    Parse a local service, with or without a public port.

    :raises ValueError: if it is not one; the text says what would be valid.
    """
    return _parse(text, f"{_EXPECTED}, each with or without :PUBLIC")


def _parse(text: str, expected: str) -> LocalService:
    if text.startswith(UNIX):
        return _parseUnix(text)
    written, colon, path = text.partition(f":{UNIX}")
    if colon:
        return _withPath(text, written, path, expected)
    host, ports = _divide(text)
    if not 1 <= len(ports) <= 2:
        raise ValueError(expected)
    if not all(each.isascii() and each.isdigit() for each in ports):
        raise ValueError(expected)
    try:
        name = None if host is None else parseHostPort(host)[0]
    except ValueError:
        raise ValueError(expected) from None
    try:
        numbers = [parsePort(each, lowest) for each, lowest in zip(ports, (1, 0), strict=False)]
    except ValueError as e:
        raise ValueError(str(e) if ports == [text] else f"has a port that {e}") from None
    return LocalService(text, numbers[0], name, numbers[1] if len(numbers) == 2 else None)


def _withPath(text: str, local: str, path: str, expected: str) -> LocalService:
    """Parse a local port whose public address is a Unix socket."""
    found = _parse(local, expected)
    if found.public is not None:
        raise ValueError(expected)
    try:
        return replace(found, text=text, public=parseUnixPath(path))
    except ValueError as e:
        raise ValueError(f"has a public address that {e}") from None


def _parseUnix(text: str) -> LocalService:
    path, colon, last = text.removeprefix(UNIX).rpartition(":")
    if not colon or not (last.isascii() and last.isdigit()):
        return LocalService(text, 0, path=unixPath(text.removeprefix(UNIX)))
    try:
        public = parsePort(last, 0)
    except ValueError as e:
        raise ValueError(f"has a public port that {e}") from None
    return LocalService(text, 0, public=public, path=unixPath(path))


def _divide(text: str) -> tuple[str | None, list[str]]:
    """Divide a text at its colons: the host, if there is one, and the ports."""
    if text.startswith("["):
        host, bracket, ports = text.partition("]:")
        return host + bracket[:1], ports.split(":")
    if isLiteral(text):  # an IPv6 address, which has no port without brackets
        return text, []
    first, *others = text.split(":")
    if first.isascii() and first.isdigit():
        return None, [first, *others]
    return first, others
