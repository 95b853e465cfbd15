"""
What a command line is made of.

An option is described once, and that is enough to read it, to complain about it, and to explain it. A flag beats its
environment variable, and that beats the default.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, NoReturn, TypeVar

from bore import __version__

VERSION_TEXT: Final = f"txbore {__version__}"


def printable(text: str) -> str:
    """The text on one line, with every character escaped that would do something to a terminal."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


class UsageError(Exception):
    """The command line, or the environment, is wrong; the text says what would be right."""


@dataclass(frozen=True, slots=True)
class Option:
    """
    One option.

    :ivar flags: its flags, short ones first; one word without dashes is a positional argument.
    :ivar help: one sentence without a full stop.
    :ivar parse: makes the value of a text; a ValueError says what would be right. None: a flag that takes no value.
    :ivar default: the value when neither the flag nor the variable is given.
    :ivar shown: how the default is written in the help, where it is not plain.
    :ivar many: whether the flag may be given more than once: the value is a list. In the variable there are commas
        between the values.
    """

    flags: tuple[str, ...]
    help: str
    parse: Callable[[str], object] | None = None
    metavar: str | None = None
    default: object = None
    shown: str | None = None
    environment: str | None = None
    many: bool = False

    @property
    def name(self) -> str:
        """What the option's value is kept under."""
        return self.flags[-1].lstrip("-").replace("-", "_")

    @property
    def positional(self) -> bool:
        """Whether this is an argument and no flag."""
        return not self.flags[0].startswith("-")

    def describe(self) -> str:
        """The help, with the default and the environment variable."""
        shown = self.shown or (None if self.default is None or self.parse is None else str(self.default))
        notes = [f"[default: {shown}]" if shown else "", f"[env: {self.environment}]" if self.environment else ""]
        return " ".join(part for part in (self.help, *notes) if part).replace("%", "%%")


C = TypeVar("C")


class Command(Generic[C]):
    """
    One command: its options, and what they make together.

    :param name: how the user calls it.
    :param build: makes the result of all options' values, by name; the second argument has those that were given as
        flags. A UsageError says what does not go together.
    """

    def __init__(
        self,
        name: str,
        summary: str,
        options: Sequence[Option],
        build: Callable[[dict[str, Any], dict[str, Any]], C],
    ) -> None:
        self.name = name
        self.summary = summary
        self.options = tuple(options)
        self._build = build

    def parse(self, arguments: Sequence[str], environment: Mapping[str, str] = os.environ) -> C:
        """
        Read a command line.

        :raises UsageError: when something is wrong with it.
        :raises SystemExit: after ``--help`` or ``--version``, with code 0.
        """
        given = {k: v for k, v in vars(self._parser().parse_args(list(arguments))).items() if v is not None}
        values = {option.name: self._value(option, given, environment) for option in self.options}
        return self._build(values, given)

    def help(self) -> str:
        """The text of ``--help``."""
        return self._parser().format_help()

    def _value(self, option: Option, given: Mapping[str, Any], environment: Mapping[str, str]) -> object:
        if option.name in given:
            return given[option.name]
        if option.parse is not None and option.environment is not None and option.environment in environment:
            text = environment[option.environment]
            try:
                if option.many:
                    return [option.parse(part.strip()) for part in text.split(",")]
                return option.parse(text)
            except ValueError as e:
                raise UsageError(f"environment variable {option.environment}: {e}") from e
        return option.default

    def _parser(self) -> argparse.ArgumentParser:
        parser = _Parser(prog=self.name, description=self.summary, add_help=False, allow_abbrev=False)
        for option in self.options:
            if option.positional:
                parser.add_argument(
                    option.name, metavar=option.metavar, nargs="?", type=_argument(option), help=option.describe()
                )
            elif option.parse is None:
                parser.add_argument(
                    *option.flags, dest=option.name, action="store_const", const=True, help=option.describe()
                )
            else:
                parser.add_argument(
                    *option.flags,
                    action="append" if option.many else "store",
                    dest=option.name,
                    metavar=option.metavar,
                    type=_argument(option),
                    help=option.describe(),
                )
        parser.add_argument("-h", "--help", action="help", help="Print this help and exit")
        parser.add_argument(
            "-V", "--version", action="version", version=VERSION_TEXT, help="Print the version and exit"
        )
        return parser


class _Parser(argparse.ArgumentParser):
    """Raises what is wrong instead of ending the process."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(message.removeprefix("argument "))


def _argument(option: Option) -> Callable[[str], object]:
    parse = option.parse
    assert parse is not None

    def parseArgument(text: str) -> object:
        try:
            return parse(text)
        except ValueError as e:
            raise argparse.ArgumentTypeError(f"{text!r}: {e}") from e

    return parseArgument
