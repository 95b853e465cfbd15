"""Reads a users file: a table for each user."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, TypeAlias

from bore.commandline import UsageError
from bore.config.mistakes import Mistake, badFile
from bore.config.tables import Keys, SettingsFile, Table
from bore.config.toml import LONGEST, decodeText, parseToml
from bore.option import Option
from bore.system.privatefiles import USERS, NotPrivate, readPrivate
from bore.users.entry import NAME_RULE, SHARED, UserEntry, Users
from bore.wire.binding import isUserName

#: Makes the entry of a user of the values in its table; raises UsageError for what contradicts itself.
MakeEntry: TypeAlias = Callable[[str, Keys], UserEntry]

#: The key at the top with the server's address, as clients reach it.
ADDRESS: Final = "address"

_BARE_SHARED: Final = re.compile(r"^[ \t]*\[[ \t]*\*[ \t]*\]", re.MULTILINE)


def readUsersFile(
    path: Path,
    keys: Sequence[Option[object]],
    required: Sequence[Option[object]],
    refused: Mapping[str, str],
    make: MakeEntry,
) -> Users:
    """
    Read a users file.

    :param keys: the keys of the table of a user.
    :param required: those that each must have, but for that of the shared secret.
    :param refused: other keys that people may try, with what would be right.
    :param make: makes the entries.
    :raises bore.commandline.BadFile: with all its mistakes.
    """
    try:
        data = readPrivate(path, USERS, LONGEST + 1)
    except NotPrivate as e:
        raise badFile(path, [Mistake((), str(e))]) from None
    except FileNotFoundError:
        raise badFile(path, [Mistake((), "does not exist: 'bore user add NAME --users FILE' makes it")]) from None
    except OSError as e:
        raise badFile(path, [Mistake((), f"cannot be read ({e.strerror})")]) from None
    text = decodeText(path, data)
    bare = _BARE_SHARED.search(text)
    if bare is not None:
        line = text[: bare.end()].count("\n") + 1
        raise badFile(path, [Mistake((), f'TOML wants quotes around the name of this table: ["{SHARED}"]', line)])
    file = SettingsFile(path, text)
    folder = path.absolute().parent
    named = Table(keys, required, refused, folder)
    shared = Table(keys, (), refused, folder)
    entries: dict[str, UserEntry] = {}
    for name, table in parseToml(path, text).items():
        if name == ADDRESS and isinstance(table, str):
            continue  # 'bore user' keeps it here for the lines that it prints
        if not isinstance(table, dict):
            file.add((name,), f"must be a table: write [{name}], and its keys below")
            continue
        if name != SHARED and not isUserName(name):
            file.add((name,), NAME_RULE)
        _checkNoTables(name, table, file)
        before = len(file)
        values = (shared if name == SHARED else named).read(table, (name,), file)
        if len(file) == before:
            try:
                entries[name] = make(name, values)
            except UsageError as e:
                file.add((name, str(e).split()[0]), str(e).partition(" ")[2])
    _compare(entries, file)

    def made() -> Users:
        everyone = entries.pop(SHARED, None)
        return Users(entries) if everyone is None else Users(entries, everyone.rights)

    return file.checked(made)


def _checkNoTables(name: str, table: dict[str, object], file: SettingsFile) -> None:
    """Find the user whose name has a dot and no quotes: TOML takes that for a table in a table."""
    for key, inside in list(table.items()):
        if isinstance(inside, dict):
            file.add((name, key), f'must not be a table; a name with a dot needs quotes: ["{name}.{key}"]')
            del table[key]


def _compare(entries: Mapping[str, UserEntry], file: SettingsFile) -> None:
    """Find secrets and exclusive ports that two users have."""
    secrets: dict[bytes, str] = {}
    for name, entry in entries.items():
        for key in entry.keys:
            other = secrets.setdefault(key.secret.key, name)
            if other != name:
                file.add((name, "key"), f"is a key of {other}, too: each user needs a secret of its own")
    exclusive = sorted(
        (lowest, highest, name) for name, entry in entries.items() for lowest, highest in entry.rights.exclusive.ranges
    )
    end, owner = 0, ""
    for lowest, highest, name in exclusive:
        if lowest <= end and name != owner:
            file.add((name, "exclusive"), f"has the port {lowest}, which is exclusive to {owner}, too")
        if highest > end:
            end, owner = highest, name
