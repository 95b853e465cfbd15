"""Changes the text of a users file. Comments, the order of its tables, and what is not changed stay as they are."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Final, TypeAlias

import tomlkit
from tomlkit.container import OutOfOrderTableProxy
from tomlkit.items import AbstractTable
from tomlkit.items import Item as TomlItem

from bore.config.positions import linesOf

#: A value of a key.
Plain: TypeAlias = str | int | bool | date | datetime
Value: TypeAlias = Plain | Sequence[Plain]

#: Tables as they are usually written, inline, and as dotted keys.
_TABLES: Final = (AbstractTable, OutOfOrderTableProxy)

#: A line that belongs to no key.
_IDLE: Final = re.compile(r"[ \t]*(#.*)?")


class UsersText:
    """
    The text of a users file.

    :param text: valid TOML with a table for each user.
    """

    def __init__(self, text: str) -> None:
        self._document = tomlkit.parse(text)

    def __str__(self) -> str:
        return tomlkit.dumps(self._document)

    @property
    def names(self) -> list[str]:
        """The names of the tables, in the order of the file."""
        return [name for name, table in self._document.items() if isinstance(table, _TABLES)]

    def top(self, key: str) -> str | None:
        """Return the text of a key at the top of the file, which belongs to no user; None if there is none."""
        found = self._document.get(key)
        return str(found) if isinstance(found, str) else None

    def setTop(self, key: str, text: str) -> None:
        """Set a key at the top of the file."""
        if key in self._document or not self._document:
            self._document[key] = text
            return
        head = tomlkit.document()
        head.add(key, text)
        rest = str(self)
        self._document = tomlkit.parse(str(tomlkit.dumps(head)) + ("\n" + rest if rest.strip() else ""))

    def add(self, name: str, keys: Mapping[str, Value]) -> None:
        """Add the table of a user behind the others."""
        table = tomlkit.table()
        for key, value in keys.items():
            table.add(key, _item(value))
        text = str(self)
        if text and not text.endswith("\n"):
            text += "\n"
        made = tomlkit.document()
        made.add(name, table)
        self._document = tomlkit.parse(text + ("\n" if text else "") + tomlkit.dumps(made))

    def change(self, name: str, keys: Mapping[str, Value | None]) -> None:
        """Set keys of a user; None removes one."""
        table = self._document[name]
        assert isinstance(table, _TABLES)
        new = tomlkit.document()
        for key, value in keys.items():
            if value is None:
                if key in table:
                    del table[key]
            elif key in table:
                table[key] = _item(value, table[key])
            else:
                new.add(key, _item(value))
        place = self._linesOf(name)
        if place is None:  # an inline table, for instance
            for key, item in new.items():
                table[key] = item
        else:
            written = str(self).split("\n")
            written[place[1] : place[1]] = tomlkit.dumps(new).splitlines()
            self._document = tomlkit.parse("\n".join(written))

    def remove(self, name: str) -> None:
        """Remove the table of a user, with the comments in it and directly above it."""
        place = self._linesOf(name)
        if place is None:
            self._document.remove(name)
            return
        written = str(self).split("\n")
        first, end = place
        while first and written[first - 1].lstrip().startswith("#"):
            first -= 1
        if first and not written[first - 1].strip():
            first -= 1
        self._document = tomlkit.parse("\n".join(written[:first] + written[end:]).lstrip("\n"))

    def _linesOf(self, name: str) -> tuple[int, int] | None:
        """
        Return where the table of a user begins, and where it ends: behind the last key, as comments there belong to
        what follows. None if it is not written as a table.
        """
        text = str(self)
        lines = linesOf(text)
        written = text.split("\n")
        first = lines.get((name,), 0) - 1
        if first < 0 or not written[first].lstrip().startswith("["):
            return None
        others = [line for path, line in lines.items() if path[0] != name and line - 1 > first]
        end = min(others, default=len(written) + 1) - 1
        while end > first + 1 and _IDLE.fullmatch(written[end - 1]):
            end -= 1
        return first, end


def _item(value: Value, before: object = None) -> TomlItem:
    """Make a value for a key; the comment behind the value before stays."""
    if isinstance(value, str) or not isinstance(value, Sequence):
        made = tomlkit.item(value)
    else:
        made = tomlkit.array()
        made.extend(value)
    if isinstance(before, TomlItem):
        made.trivia.comment_ws, made.trivia.comment = before.trivia.comment_ws, before.trivia.comment
    return made
