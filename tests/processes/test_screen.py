"""``bore local`` on a terminal, as people use it: keys, job control, and the terminal behind it."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import sys
import time
from contextlib import ExitStack
from unittest import SkipTest

from tests.processes.case import ProcessCase
from tests.screen.record import Tmux, terminal
from tests.support import CHECKOUT, LocalService, Program, eventually

PAGE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi"


def page(sock: socket.socket) -> None:
    """Answer a request by a page."""
    sock.recv(1 << 16)
    sock.sendall(PAGE)
    time.sleep(0.1)  # the client reads the page before the end, as from most servers
    sock.shutdown(socket.SHUT_WR)


class TerminalCase(ProcessCase):
    """A shell in a terminal."""

    def setUp(self) -> None:
        if shutil.which("tmux") is None or shutil.which("bash") is None:
            raise SkipTest("tmux or bash is not installed")
        super().setUp()
        self.web = LocalService(page)
        self.addCleanup(self.web.close)
        stack = ExitStack()
        self.addCleanup(stack.close)
        self.tmux: Tmux = stack.enter_context(
            terminal(["bash", "--norc", "--noprofile"], 100, PS1="ready> ", XDG_STATE_HOME="/nonexistent")
        )
        self.tmux.waitFor("ready>")
        self.former = self.settings()

    def local(self, control: int, *words: str) -> None:
        """Start a client by the shell."""
        line = [sys.executable, "-m", "bore", "local", str(self.web.port), "-l", "127.0.0.1", "--no-state"]
        self.command(" ".join([*line, "-t", f"{self.host}:{control}", *words]))

    def command(self, line: str) -> None:
        """Give the shell a command when it asks for one. What was on the terminal before is not there any more."""
        self.tmux.waitFor("ready>")
        self.tmux.keys("-R")
        self.tmux.call("clear-history")
        self.tmux.keys("-l", line)
        self.tmux.keys("Enter")

    def settings(self) -> str:
        """The settings of the terminal, as the shell's programs find them."""
        self.command("stty -g; echo done-$?")
        found = re.search(r"^([0-9a-f:]+)\ndone-0$", self.tmux.waitFor("done-0"), re.MULTILINE)
        assert found is not None
        return found.group(1)

    def pid(self) -> int:
        """The process of the client."""
        shell = self.tmux.call("display-message", "-p", "#{pane_pid}").strip()
        with open(f"/proc/{shell}/task/{shell}/children") as file:
            return int(file.read().split()[-1])

    def publicPort(self) -> int:
        """The public port in the header."""
        header = rf"{re.escape(self.host)}:(\d+) → 127.0.0.1:{self.web.port}"
        eventually(lambda: re.search(header, self.tmux.screen()) is not None, "the header")
        found = re.search(header, self.tmux.screen())
        assert found is not None
        return int(found.group(1))


class ScreenTests(TerminalCase):
    """The screen of a client."""

    def test_aPersonSeesTheTunnelItsVisitsItsLossAndItsReturn(self) -> None:
        server, control = self.server()
        self.local(control)
        self.tmux.waitFor("● up since")
        port = self.publicPort()
        self.assertEqual(self.ask(port), PAGE)
        self.tmux.waitFor(f"\nhttp://{self.host}:{port}\n")
        self.tmux.waitFor("0 open, 1 visitor · ↓ 5 B ↑ 59 B")
        self.assertRegex(self.tmux.screen(), r"127\.[0-9.]+: \d+ ms, ↓ 5 B ↑ 59 B")
        self.tmux.keys("q")
        self.tmux.waitFor("█ ▄▄▄▄▄ █")
        server.kill()
        self.tmux.waitFor("○ away for")
        server, _ = self.server(port=control)
        self.tmux.keys("Enter")
        self.tmux.waitFor("back after ")
        self.tmux.resize(40)
        self.tmux.waitFor(" · 0/1 · ↓5 ↑59 · ")
        os.kill(self.pid(), signal.SIGTERM)
        self.tmux.waitFor("ready>")
        self.assertNotIn("● up", self.tmux.screen())
        self.tmux.resize(200)
        self.assertEqual(self.settings(), self.former)

    def test_theTerminalIsRestoredByCtrlCAndCtrlZAndInTheBackground(self) -> None:
        _, control = self.server()
        self.local(control)
        self.tmux.waitFor("● up since")
        self.tmux.keys("C-z")
        self.tmux.waitFor("Stopped")
        self.assertEqual(self.settings(), self.former)
        self.command("fg")
        self.tmux.waitFor("● up since")
        self.tmux.keys("C-z")
        self.tmux.waitFor("Stopped")
        pid = self.pid()  # now: in a moment stty is a child of the shell as well
        self.command("stty tostop; bg")
        self.tmux.keys("-l", "echo typed-$((6*7))")
        self.tmux.keys("Enter")
        self.tmux.waitFor("typed-42")
        self.assertNotIn("● up", self.tmux.screen())
        with open(f"/proc/{pid}/stat") as file:
            self.assertNotEqual(file.read().split()[2], "T")
        self.command("stty -tostop; fg")
        self.tmux.waitFor("● up since")
        self.tmux.keys("C-c")
        self.tmux.waitFor("ready>")
        self.assertEqual(self.settings(), self.former)

    def test_withoutAScreenTheOutputIsWhatItWas(self) -> None:
        _, control = self.server()
        for words in (["--quiet"], ["--log-format", "json"], ["|", "cat"]):
            self.local(control, *words)
            shown = self.tmux.waitFor("listening at ")
            self.assertNotIn("●", shown)
            self.tmux.keys("C-c")
            self.tmux.waitFor("ready>")
        self.command("TERM=dumb")
        self.local(control)
        self.assertNotIn("●", self.tmux.waitFor("listening at "))
        self.tmux.keys("C-c")
        self.tmux.waitFor("ready>")

    def test_withoutATerminalNothingOfItIsLoaded(self) -> None:
        words = ["local", "1", "-t", "127.0.0.1:1", "--no-reconnect", "--no-state", "--no-admin-socket"]
        names = ("bore.screen", "bore.status.client", "bore.client.firstbytes", "segno")
        code = f"import sys; from bore.cli import main; main({words}); print([n for n in {names} if n in sys.modules])"
        program = self.start(Program([sys.executable, "-c", code], cwd=str(CHECKOUT)))
        self.assertEqual((program.wait(), program.out), (0, ["[]"]), program.transcript())
