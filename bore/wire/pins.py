"""What a client knows a server by."""

from __future__ import annotations

import re
from typing import Final

#: Takes the place of a fingerprint for a server that has a certificate by a trusted authority.
AUTHORITY: Final = "authority"

_FINGERPRINT: Final = re.compile(r"SHA256:[A-Za-z0-9+/]{43}")


def isFingerprint(text: str) -> bool:
    """Whether a text has the form of the fingerprint of a public key."""
    return _FINGERPRINT.fullmatch(text) is not None


def isPin(text: str) -> bool:
    """Whether a text is a fingerprint, or :data:`AUTHORITY`."""
    return text == AUTHORITY or isFingerprint(text)
