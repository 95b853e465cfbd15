"""Where a program keeps what it has to remember."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path


def stateFolder(environment: Mapping[str, str] = os.environ) -> Path | None:
    """
    Where a program of this user keeps what it is to remember: what systemd gives it (StateDirectory), else by the XDG
    Base Directory Specification; None if there is no such place.
    """
    folder = environment.get("STATE_DIRECTORY", "").split(":")[0]
    if folder:
        return Path(folder)
    home = environment.get("XDG_STATE_HOME", "")
    if os.path.isabs(home):  # the specification has others ignored
        return Path(home, "txbore")
    try:
        return Path.home() / ".local" / "state" / "txbore"
    except RuntimeError:
        return None
