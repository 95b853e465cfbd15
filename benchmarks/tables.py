"""The figures as tables in reST: the ones of docs/speed.rst, and one of everything for each case."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks import goals
from benchmarks.bench import Trouble
from benchmarks.cases import CASES
from benchmarks.figures import FIGURES, Spread
from benchmarks.results import Results
from benchmarks.subjects import ENCRYPTED, ORIGINAL, PLAIN, SSH, SUBJECTS, WITH_WORKERS, WORKERS
from benchmarks.tunnels import Subject

#: The comments in docs/speed.rst between which the fragment is.
BEGIN: Final = ".. benchmark begin"
END: Final = ".. benchmark end"

#: A row of the tables in docs/speed.rst: its label, and the case, point and figure that it shows.
Row = tuple[str, str, str, str]

#: What it costs: these figures vary little with what else a machine does.
COSTS: Final[tuple[Row, ...]] = (
    ("CPU µs per visitor, 32 at once", "visitors", "32", "cpu"),
    ("CPU µs per visitor, 256 at once", "visitors", "256", "cpu"),
    ("system calls per visitor", "calls", "32", "both"),
    ("CPU µs per request, 16 conn.", "requests", "16", "cpu"),
    ("CPU µs per request, 128 conn.", "requests", "128", "cpu"),
    ("CPU s per GB in, 1 stream", "bulk", "1 stream in", "cpu"),
    ("CPU s per GB in, 4 streams", "bulk", "4 streams in", "cpu"),
    ("CPU s per GB out, 1 stream", "bulk", "1 stream out", "cpu"),
    ("CPU s per GB out, 4 streams", "bulk", "4 streams out", "cpu"),
    ("KiB per idle visitor, 1000", "memory", "1000", "each"),
    ("KiB per idle visitor, 4000", "memory", "4000", "each"),
    ("MiB at rest", "memory", "0", "rss"),
    ("ms/s CPU with 1000 base tunnels", "rest", "1000 base", "idle"),
    ("ms/s CPU with 1000 extended ones", "rest", "1000 extended", "idle"),
    ("KiB per tunnel at the server", "rest", "1000 base", "each"),
)

#: How long it takes.
TIMES: Final[tuple[Row, ...]] = (
    ("ms to the first byte, added", "first", "idle", "p50"),
    ("ms of a visit, 99 in 100", "visitors", "32", "p99"),
    ("ms of a request, 99 in 100", "requests", "16", "p99"),
    ("s until 4000 at once are served", "burst", "4000", "last"),
)

#: Where more is better.
MORE: Final[tuple[Row, ...]] = (
    ("Gbit/s in, 1 stream", "bulk", "1 stream in", "rate"),
    ("Gbit/s in, 4 streams", "bulk", "4 streams in", "rate"),
    ("Gbit/s out, 1 stream", "bulk", "1 stream out", "rate"),
    ("Gbit/s out, 4 streams", "bulk", "4 streams out", "rate"),
    ("new visitors/s, 32 at once", "visitors", "32", "rate"),
    ("new visitors/s, 256 at once", "visitors", "256", "rate"),
    ("the same, 1000 tunnels open", "growth", "1000", "rate"),
    ("requests/s, 16 connections", "requests", "16", "rate"),
    ("requests/s, 128 connections", "requests", "128", "rate"),
    ("served of 4000 within a second", "burst", "4000", "served"),
    ("served of 20 000 within a second", "burst", "20000", "served"),
)

#: What workers cost, and what they are to be compared with.
OF_WORKERS: Final[tuple[Row, ...]] = (
    ("CPU µs per visitor, 32 at once", "visitors", "32", "cpu"),
    ("CPU µs per visitor, 256 at once", "visitors", "256", "cpu"),
    ("CPU µs per control connection", "knocks", "plain", "cpu"),
    ("the same, with a secret", "knocks", "secret", "cpu"),
    ("the same, a TLS handshake each", "knocks", "tls", "cpu"),
    ("control connections/s", "knocks", "plain", "rate"),
    ("the same, with a secret", "knocks", "secret", "rate"),
    ("the same, a TLS handshake each", "knocks", "tls", "rate"),
    ("MiB of the server at rest", "memory", "0", "serverRss"),
    ("MiB of the supervisor", "memory", "0", "supervisorRss"),
    ("MiB of a worker", "memory", "0", "workerRss"),
)

#: In the place of a figure that could not be measured, or for which the machine or the time was too small.
FAILED: Final = "failed"
SKIPPED: Final = "skipped"

#: Those that are no program of their own.
_SAME: Final = ("direct", "base", "portable", "tls", "tls-base", "mixed", "worker", "workers", "rathole-noise")


def simpleTable(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """
    A reST table.

    :param header: the columns' titles; a newline breaks a title into lines.
    """
    split = [title.split("\n") for title in header]
    height = max(len(lines) for lines in split)
    # A blank first cell continues the row above: so a title is broken, and so no other first cell may be blank.
    titles = [[lines[at] if at < len(lines) else "" for lines in split] for at in range(height)]
    widths = [max(len(row[at]) for row in [*titles, *rows]) for at in range(len(header))]
    rule = " ".join("=" * width for width in widths)

    def line(row: Sequence[str]) -> str:
        return " ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()

    return "\n".join([rule, *map(line, titles), rule, *map(line, rows), rule, ""])


def _number(value: float, decimals: int) -> str:
    return f"{value:.{decimals}f}"


def _missing(results: Results, case: str, point: str, subject: Subject) -> str:
    """What is shown in the place of a figure that there is not; empty if there should not be one."""
    if not any(each.key == case and each.isFor(subject.key) for each in CASES):
        return ""
    trouble = results.whyMissing(case, point, subject.key)
    if trouble is None:
        return ""
    return SKIPPED if trouble.excused else FAILED


def _pageTable(results: Results, rows: Sequence[Row], group: Sequence[Subject], reference: str) -> str:
    subjects = [subject for subject in group if subject.key in results.subjects and subject.key != "portable"]
    body = []
    for label, case, point, figure in rows:
        cells = []
        for subject in subjects:
            summary = results.summaries.get((case, point, subject.key, figure))
            if summary is None:
                cells.append(_missing(results, case, point, subject))
                continue
            text = _number(summary.value.median, FIGURES[case][figure].decimals)
            if subject.key != reference and reference in summary.ratios:
                text += f" ({summary.ratios[reference].median:.2f})"
            cells.append(text)
        if any(cell not in ("", SKIPPED) for cell in cells):
            body.append([label, *cells])
    return simpleTable(["what", *(_broken(subject.title) for subject in subjects)], body) if body else ""


def _broken(title: str) -> str:
    """A subject's title in two lines: what is in parentheses stays together."""
    first, paren, rest = title.partition(" (")
    return f"{first}\n({rest}" if paren else "\n".join(title.rsplit(" ", 1))


def conditions(results: Results) -> str:
    """Where the figures come from, as sentences."""
    machine = results.machine
    versions = [
        f"{subject.title} {machine['subjects'][subject.key]}"
        for subject in SUBJECTS
        if subject.key in results.subjects and subject.key not in _SAME
    ]
    rounds = f"{results.rounds} rounds" if results.rounds > 1 else "one round"
    build = machine.get("build", "of unknown build")
    return (
        f"Everything on one machine, over loopback: {machine['cores']} cores ({machine['cpu']}), Linux "
        f"{machine['kernel']}, Python {machine['python']} ({build}), Twisted {machine['packages']['Twisted']}. "
        f"{', '.join(versions)}. Medians of {rounds} with {results.seconds} s for each figure, {machine['date'][:10]}."
    )


def fragment(results: Results) -> str:
    """What docs/speed.rst shows."""
    parts = [
        _wrapped(conditions(results)),
        _wrapped(
            "In parentheses is the ratio to the original, the median of the ratios within each round. CPU time and "
            "memory are those of both ends together; in is from the visitor to the service."
        ),
        *_tablesOf(results, PLAIN, ORIGINAL),
    ]
    if any(subject.encrypted and subject.key in results.subjects for subject in SUBJECTS):
        parts.append(_wrapped(
            "Encrypted, and beside them ours as it is without TLS. In parentheses is the ratio to ssh -R. On the base "
            "path each visitor costs a handshake; lanes have had theirs before."
        ))  # fmt: skip
        parts += _tablesOf(results, ENCRYPTED, SSH)
        reached = _goalTable(results, "tls", "tls-base")
        parts += ["What TLS may cost:", reached.rstrip()] if reached else []
    workers = _pageTable(results, OF_WORKERS, WORKERS, "splice")
    if any(key in results.subjects for key in WITH_WORKERS) and workers:
        parts += [_wrapped(
            "With workers (``--workers``). In parentheses is the ratio to one process. A control connection here sends "
            "its first message, and is closed: what it costs more is what passing it on to a worker costs."
        ), workers.rstrip()]  # fmt: skip
        reached = _goalTable(results, "workers")
        parts += ["What workers may cost:", reached.rstrip()] if reached else []
    return "\n\n".join(parts) + "\n"


def _tablesOf(results: Results, group: Sequence[Subject], reference: str) -> list[str]:
    found = []
    for title, rows in (("What it costs:", COSTS), ("More is better:", MORE), ("Less is better:", TIMES)):
        table = _pageTable(results, rows, group, reference)
        found += [title, table.rstrip()] if table else []
    return found


def _goalTable(results: Results, *subjects: str) -> str:
    rows = [
        [standing.goal.title, standing.point, standing.goal.limit, f"{standing.value:.2f}", standing.verdict]
        for standing in goals.standings(results.summaries)
        if standing.goal.subject in subjects
    ]
    return simpleTable(["ratio", "at", "goal", "is", "so"], rows) if rows else ""


def _wrapped(text: str) -> str:

    return textwrap.fill(text, 120, break_long_words=False, break_on_hyphens=False)


def _range(spread: Spread, decimals: int) -> str:
    if spread.count == 1:
        return _number(spread.median, decimals)
    low, high = _number(spread.low, decimals), _number(spread.high, decimals)
    return f"{_number(spread.median, decimals)} [{low}, {high}]"


def details(results: Results) -> str:
    """Every figure with its spread, and the ratio to the original with its own."""
    parts = ["=======\nResults\n=======", _wrapped(conditions(results)), _wrapped(
        "Each figure is a median, with the lowest and the highest in brackets; behind x, and the same way, its ratio "
        "to the original's in the same round."
    )]  # fmt: skip
    for case in CASES:
        points = results.points(case.key)
        if not points:
            continue
        parts.append(f"{case.title}\n{'=' * len(case.title)}")
        for point in points:
            parts.append(f"{case.title}: {point}\n{'-' * len(f'{case.title}: {point}')}")
            parts.append(_detailTable(results, case.key, point).rstrip())
    if results.troubles:
        parts.append("Not measured\n============")
        parts.append("\n".join(f"* {trouble}" for trouble in dict.fromkeys(map(inWords, results.troubles))))
    return "\n\n".join(parts) + "\n"


def inWords(trouble: Trouble) -> str:
    """What is missing, and why."""

    where = ", ".join(filter(None, [trouble.case, trouble.point, trouble.subject]))
    return f"{where}: ``{trouble.reason}``"


def _detailTable(results: Results, case: str, point: str) -> str:
    subjects = [
        subject
        for subject in SUBJECTS
        if any((case, point, subject.key, figure) in results.summaries for figure in FIGURES[case])
        or _missing(results, case, point, subject)
    ]
    rows = []
    for name, figure in FIGURES[case].items():
        cells = []
        for subject in subjects:
            summary = results.summaries.get((case, point, subject.key, name))
            if summary is None:
                cells.append(_missing(results, case, point, subject))
                continue
            text = _range(summary.value, figure.decimals)
            if subject.key != ORIGINAL and ORIGINAL in summary.ratios:
                text += f" x {_range(summary.ratios[ORIGINAL], 2)}"
            cells.append(text)
        if any(cells):
            rows.append([f"{figure.title}, {figure.unit}".removesuffix(", "), *cells])
    return simpleTable(["figure", *(subject.title for subject in subjects)], rows)


def replaceBetween(text: str, new: str) -> str:
    """
    A document with something new between the two comments.

    :raises ValueError: if it does not have each of them once, in order.
    """
    if text.count(f"\n{BEGIN}\n") != 1 or text.count(f"\n{END}\n") != 1 or text.index(BEGIN) > text.index(END):
        raise ValueError(f"it needs a line {BEGIN!r} and below it a line {END!r}")
    before, rest = text.split(f"\n{BEGIN}\n")
    return f"{before}\n{BEGIN}\n\n{new.strip()}\n\n{END}\n" + rest.split(f"\n{END}\n")[1]


def intoPage(results: Results, page: Path) -> None:
    """
    Let a page show these results.

    :raises ValueError: if it does not say where.
    """
    page.write_text(replaceBetween(page.read_text(encoding="utf-8"), fragment(results)), encoding="utf-8")


def write(results: Results, folder: Path) -> None:
    """Write ``table.rst``, which docs/speed.rst has, too, and ``details.rst``."""
    (folder / "table.rst").write_text(fragment(results), encoding="utf-8")
    (folder / "details.rst").write_text(details(results), encoding="utf-8")
