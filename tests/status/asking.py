"""Asks a program at its admin socket."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

from tests.support import PATIENCE, receiveAll


def ask(path: Path | str, request: str, body: object = None) -> tuple[int, Any]:
    """
    Send a request; return the status, and the answer.

    :param request: method and path, as in ``GET /status``.
    """
    content = b"" if body is None else json.dumps(body).encode()
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(PATIENCE)
        sock.connect(str(path))
        head = f"{request} HTTP/1.1\r\nHost: bore\r\nConnection: close\r\nContent-Length: {len(content)}\r\n\r\n"
        sock.sendall(head.encode() + content)
        data = receiveAll(sock)
    first, _, answer = data.partition(b"\r\n\r\n")
    return int(first.split()[1]), json.loads(answer)
