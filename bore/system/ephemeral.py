"""The ports that the system gives to outgoing connections."""

from __future__ import annotations

from pathlib import Path
from typing import Final

_RANGE: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")

#: Where the system does not tell: those that IANA reserves for this purpose (RFC 6335, section 6).
_RESERVED: Final = (49152, 65535)


def ephemeralPorts() -> tuple[int, int]:
    """Return the lowest and the highest of these ports."""
    try:
        lowest, highest = map(int, _RANGE.read_text().split())
    except (OSError, ValueError):
        return _RESERVED
    return lowest, highest
