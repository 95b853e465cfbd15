"""The memory of a process at rest."""

from __future__ import annotations

import gc


def settle() -> None:
    """
    Take everything that was made so far out of the garbage collector's sight: it is there to stay.

    To be called when the program is up.
    """
    gc.collect()
    gc.freeze()
