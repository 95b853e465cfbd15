"""The answer of a program, as far as it has the expected form."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from bore.commandline import printable

#: The longest text that is shown, in characters.
_LONGEST: Final = 400

#: Larger numbers, and those that are none, are not shown.
_LARGEST: Final = 1e300

#: Times before and after these years are not shown.
_FIRST_YEAR: Final = 1980
_LAST_YEAR: Final = 9998


def shownText(value: object) -> str:
    """Return a value as text on one line, without characters that would control a terminal; empty if it is none."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    text = printable(str(value))
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."


class Part:
    """
    An object in an answer.

    A key that is missing, or has a value of another type, is one without a value: the program may be of another
    version.
    """

    def __init__(self, content: object) -> None:
        self._content: dict[str, object] = content if isinstance(content, dict) else {}

    def text(self, key: str) -> str:
        """Return a text, or a number as text, as it may be shown; empty if there is none."""
        return shownText(self._content.get(key))

    def texts(self, key: str) -> list[str]:
        """Return the texts in a list, as they may be shown."""
        value = self._content.get(key)
        return [text for text in map(shownText, value) if text] if isinstance(value, list) else []

    def number(self, key: str) -> float | None:
        """Return a number; None if there is none."""
        value = self._content.get(key)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        return value if -_LARGEST < value < _LARGEST else None

    def count(self, key: str) -> int:
        """Return a number that counts; 0 if there is none."""
        number = self.number(key)
        return 0 if number is None or not 0 <= number < _LARGEST else int(number)

    def flag(self, key: str) -> bool:
        """Return whether the value is true."""
        return self._content.get(key) is True

    def time(self, key: str) -> datetime | None:
        """Return a time; None if there is none."""
        value = self._content.get(key)
        try:
            time = datetime.fromisoformat(value) if isinstance(value, str) else None
        except ValueError:
            return None
        if time is None or not _FIRST_YEAR <= time.year <= _LAST_YEAR:
            return None
        return time if time.tzinfo is not None else time.replace(tzinfo=UTC)

    def part(self, key: str) -> Part:
        """Return an object, which is empty if there is none."""
        return Part(self._content.get(key))

    def parts(self, key: str) -> Sequence[Part]:
        """Return the objects in a list."""
        value = self._content.get(key)
        return [Part(each) for each in value] if isinstance(value, list) else []

    def counts(self) -> list[tuple[str, int]]:
        """Return the keys that count something, and their numbers, the largest first."""
        found = [(shownText(key), self.count(key)) for key in self._content]
        return sorted((each for each in found if each[1]), key=lambda each: -each[1])
