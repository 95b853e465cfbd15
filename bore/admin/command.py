"""What the user asks for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path


@dataclass(frozen=True, slots=True)
class AdminCommand:
    """
    The result of parsing one of these commands.

    :ivar action: its word.
    :ivar socket: the admin socket; None: those of the running programs.
    :ivar program: the kind of programs that it is for; empty: all.
    :ivar folders: the directories in which programs have their sockets.
    :ivar subject: the tunnel or the user; empty: everything.
    :ivar json: whether the answer is printed as it is.
    :ivar watch: whether it is asked for again and again.
    :ivar within: how long visitors may stay; None: as the program decides.
    """

    action: str
    socket: Path | None
    program: str
    folders: Sequence[Path]
    subject: str = ""
    json: bool = False
    watch: bool = False
    within: timedelta | None = None
