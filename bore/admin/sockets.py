"""The admin sockets of running programs: where they are."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

#: What the names of the sockets end with.
_SUFFIX: Final = ".sock"

#: Where programs of the system, and those of users, have their runtime directories.
_SYSTEM: Final = Path("/run/txbore")
_USERS: Final = Path("/run/user")

#: The kinds of programs, which the names of their sockets begin with.
SERVER: Final = "server"
CLIENT: Final = "client"


@dataclass(frozen=True, slots=True)
class AdminSocket:
    """
    The admin socket of a program.

    :ivar path: where it is.
    """

    path: Path

    @property
    def program(self) -> str:
        """The kind of the program; empty: the name does not tell."""
        kind = self.path.name.partition("-")[0]
        return kind if kind in (SERVER, CLIENT) else ""


class Found(NamedTuple):
    """
    What the runtime directories have.

    :ivar sockets: the sockets, in the order of their names.
    :ivar closed: directories that this user must not read.
    """

    sockets: Sequence[AdminSocket]
    closed: Sequence[Path]


def runtimeFolders(environment: Mapping[str, str], uid: int | None = None) -> list[Path]:
    """
    Return the directories in which programs have their sockets, as far as this user may use them.

    :param uid: the user; None: that of this process.
    """
    named = environment.get("RUNTIME_DIRECTORY", "")
    if named:  # of a unit of systemd: this is run by the unit, or a test
        return [Path(each) for each in named.split(":") if each]
    own = environment.get("XDG_RUNTIME_DIR", "")
    if uid is None:
        uid = os.getuid() if hasattr(os, "getuid") else 0
    mine = Path(own) if os.path.isabs(own) else _USERS / str(uid)
    return [mine / "txbore", _SYSTEM]


def findSockets(folders: Iterable[Path]) -> Found:
    """Return the sockets in these directories, and in the directories of units below them."""
    sockets: list[AdminSocket] = []
    closed: list[Path] = []
    for folder in folders:
        for each in _withUnits(folder):
            try:
                names = sorted(os.listdir(each))
            except PermissionError:
                closed.append(each)
            except OSError:
                continue
            else:
                sockets += [AdminSocket(each / name) for name in names if name.endswith(_SUFFIX)]
    return Found(list(dict.fromkeys(sockets)), closed)


def _withUnits(folder: Path) -> Iterator[Path]:
    yield folder
    try:
        with os.scandir(folder) as entries:
            below = sorted(each.path for each in entries if stat.S_ISDIR(each.stat(follow_symlinks=False).st_mode))
    except OSError:
        return
    yield from map(Path, below)
