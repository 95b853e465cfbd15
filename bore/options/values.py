"""What the text of an option's value may be. A ValueError says what would be right."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from bore.streams.addresses import isLiteral, parseHostPort, parsePort

_DAY: Final = 86400

_MANY: Final = 10_000_000


def port(text: str) -> int:
    """A port."""
    return parsePort(text)


def portOrAny(text: str) -> int:
    """A port, or 0."""
    return parsePort(text, lowest=0)


def address(text: str) -> str:
    """An IP address."""
    if isLiteral(text):
        return text
    raise ValueError("give an IP address, as in 0.0.0.0, 192.0.2.7 or ::")


def host(text: str) -> str:
    """A name or an IP address."""
    name, number = parseHostPort(text)
    if number is not None:
        raise ValueError("give a name or an IP address without a port")
    return name


def seconds(text: str) -> float:
    """A time that is not zero."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if 0.1 <= value <= _DAY:
        return value
    raise ValueError(f"give a number of seconds from 0.1 to {_DAY}")


def wholeSeconds(text: str) -> int:
    """A time in whole seconds."""
    return _number(text, 0, _DAY, "number of seconds")


def count(text: str) -> int:
    """How many of something."""
    return _number(text, 0, _MANY, "number")


def fingerprint(text: str) -> str:
    """The fingerprint of a key."""
    from bore.tls.certificates import isFingerprint  # which loads OpenSSL: only who speaks TLS gets here

    if isFingerprint(text):
        return text
    raise ValueError("give a fingerprint as 'bore server --tls' prints it: SHA256: and 43 characters behind it")


def path(text: str) -> Path:
    """A file."""
    if text:
        return Path(text)
    raise ValueError("give the name of a file")


def _number(text: str, lowest: int, highest: int, what: str) -> int:
    if text.isascii() and text.isdigit() and len(text) < 10 and lowest <= int(text) <= highest:
        return int(text)
    raise ValueError(f"give a whole {what} from {lowest} to {highest}")


def oneOf(*words: str) -> Callable[[str], str]:
    """One of these words."""

    def parse(text: str) -> str:
        if text in words:
            return text
        raise ValueError(f"give one of {', '.join(words)}")

    return parse
