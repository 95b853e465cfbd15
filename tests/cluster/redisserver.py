"""Servers of Redis, or of Valkey, as programs of tests."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

from tests.ports import freePort
from tests.support import PATIENCE, Program, eventually, isOpen
from tests.suspension import suspended

#: The program: Redis, or else Valkey; None: neither is installed.
REDIS: Final = shutil.which("redis-server") or shutil.which("valkey-server")

WHY_NOT: Final = "neither redis-server nor valkey-server is installed (Debian's package redis-server)"

#: What a Sentinel is told: the master called "main" is down after a second, if two of them say so.
_SENTINEL: Final = """
port {port}
bind 127.0.0.1
sentinel monitor main 127.0.0.1 {master} 2
sentinel down-after-milliseconds main 1000
sentinel failover-timeout main 10000
"""


class RedisServer:
    """
    A Redis server, which is empty at its start.

    :param options: as on its command line.
    """

    def __init__(self, *options: str, port: int = 0) -> None:
        self.port = port or freePort()
        self._options = options
        self._program = self._start()

    def _start(self) -> Program:
        assert REDIS is not None
        own = ("--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--repl-diskless-sync-delay", "0")
        self._folder = tempfile.TemporaryDirectory(prefix="bore-")  # a replica writes what it gets from its master
        program = Program([REDIS, *own, "--dir", self._folder.name, *self._options])
        try:
            program.waitFor("Ready to accept connections")
        except BaseException:
            program.kill()
            raise
        return program

    def url(self, query: str = "") -> str:
        """The URL of the server."""
        return f"redis://127.0.0.1:{self.port}?{query}"

    def command(self, *words: str, stdin: str = "") -> str:
        """
        Send a command by redis-cli, and return what it prints.

        :param stdin: several commands instead, each on a line.
        """
        assert REDIS is not None
        line = [REDIS.replace("-server", "-cli"), "-p", str(self.port), *words]
        done = subprocess.run(line, input=stdin, capture_output=True, text=True, timeout=PATIENCE + 5, check=True)
        return done.stdout.strip()

    def replicate(self, master: RedisServer) -> None:
        """Be a replica of another one from now on."""
        self.command("REPLICAOF", "127.0.0.1", str(master.port))
        eventually(lambda: "state=online" in master.command("INFO", "replication"), "a replica")
        # Its first confirmation may take a second.
        both = f"SET written 1\nWAIT 1 {int(PATIENCE * 1000)}\n"
        assert master.command(stdin=both).endswith("1"), "it confirms no write"

    def restart(self) -> None:
        """Kill the server, and start it empty."""
        self.kill()
        self._program = self._start()

    def kill(self) -> None:
        """Kill the server, if it runs; what it has written is lost."""
        self._program.kill()
        self._folder.cleanup()

    def suspended(self) -> AbstractContextManager[None]:
        """The server does nothing within the block."""
        return suspended(self._program.pid)


class SentinelServer(RedisServer):
    """
    A Sentinel.

    :param file: its configuration, which it writes anew.
    """

    def __init__(self, file: Path, master: RedisServer) -> None:
        self._file = file
        self.port = freePort()
        file.write_text(_SENTINEL.format(port=self.port, master=master.port))
        super().__init__(port=self.port)

    def _start(self) -> Program:
        assert REDIS is not None
        self._folder = tempfile.TemporaryDirectory(prefix="bore-")
        program = Program([REDIS, str(self._file), "--sentinel"], cwd=self._folder.name)
        eventually(lambda: isOpen("127.0.0.1", self.port), "a Sentinel")
        return program

    def knows(self, others: int, replicas: int) -> bool:
        """Whether it knows this number of other Sentinels and of replicas."""
        words = self.command("SENTINEL", "MASTER", "main").splitlines()
        found = dict(zip(words[::2], words[1::2], strict=True))
        return (found["num-other-sentinels"], found["num-slaves"]) == (str(others), str(replicas))

    def forget(self) -> None:
        """Name no master from now on."""
        self.command("SENTINEL", "REMOVE", "main")

    def monitor(self, master: RedisServer) -> None:
        """Name this master from now on."""
        self.command("SENTINEL", "MONITOR", "main", "127.0.0.1", str(master.port), "2")
