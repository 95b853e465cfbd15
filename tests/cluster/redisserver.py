"""Redis servers as programs of tests."""

from __future__ import annotations

import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from tests.ports import freePort
from tests.support import PATIENCE, Program, eventually

#: The program; None: it is not installed.
REDIS: Final = shutil.which("redis-server")

WHY_NOT: Final = "redis-server is not installed (Debian's package redis-server)"


class RedisServer:
    """
    A Redis server that writes nothing to the disk.

    :param options: as on its command line.
    """

    def __init__(self, *options: str, port: int = 0) -> None:
        self.port = port or freePort()
        self._options = options
        self._program = self._start()

    def _start(self) -> Program:
        assert REDIS is not None
        own = ("--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--repl-diskless-sync-delay", "0")
        program = Program([REDIS, *own, *self._options], cwd="/")
        try:
            program.waitFor("Ready to accept connections")
        except BaseException:
            program.kill()
            raise
        return program

    def url(self, query: str = "") -> str:
        """The URL of the server."""
        return f"redis://127.0.0.1:{self.port}?{query}"

    def command(self, *words: str) -> str:
        """Send a command by redis-cli, and return what it prints."""
        return subprocess.run(
            ["redis-cli", "-p", str(self.port), *words], capture_output=True, text=True, timeout=PATIENCE, check=True
        ).stdout.strip()

    def replicate(self, master: RedisServer) -> None:
        """Be a replica of another one from now on."""
        self.command("REPLICAOF", "127.0.0.1", str(master.port))
        eventually(lambda: self.command("ROLE").splitlines()[3] == "connected", "a replica")
        eventually(lambda: master.command("WAIT", "1", "1000") == "1", "its first answer")

    def restart(self) -> None:
        """Kill the server, and start it empty."""
        self.kill()
        self._program = self._start()

    def kill(self) -> None:
        """Kill the server, if it runs."""
        self._program.kill()

    @contextmanager
    def suspended(self) -> Iterator[None]:
        """The server does nothing within the block."""
        self._program.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._program.process.send_signal(signal.SIGCONT)
