"""
Options.

An option is described once. The parser, the error messages, ``--help`` and the keys of settings files follow from the
description.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

#: How the line begins by which a user is invited (:mod:`bore.options.invitation`). It has a secret.
INVITATION: Final = "bore://"

#: Blanks and line breaks do not end it: a line that was copied badly has a secret, too. A path has one "/".
_IN_INVITATION: Final = re.compile(r"(bore:/{1,2}(?!/))(?:.*@|.+)", re.IGNORECASE | re.DOTALL)

#: A name and a secret without the beginning of the line, or as in URLs.
_BEHIND_NAME: Final = re.compile(r":(?![/\s])[^@]*@")

#: Passwords in the options of a URL.
_IN_QUERY: Final = re.compile(r"(password=)[^&\s]*", re.IGNORECASE)

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, eq=False)
class Option(Generic[T_co]):
    """
    An option, made by :func:`option`, :func:`repeated` or :func:`switch`. It is the key of its own value.

    :ivar flags: its flags, the long one last; a word without dashes is a positional argument.
    :ivar help: one sentence without a full stop.
    :ivar read: converts the texts given by the user, at least one, to the value; raises InvalidValue. None: the option
        takes no value.
    :ivar default: the value if neither the flag nor the variable is given.
    :ivar shown: the default as ``--help`` displays it; None: it displays none.
    :ivar environment: the variable; None: there is none.
    :ivar repeats: whether it may be given more than once, and its variable and key may have several values.
    :ivar isFile: whether it names a file, which in a settings file is relative to the directory of that.
    :ivar keyed: its key in a settings file, if that is not its long flag.
    :ivar unquoted: whether it is a number or a date, which needs no quotes in a settings file.
    :ivar choices: its values, if there are few.
    """

    flags: tuple[str, ...]
    help: str
    read: Callable[[Sequence[str]], T_co] | None
    metavar: str | None
    default: T_co
    shown: str | None = None
    environment: str | None = None
    repeats: bool = False
    isFile: bool = False
    keyed: str | None = None
    unquoted: bool = False
    choices: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The option as error messages call it."""
        return self.metavar or self.flags[-1] if self.positional else self.flags[-1]

    @property
    def key(self) -> str:
        """Its key in a settings file."""
        return self.keyed or self.flags[-1].lstrip("-")

    @property
    def positional(self) -> bool:
        """Whether this is a positional argument."""
        return not self.flags[0].startswith("-")

    def describe(self) -> str:
        """Return the help with the default and the environment variable."""
        notes = (
            f"[default: {self.shown}]" if self.shown else "",
            f"[env: {self.environment}]" if self.environment else "",
        )
        return " ".join(part for part in (self.help, *notes) if part)


class InvalidValue(Exception):
    """
    A value of an option is invalid.

    :ivar value: the value, without its secret.
    """

    def __init__(self, value: str, reason: str) -> None:
        Exception.__init__(self, reason)
        self.value = withoutSecrets(value)


def withoutSecrets(text: str) -> str:
    """Return a text as errors show it: without the secrets of lines by which users are invited, and of other URLs."""
    hidden = _IN_INVITATION.sub(lambda found: f"{found[1]}..." + "@" * found[0].endswith("@"), text)
    return _IN_QUERY.sub(r"\1...", _BEHIND_NAME.sub(":...@", hidden))


def option(
    flags: str,
    help: str,
    parse: Callable[[str], T],
    metavar: str,
    default: T,
    *,
    shown: str | None = None,
    environment: str | None = None,
    isFile: bool = False,
    unquoted: bool = False,
    choices: Sequence[str] = (),
) -> Option[T]:
    """
    Make an option with one value. If it is given more than once, the last value counts.

    :param flags: its flags, separated by blanks, the long one last.
    :param parse: converts the text; a ValueError says what would be valid.
    :param shown: the default in ``--help``, if it needs words.
    :param isFile: whether it names a file.
    :param unquoted: whether its values are numbers or dates; they are if the default is a number.
    :param choices: its values, if there are few.
    """

    def read(texts: Sequence[str]) -> T:
        return [_parse(parse, text) for text in texts][-1]

    number = unquoted or isinstance(default, int | float)
    shown = shown or _plain(default)
    words = tuple(flags.split())
    return Option(
        words, help, read, metavar, default, shown, environment, isFile=isFile, unquoted=number, choices=tuple(choices)
    )


def repeated(
    flags: str,
    help: str,
    parse: Callable[[str], T],
    metavar: str,
    *,
    shown: str | None = None,
    environment: str | None = None,
    keyed: str | None = None,
    unquoted: bool = False,
) -> Option[tuple[T, ...]]:
    """
    Make an option that may be given more than once. The other parameters are those of :func:`option`.

    :param keyed: its key in a settings file, if that is not its long flag.
    """

    def read(texts: Sequence[str]) -> tuple[T, ...]:
        return tuple(_parse(parse, text) for text in texts)

    words = tuple(flags.split())
    return Option(words, help, read, metavar, (), shown, environment, repeats=True, keyed=keyed, unquoted=unquoted)


def switch(flags: str, help: str) -> Option[bool]:
    """Make an option without a value: True if it is given."""
    return Option(tuple(flags.split()), help, None, None, False)


def _parse(parse: Callable[[str], T], text: str) -> T:
    try:
        return parse(text)
    except ValueError as e:
        raise InvalidValue(text, str(e)) from e


def _plain(default: object) -> str | None:
    """Return a default as the user would write it."""
    if default is None:
        return None
    return f"{default:g}" if isinstance(default, float) else str(default)
