"""Members of etcd as programs of tests."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final, cast

from twisted.internet import reactor
from twisted.trial.unittest import TestCase

from bore.cluster.etcd import EtcdEngine
from bore.cluster.url import parseEngineUrl
from bore.streams.reactor import IReactor
from tests.ports import freePort
from tests.support import Program
from tests.suspension import suspended

#: The program; None: it is not installed.
ETCD: Final = shutil.which("etcd")

WHY_NOT: Final = "etcd is not installed (Debian's package etcd-server)"

#: A folder in memory, as etcd waits for its disk, and where there is none, the folder for temporary files.
_MEMORY: Final = Path("/dev/shm")


REACTOR: Final = cast(IReactor, reactor)


class EtcdMember:
    """
    A member of etcd, in a temporary folder.

    :param options: as on its command line.
    :param scheme: ``http``, or ``https`` if the options say so.
    """

    def __init__(self, *options: str, scheme: str = "http", name: str = "default", peerPort: int = 0) -> None:
        self.port = freePort()
        self.peers = f"http://127.0.0.1:{peerPort or freePort()}"
        self.name = name
        self._options = options
        self._scheme = scheme
        self._folder = Path(tempfile.mkdtemp(prefix="bore-", dir=_MEMORY if _MEMORY.is_dir() else None))
        self._program: Program | None = None

    def start(self, cluster: str = "") -> None:
        """
        Start it, and do not wait for it.

        :param cluster: the members of its cluster; empty: it alone.
        """
        assert ETCD is not None
        clients = f"{self._scheme}://127.0.0.1:{self.port}"
        own = {
            "name": self.name,
            "data-dir": str(self._folder / "data"),
            "listen-client-urls": clients,
            "advertise-client-urls": clients,
            "listen-peer-urls": self.peers,
            "initial-advertise-peer-urls": self.peers,
            "initial-cluster": cluster or f"{self.name}={self.peers}",
        }
        if not cluster:  # it need not wait for others
            own |= {"heartbeat-interval": "10", "election-timeout": "100"}
        words = [word for option, text in own.items() for word in (f"--{option}", text)]
        self.kill()
        self._program = Program([ETCD, *words, "--logger", "zap", *self._options], cwd="/")

    def wait(self) -> None:
        """Wait until it answers clients."""
        self.program.waitFor("serving client traffic")

    @property
    def url(self) -> str:
        """The URL of an engine in it alone, without options."""
        return f"{'etcds' if self._scheme == 'https' else 'etcd'}://127.0.0.1:{self.port}"

    @property
    def program(self) -> Program:
        """The program, which was started."""
        assert self._program is not None
        return self._program

    def restart(self, empty: bool = False) -> None:
        """Kill it, and start it again, with what it has stored, or without."""
        self.kill()
        if empty:
            shutil.rmtree(self._folder / "data")
        self.start()
        self.wait()

    def save(self) -> None:
        """Kill it, copy what it has stored, and start it again."""
        self.kill()
        shutil.copytree(self._folder / "data", self._folder / "saved")
        self.restart()

    def restore(self) -> None:
        """Kill it, and start it with what it had stored when that was copied."""
        self.kill()
        shutil.rmtree(self._folder / "data")
        (self._folder / "saved").rename(self._folder / "data")
        self.restart()

    def kill(self) -> None:
        """Kill it, if it runs."""
        if self._program is not None:
            self._program.kill()

    def end(self) -> None:
        """Kill it, and delete its folder."""
        self.kill()
        shutil.rmtree(self._folder)

    def suspended(self) -> AbstractContextManager[None]:
        """It does nothing within the block."""
        return suspended(self.program.pid)


def engineOf(case: TestCase, url: str) -> EtcdEngine:
    """An engine that is stopped when the test has ended."""
    made = EtcdEngine(REACTOR, parseEngineUrl(url))
    case.addCleanup(made.stop)
    return made
