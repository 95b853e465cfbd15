"""A program with an admin socket, for tests: it answers as docs/status.rst has it, or as a test wants."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Callable, Mapping
from http.client import responses
from pathlib import Path
from typing import Final

from twisted.trial.unittest import SynchronousTestCase

from tests.support import PATIENCE

#: What a server answers.
SERVER: Final[dict[str, object]] = {
    "program": "server",
    "version": "1.2.3",
    "pid": 4711,
    "state": "running",
    "since": "2026-11-26T10:00:00.000Z",
    "uptime": 7500.25,
    "control": [{"at": "0.0.0.0:7835", "tls": True, "fingerprint": "SHA256:" + "A" * 43}],
    "publicHost": "0.0.0.0",
    "ports": {"from": 20000, "to": 20999},
    "admission": "the users of the users file",
    "sessions": [
        {
            "peer": "203.0.113.7:51234",
            "network": "203.0.113.7",
            "user": "alice",
            "extended": True,
            "since": "2026-11-26T10:00:10.000Z",
            "uptime": 7490.0,
            "roundTrip": 0.0123,
            "lanes": {"open": 4, "busy": 1},
            "tunnels": [20000, "unix:/run/bore/web.sock"],
        }
    ],
    "tunnels": [
        {
            "address": 20000,
            "user": "alice",
            "network": "203.0.113.7",
            "peer": "203.0.113.7:51234",
            "state": "up",
            "since": "2026-11-26T10:00:10.000Z",
            "awaySince": None,
            "keptFor": None,
            "visitors": {"open": 3, "waiting": 0, "total": 120, "refused": 0},
            "bytes": {"toClient": 1_234_567, "toVisitors": 3_400_000_000},
        },
        {
            "address": "unix:/run/bore/web.sock",
            "user": "alice",
            "network": "203.0.113.7",
            "peer": None,
            "state": "away",
            "since": "2026-11-26T10:00:10.000Z",
            "awaySince": "2026-11-26T12:04:47.000Z",
            "keptFor": 47.2,
            "visitors": {"open": 0, "waiting": 2, "total": 12, "refused": 1},
            "bytes": {"toClient": 999, "toVisitors": 0},
        },
    ],
    "users": [
        {
            "name": "alice",
            "sessions": 1,
            "tunnels": 2,
            "visitors": 5,
            "maxTunnels": 2,
            "maxVisitors": None,
            "expires": "2027-06-30T00:00:00.000Z",
        }
    ],
    "limits": [
        {"what": "tunnels", "whose": None, "used": 2, "limit": 4096},
        {"what": "visitors of one tunnel", "whose": "20000", "used": 81, "limit": 100},
        {"what": "tunnels of one user", "whose": "alice", "used": 2, "limit": 2},
    ],
    "totals": {
        "visitors": 133,
        "toClient": 1_235_566,
        "toVisitors": 3_400_000_000,
        "refused": {"invalid-secret": 4, "port-in-use": 1},
        "events": {"listening": 1, "tunnel-opened": 2},
        "open": 3,
    },
    "recent": [],
}

#: What a server answers that has workers: its further keys.
WORKERS: Final[dict[str, object]] = {
    "workers": [
        {
            "worker": 1,
            "generation": 1,
            "pid": 4712,
            "state": "retired",
            "since": "2026-11-26T10:00:00.000Z",
            "uptime": 7500.0,
            "answers": False,
            "sessions": 0,
            "tunnels": 0,
            "visitors": 2,
            "process": {"cpu": 61.5, "memory": 31_457_280, "descriptors": 40},
        },
        {
            "worker": 2,
            "generation": 2,
            "pid": 4800,
            "state": "starting",
            "since": "2026-11-26T12:04:58.000Z",
            "uptime": 2.0,
            "answers": True,
            "sessions": 0,
            "tunnels": 0,
            "visitors": 0,
            "process": None,
        },
    ],
    "supervisor": {"cpu": 1.5, "memory": 26_214_400, "descriptors": 12},
    "deaths": 1,
}

#: What a client answers.
CLIENT: Final[dict[str, object]] = {
    "program": "client",
    "version": "1.2.3",
    "pid": 4712,
    "state": "partly",
    "since": "2026-11-26T10:00:00.000Z",
    "uptime": 59.0,
    "servers": [
        {
            "server": "tunnel.example.com:7835",
            "state": "up",
            "since": "2026-11-26T12:04:00.000Z",
            "awaySince": None,
            "roundTrip": 0.02,
            "trust": "known, and verified by secret",
            "lanes": {"open": 4, "busy": 0},
            "user": "",
            "version": None,
            "why": None,
            "retryIn": None,
        },
        {
            "server": "spare.example.com:7835",
            "state": "away",
            "since": "2026-11-26T12:04:55.000Z",
            "awaySince": "2026-11-26T12:04:55.000Z",
            "roundTrip": None,
            "trust": None,
            "lanes": {"open": 0, "busy": 0},
            "user": "",
            "version": None,
            "why": "Connection refused",
            "retryIn": 3.5,
        },
    ],
    "tunnels": [
        {
            "name": "web",
            "local": "localhost:8000",
            "public": "tunnel.example.com:20080",
            "server": "tunnel.example.com:7835",
            "state": "up",
            "since": "2026-11-26T12:04:00.000Z",
            "why": None,
            "localState": "down",
            "visitors": {"open": 1, "total": 7, "unserved": 2},
            "bytes": {"fromVisitors": 5000, "toVisitors": 70_000},
        },
        {
            "name": "game",
            "local": "localhost:27015",
            "public": None,
            "server": None,
            "state": "refused",
            "since": "2026-11-26T12:04:00.000Z",
            "why": "port 80 is outside this server's range",
            "localState": "unknown",
            "visitors": {"open": 0, "total": 0, "unserved": 0},
            "bytes": {"fromVisitors": 0, "toVisitors": 0},
        },
    ],
    "totals": {
        "visitors": 7,
        "unserved": 2,
        "fromVisitors": 5000,
        "toVisitors": 70_000,
        "refused": {},
        "events": {},
    },
    "recent": [],
}

#: The visitors of the server's first tunnel.
VISITORS: Final[list[object]] = [
    {
        "id": "00000000-0000-0000-0000-000000000001",
        "from": "198.51.100.9:40000",
        "since": "2026-11-26T12:00:00.000Z",
        "seconds": 300.5,
        "state": "served",
        "lane": 3,
        "toClient": 1000,
        "toVisitor": 2_000_000,
    },
    {
        "id": "00000000-0000-0000-0000-000000000002",
        "from": "198.51.100.9:40001",
        "since": "2026-11-26T12:04:59.000Z",
        "seconds": 1.0,
        "state": "waiting",
        "lane": None,
        "toClient": 0,
        "toVisitor": 0,
    },
]


class FakeProgram:
    """
    Listens at an admin socket until the test has ended.

    :param answers: the answers by method and path: JSON, or a status and JSON. What is missing is answered with 404.
    :ivar asked: the requests: method, path and body.
    """

    def __init__(self, case: SynchronousTestCase, path: Path, answers: Mapping[str, object]) -> None:
        self.asked: list[tuple[str, str, str]] = []
        self._answers = answers
        Listener(case, path, self._serve)

    def _serve(self, sock: socket.socket) -> None:
        with sock.makefile("rb") as file:
            method, path, _ = file.readline().decode().split()
            length = 0
            while line := file.readline().strip():
                name, _, text = line.partition(b": ")
                if name.lower() == b"content-length":
                    length = int(text)
            self.asked.append((method, path, file.read(length).decode()))
        answer = self._answers.get(f"{method} {path}", (404, {"error": f"there is no {path}"}))
        code, content = answer if isinstance(answer, tuple) else (200, answer)
        body = json.dumps(content).encode() + b"\n"
        sock.sendall(f"HTTP/1.1 {code} {responses[code]}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)


class Listener:
    """
    A Unix socket that is listened at until the test has ended.

    :param serve: talks to one connection.
    """

    def __init__(self, case: SynchronousTestCase, path: Path, serve: Callable[[socket.socket], None]) -> None:
        self._serve = serve
        path.parent.mkdir(exist_ok=True)
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(str(path))
        self._socket.listen()
        case.addCleanup(self._close)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._socket.accept()
            except OSError:
                return
            sock.settimeout(PATIENCE)
            with sock, contextlib.suppress(OSError):
                self._serve(sock)

    def _close(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
