"""
Command lines, which are made of options (:mod:`bore.option`).

A flag takes precedence over the key in the settings file, the key over the environment variable, and the variable over
the default.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from typing import Final, Generic, NoReturn, TypeVar, cast

from bore.option import InvalidValue, Option, withoutSecrets
from bore.version import __version__

VERSION_TEXT: Final = f"txbore {__version__}"

#: ``--help`` is not wider than this many columns, also on a wider terminal.
_MAX_WIDTH: Final = 80

#: Separates the values of an option that may be repeated, in its environment variable.
_SEPARATOR: Final = ","


def printable(text: str) -> str:
    """Return the text on one line, with characters escaped that would control a terminal."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def unknownCommand(word: str, commands: str) -> str:
    """
    Return the error for the name of a command that does not exist.

    :param commands: the names of those that exist, with commas between them.
    """
    nearest = _nearest(word, commands.split(", "))
    kind = "option" if word.startswith("-") else "command"
    hint = f"did you mean {nearest[0]!r}?" if nearest else f"commands: {commands}"
    return f"unknown {kind} {withoutSecrets(word)!r}; {hint}"


def _nearest(word: str, known: Sequence[str]) -> Sequence[str]:
    from difflib import get_close_matches  # only after a mistake

    return get_close_matches(word, known, 1)


class UsageError(Exception):
    """
    The command line or an environment variable is invalid. The text says what would be valid.

    :ivar command: the program and the command whose help has more; empty: the caller knows it.
    """

    command = ""


class NotPossible(Exception):
    """The command line is valid, and what it asks for cannot be had on this machine, or now."""


class BadFile(UsageError):
    """
    A settings file cannot be used.

    :ivar lines: a line for each mistake.
    """

    def __init__(self, lines: Sequence[str]) -> None:
        UsageError.__init__(self, "\n".join(lines))
        self.lines = lines


T = TypeVar("T")
C_co = TypeVar("C_co", covariant=True)


class Values:
    """
    The values of a command's options. ``values[option]`` has the type of the option.

    :param given: the texts given by flags; none for an option without a value.
    :ivar environment: the environment variables.
    :ivar hasFile: whether there is a settings file.
    """

    def __init__(
        self,
        options: Sequence[Option[object]],
        given: Mapping[Option[object], Sequence[str]],
        environment: Mapping[str, str],
    ) -> None:
        self.environment = environment
        self.hasFile = False
        self._given = given
        self._keys: Mapping[Option[object], object] = {}
        self._values = {each: self._value(each) for each in options}

    def __getitem__(self, option: Option[T]) -> T:
        """Return the value of an option: from its flag, its key, its variable or its default."""
        return cast(T, self._values[option])

    def given(self, option: Option[object]) -> bool:
        """Return whether the option was given by a flag or a key."""
        return option in self._given or option in self._keys

    def flagged(self, option: Option[object]) -> bool:
        """Return whether the option was given by a flag."""
        return option in self._given

    def name(self, option: Option[object]) -> str:
        """Return what errors call an option: its flag, or its key where a file has it or would be the place for it."""
        return option.name if option in self._given or not self.hasFile else option.key

    def withKeys(self, keys: Mapping[Option[object], object], further: Sequence[Option[object]] = ()) -> Values:
        """
        Return these values with those of keys in a settings file. Flags take precedence, and later keys over others.

        :param further: options that the command line does not have.
        """
        made = copy(self)
        made.hasFile = True
        made._keys = {**self._keys, **keys}
        defaults = {each: each.default for each in further if each not in self._values}
        made._values = {
            **defaults,
            **self._values,
            **{each: value for each, value in keys.items() if each not in self._given},
        }
        return made

    def _value(self, option: Option[object]) -> object:
        if option in self._given:
            return True if option.read is None else _read(option, self._given[option], option.name + " ")
        text = None if option.environment is None else self.environment.get(option.environment)
        if text is None:
            return option.default
        texts = [part.strip() for part in text.split(_SEPARATOR)] if option.repeats else [text]
        return _read(option, texts, f"{option.environment}=")


def _read(option: Option[object], texts: Sequence[str], label: str) -> object:
    assert option.read is not None
    try:
        return option.read(texts)
    except InvalidValue as e:
        raise UsageError(f"{label}{e.value!r}: {e}") from e


class Command(Generic[C_co]):
    """
    A command: its options, and what is made of their values.

    :param name: the program and the command, as the user writes them.
    :param build: makes the result; raises UsageError if values contradict each other.
    :param groups: the options in groups of the help, by their titles; those in none come last.
    :param examples: what the help shows first: command lines without the program's name.
    """

    def __init__(
        self,
        name: str,
        summary: str,
        options: Sequence[Option[object]],
        build: Callable[[Values], C_co],
        groups: Mapping[str, Sequence[Option[object]]] | None = None,
        examples: Sequence[str] = (),
    ) -> None:
        self.name = name
        self.summary = summary
        self.options = tuple(options)
        self.groups = groups or {}
        self.examples = examples
        self._build = build

    def parse(self, arguments: Sequence[str], environment: Mapping[str, str] = os.environ) -> C_co:
        """
        Parse a command line.

        :param environment: all environment variables that have an effect are read from here.
        :raises UsageError: if it is invalid.
        :raises SystemExit: with code 0, after ``--help`` or ``--version``.
        """
        try:
            found = vars(self._parser().parse_intermixed_args(list(arguments)))
            given = {each: found[key] for key, each in self._keyed() if found[key] is not None}
            return self._build(Values(self.options, given, environment))
        except UsageError as e:
            e.command = self.name
            raise

    def help(self) -> str:
        """Return the text of ``--help``."""
        return self._parser().format_help()

    def _keyed(self) -> list[tuple[str, Option[object]]]:
        """Return the options with the names that argparse keeps their texts under."""
        return [(str(number), each) for number, each in enumerate(self.options)]

    def _parser(self) -> argparse.ArgumentParser:
        positional = [f"[{each.metavar}{' ...' * each.repeats}]" for each in self.options if each.positional]
        examples = "".join(f"\n  bore {each}" for each in self.examples)
        parser = _Parser(
            prog=self.name,
            usage=" ".join([self.name, "[OPTION ...]", *positional]),
            description=self.summary + (f"\n\nexamples:{examples}" if examples else ""),
            add_help=False,
            allow_abbrev=False,
            formatter_class=_Formatter,
        )
        groups = {title: parser.add_argument_group(title) for title in self.groups}
        others = parser.add_argument_group("others") if groups else parser
        for key, each in self._keyed():
            title = next((title for title, options in self.groups.items() if each in options), None)
            adder: argparse._ActionsContainer = others if title is None else groups[title]
            help = each.describe().replace("%", "%%")
            if each.positional:
                nargs = "*" if each.repeats else "?"
                adder.add_argument(key, metavar=each.metavar, nargs=nargs, action=_StoreAsList, help=help)
            elif each.read is None:
                adder.add_argument(*each.flags, dest=key, action="store_const", const=(), help=help)
            else:
                adder.add_argument(*each.flags, dest=key, metavar=each.metavar, action="append", help=help)
        others.add_argument("-h", "--help", action="help", help="Print this help and exit")
        others.add_argument(
            "-V", "--version", action="version", version=VERSION_TEXT, help="Print the version and exit"
        )
        return parser


class _Parser(argparse.ArgumentParser):
    """Raises UsageError instead of ending the process."""

    def error(self, message: str) -> NoReturn:
        mistyped = re.match(r"unrecognized arguments: --([^\s=]+)", message)
        nearest = _nearest(mistyped[1], [each[2:] for each in self._option_string_actions]) if mistyped else ()
        hint = f"; did you mean '--{nearest[0]}'?" if nearest else ""
        raise UsageError(withoutSecrets(re.sub(r"^argument (-\w/)?", "", message)) + hint)


class _Formatter(argparse.HelpFormatter):
    """Limits the width, and leaves the lines of examples as they are."""

    def __init__(self, prog: str) -> None:
        argparse.HelpFormatter.__init__(self, prog, width=min(shutil.get_terminal_size().columns, _MAX_WIDTH) - 2)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        first, blank, examples = text.partition("\n\n")
        return argparse.HelpFormatter._fill_text(self, first, width, indent) + blank + examples


class _StoreAsList(argparse.Action):
    """Stores a positional argument as the other options' texts are stored."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: object,
        option_string: str | None = None,
    ) -> None:
        if values:  # argparse also calls this for none
            setattr(namespace, self.dest, values if isinstance(values, list) else [values])
