"""The memory of a process at rest."""

from __future__ import annotations

import gc


def settle() -> None:
    """
    Exempt all objects that exist from garbage collection, as they stay to the end.

    To be called when the program is up.
    """
    gc.collect()
    gc.freeze()
