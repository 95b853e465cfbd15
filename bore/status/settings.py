"""The settings of the admin socket."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class AdminSettings:
    """
    The settings of the admin socket.

    :ivar path: the path of the socket that the user has given; None: it has a name of its own in ``folder``.
    :ivar folder: the runtime directory.
    :ivar group: the number of the group whose members may use it; None: only the user may, and root.
    """

    path: Path | None
    folder: Path
    group: int | None = None
