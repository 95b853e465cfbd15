"""How long something may take, where it is to be done soon."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from tests.support import slowness


@contextlib.contextmanager
def within(seconds: float) -> Iterator[None]:
    """What is done in the block takes no longer than this on an idle machine, and on a busy one in proportion."""
    begin = time.monotonic()
    yield
    took = time.monotonic() - begin
    if took > seconds and took > (most := seconds * slowness()):
        raise AssertionError(f"it took {took:.1f} s, and may take {most:.1f} s")
