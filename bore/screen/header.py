"""The lines at the begin: the public addresses, the local services, and what is trusted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from bore.screen.cells import safe, widthOf
from bore.screen.figures import TunnelFigures
from bore.screen.lines import Painter, Part, Style

#: Cells between two columns.
_GAP: Final = 2

#: The part of the terminal's height that the table takes at most, and rows that it has in any case.
_PART: Final = 2
_LEAST_ROWS: Final = 3


def addressOf(tunnel: TunnelFigures, speaksHttp: Mapping[str, bool]) -> str:
    """
    Return the public address of a tunnel as visitors need it: a URL if its local service speaks HTTP.

    :param speaksHttp: whether the service of a tunnel does, by the name of the tunnel; without those not known yet.
    """
    if speaksHttp.get(tunnel.name) and not tunnel.public.startswith("unix:"):
        return f"http://{tunnel.public}"
    return tunnel.public


def headerLines(
    tunnels: Sequence[TunnelFigures],
    speaksHttp: Mapping[str, bool],
    trust: Sequence[str],
    painter: Painter,
    width: int,
    height: int,
) -> list[str]:
    """
    Return the lines.

    :param trust: what is trusted, and how: a text for each server.
    """
    lines = _one(tunnels[0], speaksHttp, painter, width) if len(tunnels) == 1 else []
    if len(tunnels) > 1:
        rows = max(_LEAST_ROWS, height // _PART - len(trust))
        lines += _table(tunnels, speaksHttp, painter, width, rows)
    for text in trust:
        lines += painter.wrapped(text, Style.DIM, width)
    return lines


def _one(tunnel: TunnelFigures, speaksHttp: Mapping[str, bool], painter: Painter, width: int) -> list[str]:
    address = Part(addressOf(tunnel, speaksHttp), Style.ADDRESS)
    local = Part(f" {painter.glyphs.arrow} {tunnel.local}")
    if _cells(address.text + local.text, painter) <= width:
        return [painter.paint([address, local], width)]
    return [
        *painter.wrapped(address.text, Style.ADDRESS, width, indent=0),
        *painter.wrapped(f"{painter.glyphs.arrow} {tunnel.local}", Style.PLAIN, width),
    ]


def _table(
    tunnels: Sequence[TunnelFigures], speaksHttp: Mapping[str, bool], painter: Painter, width: int, rows: int
) -> list[str]:
    """A row for each tunnel as far as there is room, those that are not up first: they need attention."""
    shown = sorted(tunnels, key=lambda tunnel: tunnel.isUp)
    addresses = [addressOf(tunnel, speaksHttp) if tunnel.isUp else tunnel.why or "not up yet" for tunnel in shown]
    if len(shown) > rows:
        shown, addresses = shown[: rows - 1], addresses[: rows - 1]
    names = max(_cells(tunnel.name, painter) for tunnel in shown)
    up = [_cells(text, painter) for text, tunnel in zip(addresses, shown, strict=True) if tunnel.isUp]
    column = max(up, default=0)
    locals = max(_cells(tunnel.local, painter) for tunnel in shown)
    isBroad = names + _GAP + column + _GAP + locals <= width
    isOneLine = names + _GAP + column <= width
    lines = []
    for tunnel, address in zip(shown, addresses, strict=True):
        style = Style.ADDRESS if tunnel.isUp else Style.BAD
        name = Part(tunnel.name + _blanks(tunnel.name, names + _GAP, painter))
        if isBroad and tunnel.isUp:
            padded = Part(_blanks(address, column + _GAP, painter))
            lines.append(painter.paint([name, Part(address, style), padded, Part(tunnel.local, Style.DIM)], width))
        elif isOneLine:
            lines.append(painter.paint([name, Part(address, style)], width))
        else:
            lines.append(painter.paint([Part(tunnel.name)], width))
            lines += painter.wrapped(address, style, width, indent=0, most=3)
    if len(tunnels) > len(shown):
        lines.append(painter.paint([Part(f"and {len(tunnels) - len(shown)} more", Style.DIM)], width))
    return lines


def _cells(text: str, painter: Painter) -> int:
    return widthOf(safe(text, painter.encoding))


def _blanks(text: str, width: int, painter: Painter) -> str:
    return " " * max(0, width - _cells(text, painter))
