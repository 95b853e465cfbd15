"""
The fixture ``bore_tunnel`` of pytest, for tests of what is called from outside, such as webhooks::

    def test_theHookIsCalled(bore_tunnel):
        tunnel = bore_tunnel(8000)  # the port of the service under test
        requests.post(tunnel.url + "/hook", json={})

Server and client are real, in a process of their own on 127.0.0.1. pytest imports this module in each of its runs, so
it imports nothing of the package.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Final, TypeAlias

import pytest

#: How long the process has to end in order, in seconds.
_END_TIMEOUT: Final = 10.0


class LoopbackTunnel:
    """
    A tunnel on 127.0.0.1.

    :param local: the local service: a port, ``HOST:PORT`` or ``unix:PATH``.
    :raises RuntimeError: when it is not up within 20 seconds; the text is what the process has written.
    """

    def __init__(self, local: int | str) -> None:
        words = [sys.executable, "-m", "bore.library.loopback", str(local)]
        self._process = subprocess.Popen(  # noqa: S603
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()  # ends at the latest when the process gives up
        if not line:
            raise RuntimeError(f"there is no tunnel for {local}: {self._process.communicate()[1].strip()}")
        self.host = "127.0.0.1"
        self.port = int(line)

    @property
    def url(self) -> str:
        """The public address, as ``http://HOST:PORT``."""
        return f"http://{self.host}:{self.port}"

    def close(self) -> None:
        """Close the tunnel, and wait for the process."""
        try:
            self._process.communicate(timeout=_END_TIMEOUT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()


#: What the fixture is: it opens a tunnel for a local service.
OpenTunnel: TypeAlias = Callable[[int | str], LoopbackTunnel]


@pytest.fixture
def bore_tunnel() -> Iterator[OpenTunnel]:
    """Open tunnels on this machine: ``bore_tunnel(8000).url`` is the public address of port 8000."""
    opened: list[LoopbackTunnel] = []

    def open(local: int | str) -> LoopbackTunnel:
        opened.append(LoopbackTunnel(local))
        return opened[-1]

    yield open
    for tunnel in opened:
        tunnel.close()
