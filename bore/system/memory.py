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


class Collections:
    """
    Garbage collections. A full one examines all objects in one piece: with thousands of visitors, that takes longer
    than streams should wait. Thousands of objects that live for a moment would set one off.
    """

    _reasons = 0

    @classmethod
    def putOff(cls) -> None:
        """Collect no garbage until :meth:`resume` was called as often."""
        cls._reasons += 1
        gc.disable()

    @classmethod
    def resume(cls) -> None:
        """Collect garbage again, if nobody else has put it off."""
        cls._reasons -= 1
        if not cls._reasons:
            gc.enable()
