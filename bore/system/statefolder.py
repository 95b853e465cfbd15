"""The directories in which a program keeps its state, and its user keeps its settings."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

#: The variable with the user's home directory. Some daemons are started without it.
_HOME: Final = "USERPROFILE" if os.name == "nt" else "HOME"


def stateFolder(environment: Mapping[str, str]) -> Path | None:
    """
    Return the directory for the state that a program of this user keeps; None if there is none.

    It is systemd's StateDirectory (systemd.exec(5)), or else the one of the XDG Base Directory Specification.
    """
    folder = environment.get("STATE_DIRECTORY", "").split(":")[0]
    if folder:
        return Path(folder)
    return _folder(environment, "XDG_STATE_HOME", ".local/state")


def settingsFolder(environment: Mapping[str, str]) -> Path | None:
    """Return the directory for this user's settings (XDG Base Directory Specification); None if there is none."""
    return _folder(environment, "XDG_CONFIG_HOME", ".config")


def runtimeFolder(environment: Mapping[str, str]) -> Path | None:
    """
    Return the directory for the sockets of a program of this user; None if there is none.

    It is systemd's RuntimeDirectory (systemd.exec(5)), or else root's, or the one of the XDG Base Directory
    Specification.
    """
    folder = environment.get("RUNTIME_DIRECTORY", "").split(":")[0]
    if folder:
        return Path(folder)
    if os.name == "posix" and os.geteuid() == 0:
        return Path("/run/txbore")
    named = environment.get("XDG_RUNTIME_DIR", "")
    return Path(named, "txbore") if os.path.isabs(named) else None


def _folder(environment: Mapping[str, str], variable: str, inHome: str) -> Path | None:
    named = environment.get(variable, "")
    if os.path.isabs(named):  # the specification ignores other paths
        return Path(named, "txbore")
    home = environment.get(_HOME, "") or _homeFromSystem()
    return Path(home, inHome, "txbore") if os.path.isabs(home) else None


def _homeFromSystem() -> str:
    """Return the home directory according to the system's database of users, or an empty text."""
    try:
        import pwd

        return pwd.getpwuid(os.getuid()).pw_dir
    except (ImportError, KeyError):
        return ""
