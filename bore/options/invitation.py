"""
The line by which a user is invited: ``bore://NAME:SECRET@HOST:PORT/#SHA256:PIN``.

It has all that a client needs to be that user at that server: both sides are authenticated from the first byte. A
second fingerprint behind a dot is the next key of the server.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from bore.option import INVITATION
from bore.streams.addresses import hostPort, parseHostPort
from bore.users.entry import NAME_RULE
from bore.wire.binding import isUserName
from bore.wire.limits import CONTROL_PORT
from bore.wire.pins import isPin

#: The characters that need no escape in a URL (RFC 3986, section 2.3). Fewer can be found by trying.
_SECRET: Final = re.compile(r"[A-Za-z0-9._~-]{16,128}")

#: Separates pins. It is in none of them, and has no meaning to a shell or in the variable of an option.
_SEPARATOR: Final = "."

#: The present key of a server and the next one, twice.
_MAX_PINS: Final = 4

#: A pasted line may begin with the command that it is for, and may be quoted for a shell.
_COMMAND: Final = re.compile(r"\s*bore\s+join\s+(?=['\"]?bore://)")

_FORM: Final = f"must be a line as 'bore user add' prints it: {INVITATION}NAME:SECRET@HOST:PORT/#SHA256:..."


@dataclass(frozen=True, slots=True)
class Invitation:
    """
    What the line has. Its text form is safe to show; only :attr:`line` has the secret.

    :ivar user: the user's name.
    :ivar secret: the user's secret.
    :ivar host: a name or an IP address.
    :ivar port: the control port of the server, which speaks TLS.
    :ivar pins: what the server is known by, one or more: see :mod:`bore.wire.pins`.
    """

    user: str
    secret: str = field(repr=False)
    host: str
    port: int
    pins: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.user}@{self.server}"

    @property
    def server(self) -> str:
        """The server, as people write it."""
        return hostPort(self.host, self.port)

    @property
    def line(self) -> str:
        """The line."""
        return f"{INVITATION}{self.user}:{self.secret}@{self.server}/#{_SEPARATOR.join(self.pins)}"


def isInvitation(text: str) -> bool:
    """Whether a text is meant as such a line."""
    return text.lower().startswith(INVITATION)


def parseName(text: str) -> str:
    """
    Parse the name of a user.

    :raises ValueError: when it is not valid.
    """
    if isUserName(text):
        return text
    raise ValueError(f"is not a user's name: {NAME_RULE}")


def parseInvitation(text: str) -> Invitation:
    """
    Parse the line, with or without ``bore join`` before it, and quotes around it.

    :raises ValueError: when it is not valid. The text never has the secret; it says what would be right.
    """
    line = _COMMAND.sub("", text).strip().strip("'\"")
    if not isInvitation(line):
        raise ValueError(_FORM)
    if not line.isprintable() or " " in line:
        raise ValueError("has a blank or a line break in it: copy the line in one piece")
    who, at, where = line[len(INVITATION) :].rpartition("@")
    user, colon, secret = who.partition(":")
    if not at or not colon:
        raise ValueError(_FORM)
    parseName(user)
    if not _SECRET.fullmatch(secret):
        raise ValueError("has a secret that 'bore user add' has not made: 16 to 128 letters, digits, '-' and '_'")
    server, _, fragment = where.partition("#")
    host, port = parseHostPort(server.removesuffix("/"))
    pins = tuple(fragment.split(_SEPARATOR))
    if not all(map(isPin, pins)):
        raise ValueError(
            "is cut off, or changed, behind '#': the server's fingerprint has SHA256: and 43 characters. Copy the line "
            "to its end"
        )
    if len(pins) > _MAX_PINS:
        raise ValueError(f"has {len(pins)} fingerprints: a server has at most {_MAX_PINS}")
    return Invitation(user, secret, host, CONTROL_PORT if port is None else port, pins)
