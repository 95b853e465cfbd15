"""What a user may do."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

from bore.users.ports import ALL_PORTS, NO_PORTS, Ports
from bore.wire.addressrules import Network
from bore.wire.values import value

#: The units of rates, the largest one first.
_UNITS: Final = {"GB/s": 10**9, "MB/s": 10**6, "kB/s": 10**3, "B/s": 1}

_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


@value
class Rights:
    """
    What a user may do, beside what the server allows to all of them: its range of ports, and its limits.

    :ivar ports: the public ports that the user may have.
    :ivar exclusive: public ports that only this user may have, also while away. They need not be in ``ports``.
    :ivar maxTunnels: tunnels at the same time; 0: no limit of the user's own.
    :ivar maxVisitors: visitors of all these tunnels at the same time; 0: no limit of the user's own.
    :ivar bandwidth: bytes per second of each visitor's stream, in each direction; 0: no limit.
    :ivar sources: the networks from which the user may connect; none: from everywhere.
    :ivar expires: when all rights end, in seconds since the epoch (UTC); None: never.
    :ivar original: whether the user may come with a client that cannot send a name: an original one, or any without
        TLS.
    """

    ports: Ports = ALL_PORTS
    exclusive: Ports = NO_PORTS
    maxTunnels: int = 0
    maxVisitors: int = 0
    bandwidth: int = 0
    sources: tuple[Network, ...] = ()
    expires: float | None = None
    original: bool = False

    def mayUse(self, port: int) -> bool:
        """Whether the user may have a public port, if nobody else has it."""
        return port in self.ports or port in self.exclusive


#: Those of every client of a server without a users file.
ALL_RIGHTS: Final = Rights()


def rightsText(rights: Rights) -> list[tuple[str, str]]:
    """What a user may do, for people: the keys of the users file, and their values, as far as there is a limit."""
    texts = {
        "ports": "" if rights.ports == ALL_PORTS else str(rights.ports),
        "exclusive": str(rights.exclusive),
        "max-tunnels": str(rights.maxTunnels or ""),
        "max-visitors": str(rights.maxVisitors or ""),
        "bandwidth": rateText(rights.bandwidth) if rights.bandwidth else "",
        "from": ", ".join(map(str, rights.sources)),
        "expires": "" if rights.expires is None else endText(rights.expires),
        "original": "yes" if rights.original else "",
    }
    return [(key, text) for key, text in texts.items() if text]


def rateText(rate: int) -> str:
    """Write a rate in bytes per second as the users file has it, in the largest unit without a fraction."""
    unit, size = next((unit, size) for unit, size in _UNITS.items() if rate % size == 0)
    return f"{rate // size} {unit}"


def parseEnd(text: str) -> float:
    """
    Parse a time in the format of RFC 3339, or a date, which stands for the end of that day (UTC).

    :returns: seconds since the epoch.
    :raises ValueError: when it is neither; its text says what would be right.
    """
    expected = "must be a date or a time with its zone, such as 2027-06-30 or 2027-06-30T12:00:00Z"
    try:
        if _DATE.fullmatch(text):
            return datetime.combine(date.fromisoformat(text) + timedelta(days=1), time(), UTC).timestamp()
        end = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise ValueError(expected) from None
    if end.tzinfo is None:
        raise ValueError(expected)
    return end.timestamp()


def endText(end: float) -> str:
    """Write an end as :func:`parseEnd` reads it: as a date if it is the end of a day."""
    moment = datetime.fromtimestamp(end, UTC)
    if moment.time() == time():
        return (moment - timedelta(days=1)).date().isoformat()
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")
