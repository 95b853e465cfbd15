"""The lines of the keys in a TOML file, which tomllib does not tell."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from typing import Final, TypeAlias

#: The names of a table and those inside it, from the top of the file.
Path: TypeAlias = tuple[str, ...]

#: Strings, comments and white space are one part each, so that nothing in them is taken for a key.
_TOKENS: Final = re.compile(
    r'''
    (?P<quoted>
        """(?:\\.|[^\\])*?""""{0,2}
      | \'\'\'.*?\'\'\'\'{0,2}
      | "(?:\\.|[^"\\\n])*"
      | '[^'\n]*'
    )
    | (?P<space>[ \t\r]+|\#[^\n]*)
    | (?P<mark>[\n\[\]{}=.,])
    | (?P<bare>[^\s\[\]{}=.,#"']+)
    ''',
    re.DOTALL | re.VERBOSE,
)

#: The most dots in a key.
DEEPEST: Final = 32

#: Strings and comments in a line, also those that do not end: neither expression goes back to where it was before.
_STRINGS: Final = re.compile(r"""'[^']*(?:'|$)|"(?:\\.|[^"\\])*(?:"|\\?$)|\#.*""")
_DEEP: Final = re.compile(rf"(?<![^\s.=\[\]{{}},])(?:[^\s.=\[\]{{}},]+[ \t]*\.[ \t]*){{{DEEPEST + 1}}}")


def linesOf(text: str) -> Mapping[Path, int]:
    """
    Return the line of each table header and key, except those of inline tables; the first line is 1.

    :param text: valid TOML.
    """
    found: dict[Path, int] = {}
    table: Path = ()
    names: list[str] = []
    header = value = False  # what the statement is, or has reached
    depth = 0  # of brackets in a value
    line = 1
    for match in _TOKENS.finditer(text + "\n"):
        part = match.group()
        if part == "\n" and depth == 0:
            if header:
                table = tuple(names)
                found.setdefault(table, line)
            names, header, value = [], False, False
        elif value:
            depth += (part in ("[", "{")) - (part in ("]", "}"))
        elif part == "=":
            found.setdefault((*table, *names), line)
            value = True
        elif part == "[":
            header = True
        elif match.lastgroup in ("quoted", "bare"):
            names.append(_nameIn(part))
        line += part.count("\n")
    return found


def withTables(lines: Mapping[Path, int]) -> Mapping[Path, int]:
    """
    Return these lines, and those of tables without a header: where what is in them begins.

    :param lines: the result of :func:`linesOf`.
    """
    found = dict(lines)
    for path, line in lines.items():
        for length in range(1, len(path)):
            table = path[:length]
            if table not in lines:
                found[table] = min(line, found.get(table, line))
    return found


def lineOf(path: Path, lines: Mapping[Path, int]) -> int | None:
    """
    Return the line of a key or table, or else of the nearest table that contains it; None for the whole file.

    :param lines: the result of :func:`withTables`.
    """
    while path:
        if path in lines:
            return lines[path]
        path = path[:-1]
    return None


def deepKey(text: str) -> int | None:
    """
    Return the line of a key with more than :data:`DEEPEST` dots; None if there is none.

    :param text: any text.
    """
    for number, line in enumerate(text.split("\n"), start=1):
        if line.count(".") > DEEPEST and _DEEP.search(_STRINGS.sub("x", line)):
            return number
    return None


def _nameIn(part: str) -> str:
    """Return the name that a part of a key stands for."""
    if part[0] not in "\"'":
        return part
    return str(tomllib.loads(f"name = {part}")["name"])
