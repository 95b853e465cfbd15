"""Values of TOML as values of options."""

from __future__ import annotations

import os
from datetime import date
from pathlib import Path
from typing import Final

from bore.option import InvalidValue, Option

#: In characters: of a value that is longer, the rest is not shown.
_LONGEST: Final = 200


def convert(option: Option[object], value: object, folder: Path) -> object:
    """
    Convert a value of TOML by the option's own parser.

    :param folder: the directory that names of files are relative to.
    :raises ValueError: if it is not valid. The text begins with the value, and says what would be valid.
    """
    if option.read is None:
        if isinstance(value, bool):
            return value
        raise ValueError(f"{_shown(value)} must be true or false")
    several = value if option.repeats and isinstance(value, list) else [value]
    if not several:
        raise ValueError("must not be empty: leave it out")
    texts = []
    for each in several:
        text = _text(each)
        if text is None or (not isinstance(each, str) and not option.unquoted):
            raise ValueError(f"{_shown(each)} {_expected(option)}")
        # An empty text is for the parser to refuse, and not the directory.
        texts.append(os.path.join(folder, os.path.expanduser(text)) if option.isFile and text else text)
    try:
        return option.read(texts)
    except InvalidValue as e:
        raise ValueError(f"{_shown(value if isinstance(value, int | float | date) else e.value)} {e}") from None


def _text(value: object) -> str | None:
    """Return a value as it would be written on a command line; None if it is neither text, number nor date."""
    match value:
        case bool():
            return None
        case str():
            return value
        case int() | float():
            return str(value)
        case date():  # or datetime
            return value.isoformat()
    return None


def _expected(option: Option[object]) -> str:
    """Return what an option says of a value of another type."""
    if option.read is not None and not option.isFile:
        try:
            option.read(["()"])  # valid for no option with a parser of its own
        except InvalidValue as e:
            return str(e)
    return "must be a text in quotes"


def _shown(value: object) -> str:
    """Return a value as error messages show it."""
    match value:
        case bool():
            return str(value).lower()
        case str() if len(value) > _LONGEST:
            return repr(value[:_LONGEST]) + "..."
        case str() | int() | float():
            return repr(value)
        case dict():
            return "a table"
        case list():
            return "a list"
    return str(value)
