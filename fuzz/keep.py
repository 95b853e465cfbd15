"""Which inputs are worth keeping: those that reach a pair of lines that no earlier one reaches."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from _typeshed import TraceFunction

#: A file, a line, and the line before it in the same function.
Arc: TypeAlias = tuple[str, int, int]

_SOURCES: Final = str(Path(__file__).parents[1] / "bore")


def arcs(target: Callable[[bytes], None], data: bytes) -> set[Arc]:
    """The pairs of lines of the program that an input reaches."""
    reached: set[Arc] = set()

    def enter(frame: FrameType, event: str, argument: object) -> TraceFunction | None:
        name = frame.f_code.co_filename
        if not name.startswith(_SOURCES):
            return None
        last = 0

        def step(frame: FrameType, event: str, argument: object) -> TraceFunction:
            nonlocal last
            if event == "line":
                reached.add((name, last, frame.f_lineno))
                last = frame.f_lineno
            return step

        return step

    before = sys.gettrace()
    sys.settrace(enter)
    try:
        target(data)
    finally:
        sys.settrace(before)
    return reached


def worthKeeping(target: Callable[[bytes], None], inputs: Iterable[bytes]) -> list[bytes]:
    """The inputs that reach something new, the earlier and the shorter ones first."""
    seen: set[Arc] = set()
    kept: list[bytes] = []
    for each in sorted(inputs, key=len):
        reached = arcs(target, each)
        if not reached <= seen:
            seen |= reached
            kept.append(each)
    return kept
