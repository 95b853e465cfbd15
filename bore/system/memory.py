"""The memory of a process at rest."""

from __future__ import annotations

import contextlib
import ctypes
import gc


def settle() -> None:
    """
    Exempt all objects that exist from garbage collection, as they stay to the end, and give the system back what the
    start has used and the C library keeps (malloc_trim(3), half a mebibyte; not where the library is another one).

    To be called when the program is up.
    """
    gc.collect()
    gc.freeze()
    with contextlib.suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)
