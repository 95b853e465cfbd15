"""Reads files in TOML; errors have the line, and say what would be right."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Final

from bore.config.mistakes import Mistake, badFile
from bore.config.positions import deepKey
from bore.system.namedfiles import openNamed, readNamed
from bore.system.privatefiles import SETTINGS, NotPrivate, checkPrivate

#: In bytes; a thousand tunnels take a tenth of it.
LONGEST: Final = 1 << 20

#: Seconds in which the writer of a pipe has to finish: nobody is asked for a passphrase.
_PATIENCE: Final = 5.0

#: At the end of tomllib's errors.
_PLACE: Final = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)")

#: What is right instead, where tomllib's errors do not tell it to beginners.
_HINTS: Final = {
    "Invalid value": 'a text needs straight quotes, as in server = "example.com"',
    "Invalid statement": "each line is KEY = VALUE or [TABLE]",
    "Expected '=' after a key in a key/value pair": "each line is KEY = VALUE or [TABLE]",
    "Cannot overwrite a value": "a key is there twice",
    "Unescaped '\\' in a string": r"write a text with \ in single quotes",
}

#: tomllib's error for a table that is there already, with the tuple of its names.
_TWICE: Final = re.compile(r"^Cannot declare \((.*)\) twice$")


def keysOf(path: Path) -> dict[str, object]:
    """
    Return what a file has at its top.

    :raises bore.commandline.BadFile: if it cannot be read, or is not TOML.
    """
    return parseToml(path, readText(path)[0])


def parseToml(path: Path, text: str) -> dict[str, object]:
    """
    Parse the text of a file.

    :raises bore.commandline.BadFile: if it is not TOML.
    """
    deep = deepKey(text)
    if deep is not None:  # for which tomllib takes a time that grows with the square of their number
        raise badFile(path, [Mistake((), "has a key with dozens of dots: no key has more than two", deep)])
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as e:
        line = _PLACE.search(str(e))
        reason = _TWICE.sub(_twice, _PLACE.sub("", str(e)))
        place = text.count("\n") + 1 if line is None or line[1] is None else int(line[1])
        hint = _HINTS.get(reason)
        text = f"not valid TOML: {reason}" + (f" ({hint})" if hint else "")
        raise badFile(path, [Mistake((), text, place)]) from None
    except RecursionError:
        raise badFile(path, [Mistake((), "has brackets nested too deeply: no key needs more than one pair")]) from None
    except ValueError:  # int refuses a text with thousands of digits (sys.set_int_max_str_digits)
        raise badFile(path, [Mistake((), "has a number with thousands of digits: no key needs more than 8")]) from None


def decodeText(path: Path, data: bytes) -> str:
    """
    Decode the content of a file, as far as :data:`LONGEST` and one byte more.

    :raises bore.commandline.BadFile: if it is too long, or not UTF-8.
    """
    if len(data) > LONGEST:
        raise badFile(path, [Mistake((), f"has more than {LONGEST} bytes: a settings file has fewer")])
    try:
        # Editors on Windows may begin a file with a byte order mark.
        return data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as e:
        line = e.object[: e.start].count(b"\n") + 1
        raise badFile(path, [Mistake((), "is not UTF-8 text", line)]) from None


def readText(path: Path) -> tuple[str, str | None]:
    """Read a file; return also why it must not name secrets, or None."""
    objection = None
    try:
        with openNamed(path) as opened:
            try:
                checkPrivate(path, opened, SETTINGS)
            except NotPrivate as e:
                objection = str(e)
            return decodeText(path, readNamed(path, opened, LONGEST + 1, _PATIENCE)), objection
    except OSError as e:
        raise badFile(path, [Mistake((), f"cannot be read ({e.strerror})")]) from None


def _twice(error: re.Match[str]) -> str:
    """Return what is wrong with a table that is there already."""
    names = ".".join(re.findall("'([^']*)'", error[1]))
    return f"[{names}] is there twice: give each table a name of its own"
