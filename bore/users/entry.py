"""The entries of a users file, as values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from bore.users.rights import ALL_RIGHTS, Rights, endText, parseEnd
from bore.wire.secret import Secret
from bore.wire.values import value

#: The most secrets that one user may have at the same time: each attempt to connect takes the time to try as many.
MAX_KEYS: Final = 4

#: The name of the entry with the rights of all who hold the shared secret.
SHARED: Final = "*"

#: What a name may be (:func:`bore.wire.binding.isUserName`), for errors.
NAME_RULE: Final = "a name must have 1 to 64 letters, digits, '-', '_', '.' and '@', and begin with a letter or digit"

_KEY: Final = re.compile(r"sha256:([0-9a-f]{64})")

#: The key of an entry without a secret: the user proves with a certificate who it is.
CERTIFICATE: Final = "certificate"


@value
class UserKey:
    """
    A secret that a user may prove to know.

    :ivar secret: made from the key, so that its text is not known.
    :ivar until: when it becomes invalid, in seconds since the epoch; None: never.
    """

    secret: Secret
    until: float | None = None

    def __str__(self) -> str:
        """Write it as :func:`parseOldKey` reads it, or :func:`parseKey` if it has no end."""
        key = f"sha256:{self.secret.key.hex()}"
        return key if self.until is None else f"{key} until {endText(self.until)}"


def parseKey(text: str) -> UserKey | None:
    """
    Parse ``sha256:`` and the SHA-256 of a secret's UTF-8 bytes in hex digits.

    :returns: the key; None for ``certificate``.
    :raises ValueError: when it is neither; its text says what would be right.
    """
    if text == CERTIFICATE:
        return None
    found = _KEY.fullmatch(text)
    if found is None:
        raise ValueError("must be sha256: and 64 lower-case hex digits, as 'bore user add' writes it, or certificate")
    secret = Secret.fromKey(bytes.fromhex(found[1]))
    if secret == Secret(""):
        raise ValueError("is the key of the empty secret")
    return UserKey(secret)


def parseOldKey(text: str) -> UserKey:
    """
    Parse a former key that is valid for some more time, such as ``sha256:DIGITS until 2027-06-30``.

    :raises ValueError: when it is not one; its text says what would be right.
    """
    key, until, end = text.partition(" until ")
    parsed = parseKey(key)
    if not until or parsed is None:
        raise ValueError("must be a key and its end, such as sha256:DIGITS until 2027-06-30T12:00:00Z")
    return UserKey(parsed.secret, parseEnd(end))


@value
class UserEntry:
    """
    A user.

    :ivar keys: the secrets of this user, the current one first; none: the user shows a certificate.
    """

    name: str
    keys: tuple[UserKey, ...]
    rights: Rights = ALL_RIGHTS


@dataclass(frozen=True, slots=True)
class Users:
    """
    The content of a users file.

    :ivar entries: the users by name, in the order of the file.
    :ivar shared: the rights of those who hold the shared secret, or of every client that has nothing to prove.
    """

    entries: Mapping[str, UserEntry] = field(default_factory=dict)
    shared: Rights = ALL_RIGHTS
