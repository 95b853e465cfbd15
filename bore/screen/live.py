"""The last line: how the tunnels are, and what they are used for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from bore.screen.figures import Figures, ServerFigures
from bore.screen.lines import Glyphs, Line, Painter, Part, Style, joined, widthOfLine
from bore.screen.words import amount, clockTime, count, roundTrip, shortAmount, wholeSeconds

#: Between two pieces, where there is no room for a sign.
_NARROW: Final = Part(" ")


@dataclass(frozen=True)
class _Piece:
    """
    A piece of the line.

    :ivar forms: what it can be, the longest one first.
    :ivar isHint: whether it is left out before others are shortened.
    """

    forms: Sequence[Line]
    isHint: bool = False


def liveLine(figures: Figures, painter: Painter, width: int, hasKeys: bool = True) -> str:
    """
    Return the last line.

    :param hasKeys: whether keys can be pressed.
    """
    pieces = _connected(figures, painter.glyphs) if figures.up else _away(figures, painter.glyphs)
    lines = list(_candidates([each for each in pieces if hasKeys or not each.isHint], painter.glyphs))
    fitting = (line for line in lines if widthOfLine(line, painter.encoding) <= width)
    return painter.paint(next(fitting, lines[-1]), width)


def _candidates(pieces: Sequence[_Piece], glyphs: Glyphs) -> Iterator[Line]:
    """What the line can be, the best one first; pieces in front are the last ones to be shortened, and left out."""
    separator = Part(f" {glyphs.dot} ", Style.DIM)
    chosen = [piece.forms[0] for piece in pieces]
    yield joined(chosen, separator)
    hints = [index for index, piece in enumerate(pieces) if piece.isHint]
    for index in reversed(hints):
        del chosen[index]
        yield joined(chosen, separator)
    others = [piece for piece in pieces if not piece.isHint]
    for index, piece in reversed(list(enumerate(others))):
        for form in piece.forms[1:]:
            chosen[index] = form
            yield joined(chosen, separator)
    while chosen:
        yield joined(chosen, _NARROW)
        chosen.pop()


def _connected(figures: Figures, glyphs: Glyphs) -> list[_Piece]:
    pieces = [_Piece(_state(figures, glyphs))]
    down = sum(tunnel.isServiceDown for tunnel in figures.tunnels)
    if down:
        forms = [f"{count(down, 'local service', 'local services')} down", f"{down} down"]
        pieces.append(_Piece([[Part(form, Style.BAD)] for form in forms]))
    pieces += [
        _Piece(
            _plain(
                f"{figures.open} open, {count(figures.total, 'visitor', 'visitors')}",
                f"{figures.open} open, {figures.total} total",
                f"{figures.open}/{figures.total}",
            )
        ),
        _Piece(_plain(_bytes(figures, glyphs, amount, " "), _bytes(figures, glyphs, shortAmount, ""))),
    ]
    if figures.roundTrip is not None:
        pieces.append(_Piece(_plain(roundTrip(figures.roundTrip), roundTrip(figures.roundTrip).replace(" ", ""))))
    return [*pieces, _Piece([[Part("q: QR code", Style.DIM)]], isHint=True)]


def _state(figures: Figures, glyphs: Glyphs) -> list[Line]:
    wanted = len(figures.tunnels)
    if figures.up == wanted:
        long = short = Part(f"{glyphs.up} up", Style.GOOD)
    else:
        long = Part(f"{glyphs.partly} {figures.up} of {wanted} up", Style.WARN)
        short = Part(f"{glyphs.partly} {figures.up}/{wanted} up", Style.WARN)
    if figures.since is None:
        return [[long], [short]]
    at = clockTime(figures.since, figures.now)
    return [[long, Part(f" since {at}")], [short, Part(f" {at}")]]


def _bytes(figures: Figures, glyphs: Glyphs, write: Callable[[int], str], gap: str) -> str:
    received, sent = write(figures.fromVisitors), write(figures.toVisitors)
    return f"{glyphs.received}{gap}{received} {glyphs.sent}{gap}{sent}"


def _plain(*forms: str) -> list[Line]:
    return [[Part(form)] for form in forms]


def _away(figures: Figures, glyphs: Glyphs) -> list[_Piece]:
    server = _next(figures.servers)
    if server is None:
        return [_Piece([[Part(f"{glyphs.down} no tunnel is up", Style.BAD)]])]
    if server.isUp:
        return [_Piece([[Part(f"{glyphs.down} no tunnel is up at {server.name}", Style.BAD)]])]
    if not server.why:
        return [_Piece([[Part(f"{glyphs.down} connecting to {server.name}", Style.WARN)]])]
    pieces = [_Piece([[Part(f"{glyphs.down} away for {wholeSeconds(server.away)}", Style.BAD)]])]
    if server.retryIn is None:
        return [*pieces, _Piece(_plain("an attempt is under way", "trying"))]
    again = wholeSeconds(server.retryIn)
    pieces.append(_Piece(_plain(f"next attempt in {again}", f"again in {again}")))
    pieces.append(_Piece([[Part("Enter: try now", Style.DIM)]], isHint=True))
    return [*pieces, _Piece([[Part(f"{server.name}: {server.why}", Style.DIM)]], isHint=True)]


def _next(servers: Sequence[ServerFigures]) -> ServerFigures | None:
    """The server that is tried next."""
    return min(servers, key=lambda server: server.retryIn or 0.0, default=None)
