"""The options of the admin socket, which the server and the client have in common."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Final

from bore.commandline import UsageError, Values
from bore.option import Option, option, switch
from bore.status.settings import AdminSettings
from bore.system.statefolder import runtimeFolder
from bore.wire.publicaddress import MAX_UNIX_PATH


def _socketPath(text: str) -> Path:
    """Parse the path of a Unix socket of this machine."""
    if not hasattr(socket, "AF_UNIX"):
        raise ValueError("is for Unix sockets, which this system does not have: leave it out")
    if not text or "\0" in text or text.endswith("/"):
        raise ValueError("must be the path of a socket, such as /run/txbore/server.sock")
    if len(os.fsencode(os.path.abspath(text))) > MAX_UNIX_PATH:
        raise ValueError(f"must have at most {MAX_UNIX_PATH} bytes, with its directories: systems allow no more")
    return Path(text)


def _group(text: str) -> int:
    """Parse the name or the number of a group."""
    try:
        import grp
    except ImportError:
        raise ValueError("is for groups, which this system does not have: leave it out") from None
    try:
        return int(text) if text.isascii() and text.isdigit() else grp.getgrnam(text).gr_gid
    except KeyError:
        raise ValueError("must be a group of this machine") from None


ADMIN_SOCKET: Final = option(
    "--admin-socket",
    "Unix socket at which 'bore status' and 'bore reload' find this program",
    _socketPath,
    "PATH",
    None,
    shown="in the runtime directory",
    environment="BORE_ADMIN_SOCKET",
    isFile=True,
)
NO_ADMIN_SOCKET: Final = switch("--no-admin-socket", "Open no admin socket")
ADMIN_GROUP: Final = option(
    "--admin-group", "Let the members of this group use the admin socket as well", _group, "GROUP", None
)

#: All of them; each has a key in settings files.
KEYS: Final[tuple[Option[object], ...]] = (ADMIN_SOCKET, NO_ADMIN_SOCKET, ADMIN_GROUP)


def settings(found: Values) -> AdminSettings | None:
    """
    Return the settings of the admin socket; None if there is none.

    :raises UsageError: if the options contradict each other.
    """
    path, group = found[ADMIN_SOCKET], found[ADMIN_GROUP]
    if found[NO_ADMIN_SOCKET]:
        for each in (ADMIN_SOCKET, ADMIN_GROUP):
            if found.given(each):
                raise UsageError(f"{found.name(each)} and {found.name(NO_ADMIN_SOCKET)} exclude each other")
        return None
    if path is not None:
        whole = Path(os.path.abspath(path))
        return AdminSettings(whole, whole.parent, group)
    folder = runtimeFolder(found.environment) if hasattr(socket, "AF_UNIX") else None
    return None if folder is None else AdminSettings(None, folder, group)
