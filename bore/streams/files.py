"""Files that are there as a whole, or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def wholeFile(folder: Path, content: bytes) -> Iterator[str]:
    """
    A new file, for the user's eyes only, whose content is on the disk: to be given its place, or else gone.

    :param folder: where its place is.
    :raises OSError: when it cannot be written.
    """
    descriptor, name = tempfile.mkstemp(dir=folder, prefix=".new-")
    try:
        with open(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        yield name
    finally:
        with contextlib.suppress(OSError):
            os.unlink(name)
