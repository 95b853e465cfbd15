"""Mistakes in a settings file."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from bore.commandline import BadFile
from bore.option import withoutSecrets

#: A name that needs no quotes in TOML.
_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")

#: The number of mistakes that are shown. Those behind them may follow from a wrong file.
SHOWN: Final = 100

#: In characters: of a name that is longer, the rest is not shown.
LONGEST_NAME: Final = 64

#: A text, or what makes it, if that takes time.
Text: TypeAlias = str | Callable[[], str]


@dataclass(frozen=True, slots=True)
class Mistake:
    """
    A mistake.

    :ivar path: the names of the table and the key; none: the whole file.
    :ivar text: what is wrong, and what would be right.
    :ivar line: its line; None: not known.
    """

    path: tuple[str, ...]
    text: Text
    line: int | None = None

    def __str__(self) -> str:
        text = self.text if isinstance(self.text, str) else self.text()
        names = keyName(self.path)
        return f"{names}: {text}" if names else text


def _shown(name: str) -> str:
    """Return a name as a mistake shows it."""
    if len(name) > LONGEST_NAME:
        return _shown(name[:LONGEST_NAME]) + "..."
    return name if _BARE.fullmatch(name) else json.dumps(name)


def keyName(path: Sequence[str]) -> str:
    """Return how TOML names a key, such as ``tunnel.web.local``."""
    return ".".join(map(_shown, path))


def badFile(file: Path, mistakes: Iterable[Mistake]) -> BadFile:
    """Return the error for a file with mistakes: the first ones, in the order of the file, and how many others."""
    found = sorted(mistakes, key=lambda each: (each.line or 0, each.path))
    name = withoutSecrets(str(file))
    lines = [f"{name}: {each}" if each.line is None else f"{name}:{each.line}: {each}" for each in found[:SHOWN]]
    if len(found) > SHOWN:
        lines.append(f"{name}: and {len(found) - SHOWN} more mistakes")
    return BadFile(lines)
