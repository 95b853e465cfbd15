"""What is behind the tunnels: nginx, iperf3, and a greeter."""

from __future__ import annotations

import os
import pwd
import sys
from collections.abc import Sequence
from typing import Final

from benchmarks.programs import BenchmarkError, Program, Programs, find
from benchmarks.tunnels import Address

#: The page, in bytes: what visitors ask for is a small thing.
PAGE_SIZE: Final = 1024

#: What each case needs, and where it is had.
TOOLS: Final = {
    "iperf3": "apt install iperf3",
    "ab": "apt install apache2-utils",
    "nginx": "apt install nginx-light",
    "wrk": "apt install wrk",
    "strace": "apt install strace",
    "redis-server": "apt install redis-server",
}


def tool(name: str) -> str:
    """
    A tool's path.

    :raises BenchmarkError: if it is not here.
    """
    path = find(name)
    if path is None:
        raise BenchmarkError(f"{name} is missing: {TOOLS[name]}")
    return path


def web(programs: Programs, addresses: Sequence[Address]) -> Program:
    """
    An nginx with one worker, that serves a small page and writes no log.

    An answer is one segment (``tcp_nopush``, as distributions have it): behind a tunnel that leaves Nagle's algorithm
    on, the second of two would wait 40 ms for the first one's acknowledgement, and hide everything else.
    """
    folder = programs.folder / "web"
    folder.mkdir()
    (folder / "index.html").write_text("x" * PAGE_SIZE)
    temporary = "".join(
        f"  {kind}_temp_path {folder}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    listen = "".join(f"    listen {address} backlog=4096;\n" for address in addresses)
    config = folder / "nginx.conf"
    config.write_text(
        f"user {pwd.getpwuid(os.getuid()).pw_name};\ndaemon off;\nworker_processes 1;\npid {folder}/pid;\n"
        "events { worker_connections 8192; }\n"
        f"http {{\n  access_log off;\n  sendfile on;\n  tcp_nopush on;\n  keepalive_requests 1000000000;\n{temporary}"
        f"  server {{\n{listen}    root {folder};\n  }}\n}}\n"
    )
    program = programs.start([tool("nginx"), "-e", "stderr", "-p", str(folder), "-c", str(config)])
    for address in addresses:
        program.waitUntilListening(*address)
    return program


def iperf(programs: Programs, address: Address) -> Program:
    """An iperf3 that serves one test, and ends."""
    program = programs.start([tool("iperf3"), "-s", "-1", "-B", address.host, "-p", str(address.port)])
    program.waitUntilListening(*address)
    return program


def greeter(programs: Programs, addresses: Sequence[Address]) -> Program:
    """A greeter at all of the addresses."""
    program = programs.start([sys.executable, "-m", "benchmarks.greeter", *map(str, addresses)])
    for address in addresses:
        program.waitUntilListening(*address)
    return program
