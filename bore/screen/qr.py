"""A QR code on a terminal."""

from __future__ import annotations

from typing import Final

from bore.screen.lines import Painter

#: Modules around the code that are light: scanners need four, and manage with two.
_QUIET: Final = 2

#: What two modules above each other are drawn as, light ones in the colour of the text.
_BLOCKS: Final = {(False, False): "█", (False, True): "▀", (True, False): "▄", (True, True): " "}

#: Light modules are white, and dark ones black, whatever the colours of the terminal are.
_COLORS: Final = "\x1b[0;97;40m"
_RESET: Final = "\x1b[0m"


def qrLines(text: str, painter: Painter, width: int) -> list[str]:
    """
    Return a QR code as lines.

    Without colours light modules have the colour of the text, which is right on a dark terminal; most scanners read the
    code on a light one, too.

    :raises ValueError: if the terminal cannot show it; its text says why.
    """
    if not painter.isUnicode:
        raise ValueError("this terminal cannot show a QR code: it needs UTF-8")
    import segno  # only for those who want to see a code

    try:
        rows = [[bool(module) for module in row] for row in segno.make(text, error="l", micro=False).matrix]
    except segno.DataOverflowError:
        raise ValueError("the address is too long for a QR code") from None
    size = len(rows) + 2 * _QUIET
    if size > width:
        raise ValueError(f"this terminal is too narrow for the QR code: it needs {size} columns")
    light = [False] * size
    padded = [[False] * _QUIET + row + [False] * _QUIET for row in rows]
    all = [light] * _QUIET + padded + [light] * (_QUIET + size % 2)
    lines = ["".join(_BLOCKS[pair] for pair in zip(all[at], all[at + 1], strict=True)) for at in range(0, len(all), 2)]
    return [f"{_COLORS}{line}{_RESET}" for line in lines] if painter.color else lines
