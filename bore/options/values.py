"""Parsers of option values. Their ValueErrors say what would be valid."""

from __future__ import annotations

import os
import re
import socket
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Final

from bore.streams.addresses import isLiteral, parseHostPort, parsePort
from bore.wire.addressrules import Network, parseNetwork
from bore.wire.pins import isFingerprint
from bore.wire.publicaddress import UNIX, PublicAddress, parseUnixPath

_DAY: Final = 86400

#: With how many nodes of a cluster a client can have sessions.
MAX_NODES: Final = 4

_MAX_COUNT: Final = 10_000_000


def port(text: str) -> int:
    """Parse a port."""
    return parsePort(text)


def portOrAny(text: str) -> int:
    """Parse a port, or 0."""
    return parsePort(text, lowest=0)


def publicAddress(text: str) -> PublicAddress:
    """Parse a public address: a port, 0, or a Unix socket at the server."""
    if text.startswith(UNIX):
        return parseUnixPath(text.removeprefix(UNIX))
    try:
        return parsePort(text, lowest=0)
    except ValueError as e:
        raise ValueError(f"{e}, or unix:PATH") from None


def socketFolder(text: str) -> str:
    """Parse the absolute path of a directory for Unix sockets."""
    if not hasattr(socket, "AF_UNIX"):
        raise ValueError("is for Unix sockets, which this system does not have: leave it out")
    if os.path.isabs(text) and "\0" not in text and os.path.isdir(text):
        return os.path.normpath(text)
    raise ValueError("must be the absolute path of a directory that exists")


def address(text: str) -> str:
    """Parse an IP address."""
    if isLiteral(text):
        return text
    raise ValueError("must be an IP address, such as 0.0.0.0, 192.0.2.7 or ::")


def host(text: str) -> str:
    """Parse a host name or an IP address."""
    name, number = parseHostPort(text)
    if number is not None:
        raise ValueError("must be a host name or an IP address, without a port")
    return name


def network(text: str) -> Network:
    """Parse an IP address, or a network as an address and a number of bits."""
    return parseNetwork(text)


def trustedProxies(text: str) -> tuple[Network | None, ...]:
    """Parse networks with commas between them; None: ``unix``, for all peers of Unix sockets."""
    return tuple(None if each == "unix" else _proxyNetwork(each) for each in map(str.strip, text.split(",")))


def _proxyNetwork(text: str) -> Network:
    try:
        return parseNetwork(text)
    except ValueError as e:
        raise ValueError(f"{text!r} {e}; or write unix, for Unix sockets") from None


def seconds(text: str) -> float:
    """Parse a duration in seconds, which may be fractional but not zero."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if 0.1 <= value <= _DAY:
        return value
    raise ValueError(f"must be a number of seconds from 0.1 to {_DAY}")


def wholeSeconds(text: str) -> int:
    """Parse a duration in whole seconds, which may be zero."""
    return _number(text, 0, _DAY, "number of seconds")


#: The units of durations, in seconds.
_DURATIONS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}

#: A duration with its unit.
DURATION: Final = re.compile(r"([0-9]{1,4})([smhdw])")


def duration(text: str) -> timedelta:
    """Parse a duration, which may be zero."""
    found = DURATION.fullmatch(text)
    if text != "0" and found is None:
        raise ValueError("must be 0, or a number of at most 4 digits and a unit, such as 90s, 30m, 12h, 7d or 2w")
    return timedelta() if found is None else timedelta(seconds=int(found[1]) * _DURATIONS[found[2]])


#: The units of rates, in bytes per second.
_RATES: Final = {
    "B/s": 1,
    "kB/s": 10**3,
    "MB/s": 10**6,
    "GB/s": 10**9,
    "KiB/s": 1 << 10,
    "MiB/s": 1 << 20,
    "GiB/s": 1 << 30,
}

_RATE: Final = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?) ?([A-Za-z/]+)")

#: In bytes per second. The lowest one is a packet of the usual size in a second and a half.
_LOWEST_RATE: Final = 10**3
_HIGHEST_RATE: Final = 10**11


def rate(text: str) -> int:
    """Parse a number of bytes per second."""
    found = _RATE.fullmatch(text)
    if found is None or found[2] not in _RATES:
        raise ValueError(f"must be a rate with a unit, such as 10 MB/s; units: {', '.join(_RATES)}")
    value = round(float(found[1]) * _RATES[found[2]])
    if not _LOWEST_RATE <= value <= _HIGHEST_RATE:
        raise ValueError("must be a rate from 1 kB/s to 100 GB/s")
    return value


def count(text: str) -> int:
    """Parse a count."""
    return _number(text, 0, _MAX_COUNT, "number")


#: The most worker processes.
_MAX_WORKERS: Final = 64


def workers(text: str) -> int:
    """Parse a number of worker processes, or ``auto`` for one on each core that this process may use."""
    if sys.platform != "linux":
        raise ValueError("is for Linux: leave it out")
    if text == "auto":
        return min(len(os.sched_getaffinity(0)), _MAX_WORKERS)
    try:
        return _number(text, 1, _MAX_WORKERS, "number")
    except ValueError as e:
        raise ValueError(f"{e}, or auto") from None


def nodes(text: str) -> int:
    """Parse a number of nodes."""
    return _number(text, 1, MAX_NODES, "number")


def fingerprint(text: str) -> str:
    """Parse the fingerprint of a public key."""
    if isFingerprint(text):
        return text
    raise ValueError("must be a fingerprint as 'bore server --tls' prints it: SHA256: and 43 characters")


def path(text: str) -> Path:
    """Parse a file name."""
    if text:
        return Path(text)
    raise ValueError("must be the name of a file")


def oneOf(*words: str) -> Callable[[str], str]:
    """Return a parser that accepts these words only."""

    def parse(text: str) -> str:
        if text in words:
            return text
        raise ValueError(f"must be one of {', '.join(words)}")

    return parse


def _number(text: str, lowest: int, highest: int, what: str) -> int:
    if text.isascii() and text.isdigit() and len(text) < 10 and lowest <= int(text) <= highest:
        return int(text)
    raise ValueError(f"must be a whole {what} from {lowest} to {highest}")
