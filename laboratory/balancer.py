"""HAProxy in front of the nodes of a cluster."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from typing import Final

from twisted.trial.unittest import SkipTest

from laboratory.busysite import TLS_PORT
from laboratory.measure import secondsUntil
from laboratory.network import Lab
from laboratory.pairings import CONTROL_PORT
from tests.support import Program

#: The host that it is on: clients take it for the server.
PLACE: Final = "server"

#: The public ports of the cluster.
PORTS: Final = range(20000, 20600)

#: The port of the nodes that the balancer looks at, whether they answer: a node that is stopped accepts connections.
STATUS_PORT: Final = 9100

#: A node that does not answer for so long is left out, in seconds: two checks that fail, and the time between them.
LEFT_OUT: Final = 3.2

_CONFIGURATION: Final = """
defaults
    mode tcp
    balance roundrobin
    timeout connect 1s
    timeout client 1h
    timeout server 1h
    timeout check 1s
    option redispatch 1
    retries 3
    option httpchk GET /readyz
    default-server check inter 500ms fall 2 rise 1 port {status} send-proxy-v2

listen plain
    bind :{control}
{control_servers}

listen encrypted
    bind :{tls}
{tls_servers}

listen public
    bind :{first}-{last}
{public_servers}
"""


class Balancer:
    """
    HAProxy: TLS passes through it, and all public ports are one line of its configuration.

    :param nodes: the hosts that the nodes are on.
    """

    def __init__(self, lab: Lab, nodes: Sequence[str]) -> None:
        self._path = shutil.which("haproxy") or ""
        if not self._path:
            raise SkipTest("haproxy is missing (Debian: haproxy)")
        self._lab = lab
        self._file = lab.folder / "haproxy.cfg"
        self._program: Program | None = None

        def servers(port: str) -> str:
            return "\n".join(f"    server {node} {lab.address(node)}{port}" for node in nodes)

        text = _CONFIGURATION.format(
            control=CONTROL_PORT,
            tls=TLS_PORT,
            first=PORTS[0],
            last=PORTS[-1],
            status=STATUS_PORT,
            control_servers=servers(f":{CONTROL_PORT}"),
            tls_servers=servers(f":{TLS_PORT}"),
            public_servers=servers(""),
        )
        self._file.write_text(text)

    def start(self) -> None:
        """Start it, and wait until it listens."""
        self._program = self._lab.start(PLACE, self._path, "-db", "-f", str(self._file))
        address = self._lab.address(PLACE)
        if secondsUntil(lambda: self._lab.isOpen("visitor", address, PORTS[-1]), 10) is None:
            raise AssertionError(f"HAProxy does not listen\n{self._program.transcript()}")

    def kill(self) -> None:
        """Kill it (SIGKILL)."""
        assert self._program is not None
        self._program.process.kill()
        self._program.process.wait()
