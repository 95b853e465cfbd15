"""docs/reliability.rst."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Sequence

from laboratory.fault import Fault
from laboratory.pairings import PAIRINGS, Pairing
from laboratory.results import Measured, Results, Run

_INTRODUCTION = """\
===========
Reliability
===========

The faults that were tested, what this tunnel promises for each, and the measured results. The tests run in a network of
hosts, each in its own network namespace. A router between them blocks, delays or drops packets without notifying either
side. Attackers run on a host of their own, in most tests with a delay to the server. ::

    make faults

repeats all tests as root, in {minutes}, and writes this file. ``make faults ARGS="--list"`` lists the rows, and
``ARGS="--only silence"`` measures one of them again. ``make test`` has a short form of each.
"""

_MEASURED = (
    "Measured on a shared virtual machine: {machine}. {origin} The promises apply to txbore's server with txbore's "
    "client, with or without TLS. The other pairings, with the original bore 0.6.0 at one end or at both, show how "
    "txbore behaves with an original peer, and how the original does."
)

_MINUTES = "about an hour"


def write(results: Results, matrix: Sequence[Fault]) -> str:
    """The whole report, as reStructuredText."""
    runs = sorted({one.run for fault in matrix for one in results.rows.get(fault.name, {}).values()})
    machine = results.machine or "nothing yet"
    measured = _MEASURED.format(machine=machine, origin=_origin(runs))
    parts = [f"{_INTRODUCTION.format(minutes=_MINUTES)}\n{textwrap.fill(measured, 120, break_on_hyphens=False)}\n"]
    each = not _isOne(runs)
    for pairing in PAIRINGS:
        rows = [fault for fault in matrix if results.get(fault.name, pairing)]
        if rows:
            parts.append("\n".join(_section(results, pairing, rows, each)))
    parts.append("\n".join(_notes(results, matrix)))
    return "\n\n".join(re.sub(r"[ \t]+$", "", part.strip("\n"), flags=re.MULTILINE) + "\n" for part in parts)


def _isOne(runs: Sequence[Run]) -> bool:
    """Whether all rows are known to be from one run."""
    return len(runs) == 1 and bool(runs[0].commit)


def _origin(runs: Sequence[Run]) -> str:
    """Where the figures are from, for the whole report."""
    if not runs:
        return "Nothing was measured."
    if _isOne(runs):
        return f"All rows were measured in one run, of {_commit(runs[0])}, on {runs[0].date}."
    return "The rows were measured in several runs: each row has its commit and date."


def _commit(run: Run) -> str:
    """A run's commit, in words."""
    commit = run.commit.removesuffix("+")
    if not commit:
        return "an unknown commit"
    return f"commit {commit}" + (" with further changes" if commit != run.commit else "")


def _heading(text: str, line: str = "=") -> list[str]:
    return [text, line * len(text), ""]


def _section(results: Results, pairing: Pairing, rows: Sequence[Fault], each: bool) -> Iterator[str]:
    """
    The table of one pairing.

    :param each: whether each row names the run that it is from.
    """
    yield from _heading(pairing.title)
    promised = pairing.isOurs
    if promised:
        kept = sum(not measured.broken for fault in rows if (measured := results.get(fault.name, pairing)))
        yield f"{kept} of {len(rows)} rows keep their promise."
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
        origin = f" ({_commit(measured.run)}, {measured.run.date})" if each else ""
        yield from _cells(escape(fault.say(fault.fault)), *promise, _measured(measured, promised) + origin)


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
    yield from _heading("Details")
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
