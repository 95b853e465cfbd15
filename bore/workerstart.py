"""
What a worker process runs first, and a trial of new code: it is run as a file, by its path.

The package is found where this file is, whichever directories Python looks into by itself.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path


def _findPackage() -> None:
    """Have ``bore`` be the package that this file is in."""
    folder = Path(__file__).parent
    spec = find_spec("bore")
    if spec is None or spec.origin is None or Path(spec.origin).parent != folder:
        sys.path.insert(0, str(folder.parent))


def main() -> int:
    """Run what the first word says, with the other words."""
    _findPackage()
    what, *words = sys.argv[1:]
    if what == "worker":
        from bore.workerprogram import work

        return work(words)
    from bore.upgradetrial import tryOut

    return tryOut(words)


if __name__ == "__main__":
    sys.exit(main())
