"""How much the tests try."""

from __future__ import annotations

import os


def examples(usual: int) -> int:
    """How many examples hypothesis tries of a test; as many as ``BORE_EXAMPLES`` says, where it is set."""
    return int(os.environ.get("BORE_EXAMPLES", usual))
