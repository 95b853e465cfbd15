"""
Records screens by tmux, for the tests and the documentation::

    python -m tests.screen.record
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from tests.support import CHECKOUT, eventually

RECORDED: Final = Path(__file__).parent / "recorded"

SCENES: Final = ("one", "many")
WIDTHS: Final = (40, 80, 200)
ALL: Final = [(scene, width) for scene in SCENES for width in WIDTHS]


class Tmux:
    """
    A terminal in a tmux server of its own.

    :param words: the program that runs in it.
    """

    def __init__(self, folder: str, words: list[str], width: int, height: int = 24, **environment: str) -> None:
        self._socket = f"{folder}/tmux"
        variables = {"LC_ALL": "C.UTF-8", **environment}
        # The home is that of tmux: no settings of the user are read.
        base = {name: value for name, value in os.environ.items() if name not in ("TMUX", "NO_COLOR")}
        self._environment = base | variables
        self.call("-f", "/dev/null", "new-session", "-d", "-x", str(width), "-y", str(height), *words)

    def call(self, *words: str) -> str:
        """Give tmux a command."""
        done = subprocess.run(
            ["tmux", "-S", self._socket, *words],
            check=True, capture_output=True, text=True, encoding="utf-8", env=self._environment, cwd=CHECKOUT,
        )  # fmt: skip
        return done.stdout

    def screen(self, colors: bool = False) -> str:
        """What is on the terminal now."""
        return self.call("capture-pane", "-p", *(["-e"] if colors else [])).rstrip("\n") + "\n"

    def keys(self, *keys: str) -> None:
        """Press keys, as tmux names them."""
        self.call("send-keys", *keys)

    def resize(self, width: int, height: int = 24) -> None:
        """Give the terminal another size."""
        self.call("resize-window", "-x", str(width), "-y", str(height))

    def waitFor(self, text: str) -> str:
        """Wait until a text is on the terminal; return what is there then."""
        try:
            eventually(lambda: text in self.screen(), f"{text!r} on the terminal")
        except AssertionError as e:
            raise AssertionError(f"{e}:\n{self.screen()}") from None
        return self.screen()

    def end(self) -> None:
        """End tmux, and what runs in it."""
        subprocess.run(["tmux", "-S", self._socket, "kill-server"], check=False, capture_output=True)


@contextmanager
def terminal(words: list[str], width: int, height: int = 24, **environment: str) -> Iterator[Tmux]:
    """A terminal with a program in it, which has ended when the block has."""
    with tempfile.TemporaryDirectory(prefix="bore-") as folder:
        tmux = Tmux(folder, words, width, height, **environment)
        try:
            yield tmux
        finally:
            tmux.end()


def recorded(wanted: Sequence[tuple[str, int]], colors: bool = False, **environment: str) -> dict[tuple[str, int], str]:
    """Play scenes at the same time, each on a terminal of a width, and return what is there at their ends."""
    found = {}
    with ExitStack() as stack:
        playing = {}
        for scene, width in wanted:
            words = [sys.executable, "-m", "tests.screen.stage", scene]
            playing[scene, width] = stack.enter_context(terminal(words, width, 40, **environment))
        for each, tmux in playing.items():
            tmux.waitFor("back after")
            found[each] = tmux.screen(colors)
    return found


if __name__ == "__main__":
    for (name, columns), text in recorded(ALL).items():
        (RECORDED / f"{name}-{columns}.txt").write_text(text, encoding="utf-8")
