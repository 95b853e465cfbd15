"""Reads a settings file: TOML into values of options."""

from __future__ import annotations

import re
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
from bore.config.positions import lineOf, linesOf, withTables
from bore.config.toml import parseToml, readText
from bore.config.values import convert
from bore.option import Option

#: Values by their options.
Keys: TypeAlias = Mapping[Option[object], object]

#: The table whose entries are tunnels.
TUNNEL: Final = "tunnel"

#: In characters, so that a name fits into a log line and into the name of a file.
_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")

_ABSENT: Final = object()

T = TypeVar("T")


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
    :ivar hasTables: whether the file has tables, be they tunnels or mistakes.
    """

    def __init__(self, path: Path, text: str) -> None:
        self._path = path
        self._text = text
        self._mistakes: list[tuple[KeyPath, Text, KeyPath]] = []  # path, text, and whose line it has
        self.keys: Keys = {}
        self.tunnels: dict[str, Keys] = {}
        self.hasTables = False

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


def readFile(path: Path, vocabulary: Vocabulary) -> SettingsFile:
    """
    Read a settings file. Names of files in it are relative to its directory.

    :returns: what is right in it, and its mistakes so far: see :meth:`SettingsFile.checked`.
    :raises bore.commandline.BadFile: if it cannot be read, or is not TOML.
    """
    text, objection = readText(path)
    content = parseToml(path, text)
    file = SettingsFile(path, text)
    folder = path.absolute().parent
    tunnels = content.pop(TUNNEL, {}) if vocabulary.tunnel else {}
    others = {each.key: "belongs at the top of the file, before the first [table]" for each in vocabulary.options}
    inTunnels = {each.key: "belongs into a [tunnel.NAME] table" for each in vocabulary.tunnel}
    top = Table(
        vocabulary.options, (), {**inTunnels, **vocabulary.refused}, folder, (TUNNEL,) if vocabulary.tunnel else ()
    )
    file.keys = top.read(content, (), file)
    tunnel = Table(vocabulary.tunnel, vocabulary.required, {**others, **vocabulary.refused}, folder)
    file.hasTables = bool(tunnels) or any(isinstance(each, dict) for each in content.values())
    if not isinstance(tunnels, dict):
        file.add((TUNNEL,), "must be tables with names: write [tunnel.web], for instance")
    elif any(each.key in tunnels and not isinstance(tunnels[each.key], dict) for each in vocabulary.tunnel):
        file.add((TUNNEL,), "needs a name: write [tunnel.web], for instance, and the keys below")
    else:
        _readTunnels(tunnels, tunnel, file)
    if objection is not None:
        for each in vocabulary.private:
            if each in file.keys:
                file.add((each.key,), f"names a secret, or whom to trust, and the file {objection}")
    return file


def _readTunnels(tunnels: Mapping[str, object], tunnel: Table, file: SettingsFile) -> None:
    for name, table in tunnels.items():
        at = (TUNNEL, name)
        if not _NAME.fullmatch(name):
            file.add(at, "a name must have 1 to 64 letters, digits, '-', '_' and '.'")
        if not isinstance(table, dict):
            file.add(at, f"must be a table: write [tunnel.{name}], and its keys below")
            continue
        inside = [key for key, value in table.items() if isinstance(value, dict) and not tunnel.knows(key)]
        for key in inside:
            file.add((*at, key), f'must not be a table; a name with a dot needs quotes: [tunnel."{name}.{key}"]')
        if not inside:
            file.tunnels[name] = tunnel.read(table, at, file)


class Table:
    """
    Reads tables with certain keys.

    :param refused: other keys, with what would be right.
    :param folder: the directory that names of files are relative to.
    :param tables: the names of tables that may be beside the keys.
    """

    def __init__(
        self,
        options: Sequence[Option[object]],
        required: Sequence[Option[object]],
        refused: Mapping[str, str],
        folder: Path,
        tables: Sequence[str] = (),
    ) -> None:
        self._tables = tables
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

    def knows(self, key: str) -> bool:
        """Return whether a table may have a key."""
        return key in self._keys

    def read(self, table: Mapping[str, object], path: KeyPath, file: SettingsFile) -> Keys:
        """Read a table; its mistakes go to the file, and then it has no values."""
        try:
            values = self._converter.structure(table, self._made)
        except BaseExceptionGroup as group:
            for error in group.exceptions:
                for key, text in self._mistakes(error, table):
                    file.add((*path, key), text)
            return {}
        found = {each: getattr(values, name) for name, each in self._options.items()}
        isTunnel = len(path) > 1  # where a switch that is off undoes one that is on at the top; else it is not there
        return {
            each: value for each, value in found.items() if value is not _ABSENT and (value is not False or isTunnel)
        }

    def _mistakes(self, error: BaseException, table: Mapping[str, object]) -> Iterator[tuple[str, Text]]:
        """Return the keys and texts of an error of cattrs."""
        if isinstance(error, ForbiddenExtraKeysError):
            for name in sorted(error.extra_fields):
                yield name, partial(self._unknown, name, isinstance(table[name], Mapping))
            return
        (note,) = [each for each in error.__notes__ if isinstance(each, AttributeValidationNote)]
        key = self._options[note.name].key
        yield key, f"missing: {self._options[note.name].help}" if isinstance(error, KeyError) else str(error)

    def _unknown(self, name: str, isTable: bool) -> str:
        if name in self._refused:
            return self._refused[name]
        nearest = get_close_matches(name[:LONGEST_NAME].lower(), [*self._keys, *self._tables], 1)
        if isTable and not nearest and TUNNEL in self._tables:
            return f"unknown table; did you mean [{TUNNEL}.{name[:LONGEST_NAME]}]?"
        return (
            f"unknown key; did you mean {nearest[0]!r}?" if nearest else f"unknown key; keys: {', '.join(self._keys)}"
        )


def _hook(option: Option[object], folder: Path) -> Callable[[object, object], object]:
    def hook(value: object, _: object) -> object:
        return convert(option, value, folder)

    return hook
