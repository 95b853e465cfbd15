"""Mistakes in a settings file."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bore.commandline import BadFile

#: A name that needs no quotes in TOML.
_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class Mistake:
    """
    A mistake.

    :ivar path: the names of the table and the key; none: the whole file.
    :ivar text: what is wrong, and what would be right.
    :ivar line: its line; None: not known.
    """

    path: tuple[str, ...]
    text: str
    line: int | None = None

    def __str__(self) -> str:
        names = keyName(self.path)
        return f"{names}: {self.text}" if names else self.text


def keyName(path: Sequence[str]) -> str:
    """Return how TOML names a key, such as ``tunnel.web.local``."""
    return ".".join(each if _BARE.fullmatch(each) else json.dumps(each) for each in path)


def badFile(file: Path, mistakes: Iterable[Mistake]) -> BadFile:
    """Return the error for a file with mistakes, which are in the order of the file."""
    return BadFile(
        [
            f"{file}: {each}" if each.line is None else f"{file}:{each.line}: {each}"
            for each in sorted(mistakes, key=lambda each: (each.line or 0, each.path))
        ]
    )
