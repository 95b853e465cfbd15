"""docs/reliability.rst."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Sequence

from tests.lab.fault import Fault
from tests.lab.pairings import OURS, PAIRINGS, Pairing
from tests.lab.results import Measured, Results

_INTRODUCTION = """\
===========
Reliability
===========

A tunnel is as good as what it does when something goes wrong. Here is what goes wrong, what this one promises then, and
what was measured: in a network of hosts, each in a network namespace of its own, with a router between them that is
told to be silent, to hold back, or to lose. The router tells nobody. ::

    make faults

runs all of it as root, in {minutes}, and writes this file; ``make faults ARGS="--list"`` lists the rows, and
``ARGS="--only silence"`` measures one of them anew. ``make test`` has all of them in a short form.
"""

_MEASURED = (
    "Measured on a virtual machine that it shared with others: {machine}, {date}. What is promised is promised of our "
    "own server with our own client. The other pairings, with the original bore 0.6.0 on either side or on both, show "
    "what ours can do for an original peer, and what the original does."
)

_MINUTES = "about 25 minutes"


def write(results: Results, matrix: Sequence[Fault]) -> str:
    """The whole report, as reStructuredText."""
    dates = sorted({one.date for row in results.rows.values() for one in row.values()})
    date = dates[-1] if dates else "never"
    machine = results.machine or "nothing yet"
    measured = textwrap.fill(_MEASURED.format(machine=machine, date=date), 120, break_on_hyphens=False)
    parts = [f"{_INTRODUCTION.format(minutes=_MINUTES)}\n{measured}\n"]
    for pairing in PAIRINGS:
        rows = [fault for fault in matrix if results.get(fault.name, pairing)]
        if rows:
            parts.append("\n".join(_section(results, pairing, rows)))
    parts.append("\n".join(_notes(results, matrix)))
    return "\n\n".join(re.sub(r"[ \t]+$", "", part.strip("\n"), flags=re.MULTILINE) + "\n" for part in parts)


def _heading(text: str, line: str = "=") -> list[str]:
    return [text, line * len(text), ""]


def _section(results: Results, pairing: Pairing, rows: Sequence[Fault]) -> Iterator[str]:
    yield from _heading(pairing.title)
    promised = pairing == OURS
    if promised:
        kept = sum(not measured.broken for fault in rows if (measured := results.get(fault.name, pairing)))
        yield f"{kept} of {len(rows)} rows are as promised."
        yield ""
    yield ".. list-table::"
    yield "   :header-rows: 1"
    yield "   :widths: " + ("25 35 40" if promised else "35 65")
    yield ""
    yield from _cells("fault", *(["promise"] if promised else []), "measured")
    for fault in rows:
        measured = results.get(fault.name, pairing)
        assert measured is not None
        promise = [escape(fault.say(fault.promise))] if promised else []
        yield from _cells(escape(fault.say(fault.fault)), *promise, _measured(measured, promised))


def _cells(*texts: str) -> Iterator[str]:
    for n, text in enumerate(texts):
        lead = "   * - " if n == 0 else "     - "
        yield from textwrap.wrap(
            text, 120, initial_indent=lead, subsequent_indent="       ", break_on_hyphens=False, break_long_words=False
        )


def _measured(measured: Measured, promised: bool) -> str:
    if measured.trouble:
        return ("**not kept:** " if promised else "") + escape(measured.trouble)
    words = [
        f"**not kept: {escape(text)}**" if promised and kept is False else escape(text)
        for text, kept in measured.findings
    ]
    return "; ".join(words)


def _notes(results: Results, matrix: Sequence[Fault]) -> Iterator[str]:
    yield from _heading("What exactly was done")
    for fault in matrix:
        row = results.rows.get(fault.name, {})
        if not row:
            continue
        yield from _heading(fault.name, "-")
        yield from textwrap.wrap(escape(fault.say(f"{fault.fault[0].upper()}{fault.fault[1:]}. {fault.how}")), 120)
        yield ""
        for pairing in PAIRINGS:
            for figure in row[pairing.key].figures if pairing.key in row else []:
                yield f"{pairing.title}::"
                yield ""
                yield textwrap.indent(figure, "    ")
                yield ""


def escape(text: str) -> str:
    """A text with nothing in it that means something to reStructuredText."""
    return re.sub(r"([*`|_\\])", r"\\\1", text)
