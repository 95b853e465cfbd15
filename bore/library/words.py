"""Parameters as options: ``secretFile=`` is ``--secret-file``."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Final, TypeVar

from bore.commandline import Command, UsageError
from bore.option import Option

#: The variables that are used as by the programs: where the user's files are, and no option.
_VARIABLES: Final = ("HOME", "STATE_DIRECTORY", "XDG_CONFIG_HOME", "XDG_STATE_HOME")

#: How a text says whether a switch is on.
_YES_NO: Final = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}

C = TypeVar("C")


def parameter(flag: str) -> str:
    """Return the name of a parameter: ``secretFile`` for ``--secret-file``."""
    return re.sub("-(.)", lambda found: found[1].upper(), flag.lstrip("-"))


def parsed(
    command: Command[C],
    given: Mapping[str, object],
    words: Sequence[str] = (),
    without: Collection[Option[object]] = (),
) -> C:
    """
    Parse parameters as a command line is parsed. Variables in the environment that have options have no effect.

    :param given: values by parameter. None is left out; a switch is True or False; a list or tuple repeats an option.
    :param words: positional arguments.
    :param without: options that are no parameters.
    :raises ValueError: when one is unknown or invalid; the text says what would be right.
    """
    options = [each for each in command.options if not each.positional and each not in without]
    known = {parameter(each.flags[-1]): each for each in options}
    line: list[str] = []
    for name, value in given.items():
        if name not in known:
            raise ValueError(_unknown(name, list(known)))
        line += _words(name, known[name], value)
    for word in words:
        if word.startswith("-"):  # argparse takes it for an option, even behind "--": --help would end the process
            raise ValueError(f"local {word!r}: must be a port, HOST:PORT or unix:PATH")
    environment = {name: os.environ[name] for name in _VARIABLES if name in os.environ}
    try:
        return command.parse([*line, *(["--", *words] if words else ())], environment)
    except UsageError as e:
        raise ValueError(re.sub(r"--[a-z][a-z-]+", lambda found: parameter(found[0]), str(e))) from None


def _words(name: str, option: Option[object], value: object) -> list[str]:
    flag = option.flags[-1]
    if value is None:
        return []
    if option.read is None:
        wanted = _YES_NO.get(value.lower()) if isinstance(value, str) else value
        if not isinstance(wanted, bool):
            raise ValueError(f"{name} {value!r}: must be yes or no")
        return [flag] if wanted else []
    each: Sequence[object] = value if isinstance(value, list | tuple) else [value]
    return [f"{flag}={one}" for one in each]


def _unknown(name: str, known: Sequence[str]) -> str:
    from difflib import get_close_matches

    nearest = get_close_matches(name, known, 1)
    return f"unknown parameter {name!r}; " + (f"did you mean {nearest[0]!r}?" if nearest else ", ".join(known))
