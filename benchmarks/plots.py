"""The figures as SVG and PNG."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from benchmarks.figures import cutOff
from benchmarks.results import Results
from benchmarks.subjects import ENCRYPTED, PLAIN
from benchmarks.tunnels import Subject

#: Okabe and Ito's colours, distinct with any colour vision. Subjects that are never on one page may share one.
COLOURS: Final = {
    "direct": "#999999",
    "splice": "#D55E00",
    "base": "#000000",
    "portable": "#E69F00",
    "original": "#0072B2",
    "haproxy": "#009E73",
    "ssh": "#CC79A7",
    "rathole": "#56B4E9",
    "tls": "#0072B2",
    "tls-base": "#56B4E9",
    "rathole-noise": "#009E73",
    "frp": "#F0E442",
    "chisel": "#F0E442",
}

_DARK: Final = "#222222"


class Panel(NamedTuple):
    """Bars of one figure at one point of a case, one for each subject."""

    title: str
    axis: str
    case: str
    point: str
    figure: str


#: The parts of the bars of CPU time, from the left: their figure, its name, and how dark they are.
_PARTS: Final = (
    ("serverUser", "server, user", 1.0),
    ("serverSystem", "server, system", 0.7),
    ("clientUser", "client, user", 0.45),
    ("clientSystem", "client, system", 0.25),
)

#: The page that has the encrypted ones; all others have those that are not.
_ENCRYPTED: Final = "encrypted"

_MORE: Final = "more is better"
_LESS: Final = "less is better"


def _bulkTitle(point: str) -> str:
    direction = "from visitor to service" if point.endswith("in") else "from service to visitor"
    return f"{point.rsplit(' ', 1)[0]} {direction}"


def _encrypted(memory: str) -> list[Panel]:
    """
    The panels of the encrypted subjects.

    :param memory: with how many idle visitors.
    """
    return [
        Panel("Bulk: 1 stream from visitor to service", f"Gbit/s ({_MORE})", "bulk", "1 stream in", "rate"),
        Panel("Bulk: 4 streams from service to visitor", f"Gbit/s ({_MORE})", "bulk", "4 streams out", "rate"),
        Panel("CPU time per GB, 1 stream in", f"s/GB ({_LESS})", "bulk", "1 stream in", ""),
        Panel("New visitors, 32 at once", f"per second ({_MORE})", "visitors", "32", "rate"),
        Panel("CPU time per visitor", f"µs ({_LESS})", "visitors", "32", ""),
        Panel("Added to the time to the first byte", f"ms ({_LESS})", "first", "idle", "p50"),
        Panel("Small requests, 16 connections", f"per second ({_MORE})", "requests", "16", "rate"),
        Panel("CPU time per request", f"µs ({_LESS})", "requests", "16", ""),
        Panel(f"Memory of both ends, {memory} idle visitors", f"MiB ({_LESS})", "memory", memory, "rss"),
    ]


def _loaded(case: str, points: Sequence[str], many: str, one: str, unit: str) -> list[Panel]:
    """The panels of a case that does many small things, three for each point."""
    return [
        panel
        for p in points
        for panel in (
            Panel(f"{many}, {p} {unit}", f"per second ({_MORE})", case, p, "rate"),
            Panel(f"Time of a {one}, 99 in 100, {p} {unit}", f"ms ({_LESS})", case, p, "p99"),
            Panel(f"CPU time per {one}, {p} {unit}", f"µs ({_LESS})", case, p, ""),
        )
    ]


def _pages(results: Results) -> dict[str, tuple[str, list[Panel]]]:
    """The pages that have bars: their names, titles and panels."""
    bulk, visitors, requests = (results.points(case) for case in ("bulk", "visitors", "requests"))
    most = next((point for point in ("4000", "1000", "0") if point in results.points("memory")), "0")
    return {
        "overview": (
            "Tunnels on one machine",
            [
                Panel("Bulk: 1 stream from visitor to service", f"Gbit/s ({_MORE})", "bulk", "1 stream in", "rate"),
                Panel("New visitors, 32 at once", f"per second ({_MORE})", "visitors", "32", "rate"),
                Panel("Small requests, 16 connections", f"per second ({_MORE})", "requests", "16", "rate"),
                Panel("CPU time of both ends, per GB", f"s/GB ({_LESS})", "bulk", "1 stream in", "cpu"),
                Panel("Added to the time to the first byte", f"ms ({_LESS})", "first", "idle", "p50"),
                Panel(f"Memory of both ends, {most} idle visitors", f"MiB ({_LESS})", "memory", most, "rss"),
            ],
        ),
        "bulk": ("Bulk", [Panel(_bulkTitle(p), f"Gbit/s ({_MORE})", "bulk", p, "rate") for p in bulk]),
        "cpu": ("CPU time per GB of both ends", [Panel(_bulkTitle(p), f"s/GB ({_LESS})", "bulk", p, "") for p in bulk]),
        "visitors": ("New visitors", _loaded("visitors", visitors, "Visitors", "visit", "at once")),
        "requests": ("Small requests", _loaded("requests", requests, "Requests", "request", "connections")),
        "first": (
            "What a tunnel adds to a visitor's time to the first byte",
            [
                Panel("Median", f"ms ({_LESS})", "first", "idle", "p50"),
                Panel("99 in 100", f"ms ({_LESS})", "first", "idle", "p99"),
            ],
        ),
        _ENCRYPTED: ("Encrypted tunnels on one machine, and ours without TLS", _encrypted(most)),
    }


def _label(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _bars(axes: Axes, panel: Panel, results: Results, group: Sequence[Subject]) -> None:
    """One panel. Without a figure, it shows the parts of the CPU time."""
    figure = panel.figure or "cpu"
    found = [
        (subject, summary.value)
        for subject in group
        if (summary := results.summaries.get((panel.case, panel.point, subject.key, figure)))
    ]
    highest = [value.high for _, value in found]
    end = cutOff(highest) if panel.figure else max(highest)
    for at, (subject, value) in enumerate(found):
        colour = COLOURS[subject.key]
        if panel.figure:
            axes.barh(at, min(value.median, end), color=colour, height=0.7)
        else:
            left = 0.0
            for name, _, alpha in _PARTS:
                part = results.summaries[(panel.case, panel.point, subject.key, name)].value.median
                axes.barh(at, part, left=left, color=colour, alpha=alpha, height=0.7, edgecolor="white", linewidth=0.4)
                left += part
        if value.count > 1:
            bounds = [[value.median - value.low], [value.high - value.median]]
            axes.errorbar(value.median, at, xerr=bounds, color=_DARK, linewidth=0.9, capsize=2.5)
        text, place = _label(value.median), (max(value.high, 0.0), at)
        if value.high > end:
            axes.annotate(f"{text} (cut off)", (end, at), (4, 0), textcoords="offset points", va="center", fontsize=8)
        else:
            axes.annotate(text, place, (4, 0), textcoords="offset points", va="center", fontsize=8)
    axes.set_yticks(range(len(found)), [subject.title for subject, _ in found])
    axes.invert_yaxis()
    axes.set_xlim(min(0.0, *(value.low * 1.1 for _, value in found)), end * 1.3)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.set_title(panel.title, loc="left")
    axes.set_xlabel(panel.axis)
    axes.axvline(0, color=_DARK, linewidth=0.8)


def _lines(axes: Axes, results: Results, case: str, figure: str) -> None:
    """A figure over the points of a case, which are numbers."""
    for subject in PLAIN:
        found = [
            (int(point), summary.value)
            for point in results.points(case)
            if (summary := results.summaries.get((case, point, subject.key, figure)))
        ]
        if found:
            values = [value for _, value in found]
            bounds = [[v.median - v.low for v in values], [v.high - v.median for v in values]]
            axes.errorbar(
                [point for point, _ in found],
                [value.median for value in values],
                yerr=bounds,
                marker="o",
                markersize=4,
                capsize=2.5,
                color=COLOURS[subject.key],
                label=subject.title,
            )
    axes.set_ylim(bottom=0)
    axes.grid(axis="y", color="#dddddd", linewidth=0.6)


def _page(title: str, rows: int, columns: int, results: Results) -> tuple[Figure, list[Axes]]:
    page = Figure(figsize=(4.3 * max(columns, 1.5), 2.6 * rows + 0.9), layout="constrained", facecolor="white")
    page.suptitle(title, x=0.01, ha="left", fontsize=13, color=_DARK)
    rounds = f"median, and lowest to highest, of {results.rounds} rounds" if results.rounds > 1 else "one round"
    note = f"{results.machine['cores']} cores, everything on one machine, loopback; {rounds}"
    page.supxlabel(note, x=0.01, ha="left", fontsize=8, color="#555555")
    return page, list(page.subplots(rows, columns, squeeze=False).flat)


def _save(page: Figure, folder: Path, name: str) -> None:
    page.savefig(folder / f"{name}.svg", metadata={"Date": None})
    page.savefig(folder / f"{name}.png", dpi=110)


def write(results: Results, folder: Path) -> None:
    """Draw all pages for which there are figures into a folder."""
    with mpl.rc_context():
        mpl.rc("font", size=9.0)
        mpl.rc("axes", titlesize=10.0)
        mpl.rc("axes.spines", top=False, right=False)
        # The same figures give the same file.
        mpl.rc("svg", hashsalt="bore")
        for name, (title, panels) in _pages(results).items():
            _writeBars(results, folder, name, title, panels)
        _writeLines(
            results, folder, "memory", "Memory with idle visitors", "idle visitors", {"rss": "MiB of both ends"}
        )
        texts = {"rate": "new visitors per second", "server": "CPU time of the server\nper visitor, µs"}
        _writeLines(results, folder, "growth", "New visitors with many tunnels open", "open tunnels", texts)


def _writeBars(results: Results, folder: Path, name: str, title: str, panels: Sequence[Panel]) -> None:
    group = ENCRYPTED if name == _ENCRYPTED else PLAIN
    shown = [
        p
        for p in panels
        if any((p.case, p.point, subject.key, p.figure or "cpu") in results.summaries for subject in group)
    ]
    if not shown:
        return
    columns = 3 if len(shown) % 3 == 0 else min(2, len(shown))
    page, all_ = _page(title, -(-len(shown) // columns), columns, results)
    for axes, panel in zip(all_, shown, strict=False):
        _bars(axes, panel, results, group)
    for axes in all_[len(shown) :]:
        axes.set_visible(False)
    if any(not panel.figure for panel in shown):
        parts = [Patch(facecolor=_DARK, alpha=alpha, label=text) for _, text, alpha in _PARTS]
        page.legend(handles=parts, loc="outside lower right", ncols=4, frameon=False, fontsize=8)
    _save(page, folder, name)


def _writeLines(results: Results, folder: Path, case: str, title: str, xLabel: str, figures: dict[str, str]) -> None:
    if not results.points(case):
        return
    page, all_ = _page(title, 1, len(figures), results)
    for axes, (figure, text) in zip(all_, figures.items(), strict=True):
        _lines(axes, results, case, figure)
        if case == "growth":
            axes.set_xscale("log")
            axes.set_xticks([int(point) for point in results.points(case)], results.points(case))
            axes.minorticks_off()
        axes.set_xlabel(xLabel)
        axes.set_ylabel(text)
    all_[0].legend(frameon=False, fontsize=8)
    _save(page, folder, case)
