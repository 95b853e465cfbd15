"""Reads a settings file: TOML into values of options."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Final, TypeAlias, TypeVar

import attrs
from cattrs import AttributeValidationNote, Converter, ForbiddenExtraKeysError
from cattrs.gen import make_dict_structure_fn, override

from bore.commandline import UsageError
from bore.config.mistakes import LONGEST_NAME, Mistake, Text, badFile
from bore.config.positions import Path as KeyPath
from bore.config.positions import deepKey, lineOf, linesOf, withTables
from bore.config.values import convert
from bore.option import Option
from bore.system.namedfiles import openNamed, readNamed
from bore.system.privatefiles import SETTINGS, NotPrivate, checkPrivate

#: Values by their options.
Keys: TypeAlias = Mapping[Option[object], object]

#: In bytes; a thousand tunnels take a tenth of it.
LONGEST: Final = 1 << 20

#: The table whose entries are tunnels.
TUNNEL: Final = "tunnel"

#: In characters, so that a name fits into a log line and into the name of a file.
_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")

_ABSENT: Final = object()

T = TypeVar("T")

#: At the end of tomllib's errors.
_PLACE: Final = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)")

#: tomllib's error for a table that is there already, with the tuple of its names.
_TWICE: Final = re.compile(r"^Cannot declare \((.*)\) twice$")


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """
    The keys of a kind of file.

    :ivar options: those at its top.
    :ivar tunnel: those of each table of a tunnel; none: the file has no such tables.
    :ivar required: those that each tunnel must have.
    :ivar private: those for whose sake no other user may write the file.
    :ivar refused: other keys that users may try, with what would be right.
    """

    options: Sequence[Option[object]]
    tunnel: Sequence[Option[object]] = ()
    required: Sequence[Option[object]] = ()
    private: Sequence[Option[object]] = ()
    refused: Mapping[str, str] = field(default_factory=dict)


class SettingsFile:
    """
    The content of a settings file, and its mistakes so far.

    :ivar keys: the values at its top; none if one of them is wrong.
    :ivar tunnels: the values of each tunnel, by its name, in the order of the file.
    """

    def __init__(self, path: Path, text: str) -> None:
        self._path = path
        self._text = text
        self._mistakes: list[tuple[KeyPath, Text, KeyPath]] = []  # path, text, and whose line it has
        self.keys: Keys = {}
        self.tunnels: dict[str, Keys] = {}

    def __len__(self) -> int:
        """The number of mistakes so far."""
        return len(self._mistakes)

    def add(self, path: KeyPath, text: Text) -> None:
        """Add a mistake, or what makes its text if that is shown."""
        self._mistakes.append((path, text, path))

    def checked(self, make: Callable[[], T]) -> T:
        """
        Return what is made of the values.

        :param make: may raise a UsageError, which is another mistake. It is not called if a value at the top is wrong.
        :raises bore.commandline.BadFile: if there are mistakes.
        """
        made: list[T] = []
        if all(path[:1] == (TUNNEL,) for path, _, _ in self._mistakes):
            try:
                made.append(make())
            except UsageError as e:
                first = str(e).split()[0]  # the key that is to blame, if it is one
                self._mistakes.append(((), str(e), (first,)))
        if self._mistakes:
            lines = withTables(linesOf(self._text))
            found = [Mistake(path, text, lineOf(at, lines)) for path, text, at in self._mistakes]
            raise badFile(self._path, found)
        return made[0]


def keysOf(path: Path) -> dict[str, object]:
    """
    Return what a file has at its top.

    :raises bore.commandline.BadFile: if it cannot be read, or is not TOML.
    """
    return parseToml(path, _read(path)[0])


def readFile(path: Path, vocabulary: Vocabulary) -> SettingsFile:
    """
    Read a settings file. Names of files in it are relative to its directory.

    :returns: what is right in it, and its mistakes so far: see :meth:`SettingsFile.checked`.
    :raises bore.commandline.BadFile: if it cannot be read, or is not TOML.
    """
    text, objection = _read(path)
    content = parseToml(path, text)
    file = SettingsFile(path, text)
    folder = path.absolute().parent
    tunnels = content.pop(TUNNEL, {}) if vocabulary.tunnel else {}
    others = {each.key: "belongs at the top of the file, before the first [table]" for each in vocabulary.options}
    inTunnels = {each.key: "belongs into a [tunnel.NAME] table" for each in vocabulary.tunnel}
    top = Table(vocabulary.options, (), {**inTunnels, **vocabulary.refused}, folder)
    file.keys = top.read(content, (), file)
    tunnel = Table(vocabulary.tunnel, vocabulary.required, {**others, **vocabulary.refused}, folder)
    if not isinstance(tunnels, dict):
        file.add((TUNNEL,), "must be tables, such as [tunnel.web]")
        tunnels = {}
    for name, table in tunnels.items():
        at = (TUNNEL, name)
        if not _NAME.fullmatch(name):
            file.add(at, "a name must have 1 to 64 letters, digits, '-', '_' and '.'")
        if isinstance(table, dict):
            file.tunnels[name] = tunnel.read(table, at, file)
        else:
            file.add(at, f"must be a table: write [tunnel.{name}], and its keys below")
    if objection is not None:
        for each in vocabulary.private:
            if each in file.keys:
                file.add((each.key,), f"names a secret, and the file {objection}")
    return file


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
        raise badFile(path, [Mistake((), f"not valid TOML: {reason}", place)]) from None
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


def _read(path: Path) -> tuple[str, str | None]:
    """Read a file; return also why it must not name secrets, or None."""
    objection = None
    try:
        with openNamed(path) as opened:
            try:
                checkPrivate(path, opened, SETTINGS)
            except NotPrivate as e:
                objection = str(e)
            return decodeText(path, readNamed(path, opened, LONGEST + 1)), objection
    except OSError as e:
        raise badFile(path, [Mistake((), f"cannot be read ({e.strerror})")]) from None


def _twice(error: re.Match[str]) -> str:
    """Return what is wrong with a table that is there already."""
    names = ".".join(re.findall("'([^']*)'", error[1]))
    return f"[{names}] is there twice: give each table a name of its own"


class Table:
    """
    Reads tables with certain keys.

    :param refused: other keys, with what would be right.
    :param folder: the directory that names of files are relative to.
    """

    def __init__(
        self,
        options: Sequence[Option[object]],
        required: Sequence[Option[object]],
        refused: Mapping[str, str],
        folder: Path,
    ) -> None:
        # An underscore at the end: a key may be a keyword of Python.
        self._options = {each.key.replace("-", "_") + "_": each for each in options}
        self._keys = [each.key for each in options]
        self._refused = refused
        fields = {
            name: attrs.field() if each in required else attrs.field(default=_ABSENT)
            for name, each in self._options.items()
        }
        self._made: type[object] = attrs.make_class("Table", fields)
        self._converter = Converter()
        overrides = {
            name: override(rename=each.key, struct_hook=_hook(each, folder)) for name, each in self._options.items()
        }
        self._converter.register_structure_hook(
            self._made,
            make_dict_structure_fn(
                self._made,
                self._converter,
                _cattrs_forbid_extra_keys=True,
                **overrides,  # type: ignore[arg-type]  # mypy takes them for the other parameters as well
            ),
        )

    def read(self, table: Mapping[str, object], path: KeyPath, file: SettingsFile) -> Keys:
        """Read a table; its mistakes go to the file, and then it has no values."""
        try:
            values = self._converter.structure(table, self._made)
        except BaseExceptionGroup as group:
            for error in group.exceptions:
                for key, text in self._mistakes(error):
                    file.add((*path, key), text)
            return {}
        found = {each: getattr(values, name) for name, each in self._options.items()}
        # A switch that is off is like one that is not there.
        return {each: value for each, value in found.items() if value is not _ABSENT and value is not False}

    def _mistakes(self, error: BaseException) -> Iterator[tuple[str, Text]]:
        """Return the keys and texts of an error of cattrs."""
        if isinstance(error, ForbiddenExtraKeysError):
            for name in sorted(error.extra_fields):
                yield name, partial(self._unknown, name)
            return
        (note,) = [each for each in error.__notes__ if isinstance(each, AttributeValidationNote)]
        key = self._options[note.name].key
        yield key, f"missing: {self._options[note.name].help}" if isinstance(error, KeyError) else str(error)

    def _unknown(self, name: str) -> str:
        if name in self._refused:
            return self._refused[name]
        nearest = get_close_matches(name[:LONGEST_NAME], self._keys, 1)
        return (
            f"unknown key; did you mean {nearest[0]!r}?" if nearest else f"unknown key; keys: {', '.join(self._keys)}"
        )


def _hook(option: Option[object], folder: Path) -> Callable[[object, object], object]:
    def hook(value: object, _: object) -> object:
        return convert(option, value, folder)

    return hook
