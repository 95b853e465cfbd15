"""
Draws ``docs/events.rst`` from the classes of events::

    python -m tests.eventspage > docs/events.rst
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable
from dataclasses import fields
from enum import Enum
from textwrap import fill
from types import ModuleType
from typing import Final, get_args, get_type_hints

import bore.events
from bore.client import log as clientLog
from bore.events import Event, VisitorEnded, VisitorEvent, client, nameOf, server
from bore.server import log as serverLog

_WIDTH: Final = 120

_TITLE: Final = "Events"

_INTRODUCTION: Final = """\
With ``--log-format json`` each line of the log is a JSON object. Programs can rely on the names of events and of their
fields: they stay, and new ones may be added. The texts in ``message``, and in fields that are for people, may change.
This page is generated from the classes in ``bore/events`` (``python -m tests.eventspage``).

Each line has:

``time``
    when, in UTC, as in RFC 3339 with milliseconds
``level``
    ``debug``, ``info``, ``warn``, ``error`` or ``critical``
``source``
    the part of the program
``event``
    the name of the event; null for lines about the program itself, such as faults, and for a line that only adds
    something to the one before
``message``
    the text, as ``--log-format text`` has it

The other keys are the fields of the event. Durations are in seconds, amounts of data in bytes. Further keys may be
there:

``code``
    beside ``error``, if that is a refusal: its code, which is the same for each of its kind
``count``
    where the event has no such field: the line is a sum. It repeats those of a burst that had lines, and is for those
    that had none. Events that anyone can cause in large numbers have a line when a burst begins, and sums
``user``
    is left out where it would be empty
``worker``, ``generation``
    with ``--workers``: at which worker process that was, and its generation. Lines of the supervisor have none. In the
    text of a line they are at its end: ``[worker 3, generation 1]``

Events of single visitors and lanes are logged with ``--log-level debug`` only.
"""

_SECTIONS: Final = (
    ("Both programs", bore.events),
    ("The server", server),
    ("The client", client),
)


def eventsIn(module: ModuleType) -> list[type[Event]]:
    """The events that a module defines, in their order there."""
    return [
        each
        for each in vars(module).values()
        if inspect.isclass(each) and issubclass(each, Event) and each.__module__ == module.__name__
        and each not in (Event, VisitorEvent, VisitorEnded)
    ]  # fmt: skip


def _asText(text: str) -> str:
    """A docstring's text on one line, with events by their names."""
    named = re.sub(r":class:`~?(?:[\w.]+\.)?(\w+)`(?: s\b)?", _reference, " ".join(text.split()))
    return re.sub(r"\bNone\b", "null", named).replace("``address``", "``port``")


def _reference(found: re.Match[str]) -> str:
    name = re.sub("(?<=.)(?=[A-Z])", "-", found.group(1)).lower()
    return f"``{name}``"


def _shared(module: ModuleType) -> dict[str, str]:
    """What the module's docstring has of fields that several events have."""
    found: dict[str, str] = {}
    for item in re.findall(r"^- (.*?)(?=^- |^$)", inspect.getdoc(module) or "", re.MULTILINE | re.DOTALL):
        names, _, text = item.partition(": ")
        found |= {name: _asText(text).rstrip(".") for name in re.findall(r"``(\w+)``", names)}
    return found


def _parts(kind: type[Event]) -> tuple[str, dict[str, str]]:
    """An event's text, and what its docstring has of its fields."""
    text, *ivars = re.split(r"^:ivar ", inspect.getdoc(kind) or "", flags=re.MULTILINE)
    pairs = (each.partition(": ") for each in ivars)
    return _asText(text), {name: _asText(meaning).rstrip(".") for name, _, meaning in pairs}


def _field(name: str, hint: object, meaning: str) -> str:
    kinds = get_args(hint) or (hint,)
    shown = "``port``, ``path`` or ``kind``" if name == "address" else f"``{name}``"
    values = [
        f"``{value.value}``" for kind in kinds if isinstance(kind, type) and issubclass(kind, Enum) for value in kind
    ]
    if values:
        meaning = f"{meaning}; " if meaning else ""
        meaning += f"one of {', '.join(values)}"
    return fill(
        f"- {shown}: {meaning}" if meaning else f"- {shown}",
        _WIDTH,
        initial_indent="    ",
        subsequent_indent="      ",
        break_on_hyphens=False,
    )


def _entry(kind: type[Event], shared: dict[str, str]) -> str:
    text, meanings = _parts(kind)
    if kind in serverLog.SILENT | clientLog.SILENT:
        text += " It is not in the log."
    hints = get_type_hints(kind)
    lines = [
        f"``{nameOf(kind)}``",
        fill(text, _WIDTH, initial_indent="    ", subsequent_indent="    ", break_on_hyphens=False),
    ]
    names = [field.name for field in fields(kind)]
    if names:
        lines.append("")
    lines += [_field(name, hints[name], meanings.get(name, shared.get(name, ""))) for name in names]
    return "\n".join(lines)


def _section(title: str, module: ModuleType) -> Iterable[str]:
    yield f"\n{title}\n{'=' * len(title)}\n"
    shared = _shared(module)
    for kind in eventsIn(module):
        yield _entry(kind, shared) + "\n"


def page() -> str:
    """The whole page."""
    rule = "=" * len(_TITLE)
    lines = [f"{rule}\n{_TITLE}\n{rule}\n", _INTRODUCTION]
    for title, module in _SECTIONS:
        lines += _section(title, module)
    return "\n".join(lines)[:-1]


if __name__ == "__main__":
    print(page())  # noqa: T201
