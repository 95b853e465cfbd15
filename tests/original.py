"""The original bore 0.6.0, as a program to test against."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from twisted.trial.unittest import SkipTest

#: The original uses no other one.
CONTROL_PORT: Final = 7835


def original() -> str:
    """
    The path of the original: what ``BORE_RUST`` names, or ``bore`` in cargo's folder (``cargo install bore-cli``).

    :raises SkipTest: where it is not installed.
    """
    cargo = Path(os.environ.get("CARGO_HOME", Path.home() / ".cargo")) / "bin" / "bore"
    path = os.environ.get("BORE_RUST") or (str(cargo) if cargo.exists() else None)
    if path is None:
        raise SkipTest("THE ORIGINAL IS NOT HERE: cargo install bore-cli, or set BORE_RUST to its path")
    return path
