"""Requests to the admin socket of a program, and its answers."""

from __future__ import annotations

import errno
import io
import json
import socket
import time
from collections.abc import Mapping
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import Final, cast

from bore import exits
from bore.admin.answer import Part

#: How long a program may take for an answer, in seconds.
TIMEOUT: Final = 5.0

#: The longest answer, in bytes: a tunnel may have 65536 visitors, with about 200 bytes for each.
_LONGEST: Final = 64 << 20

_AT_ONCE: Final = 1 << 16

#: How long to wait before another attempt to connect, in seconds.
_PAUSE: Final = 0.05


class NoAnswer(Exception):
    """
    A program has not done what it was asked for. The text says why, and what to do.

    :ivar code: the exit code.
    :ivar dead: whether the socket is one that a program has left behind.
    """

    def __init__(self, text: str, code: int = exits.FAILURE, dead: bool = False) -> None:
        Exception.__init__(self, text)
        self.code = code
        self.dead = dead


def ask(
    path: Path, method: str, target: str, body: Mapping[str, object] | None = None, timeout: float = TIMEOUT
) -> object:
    """
    Send a request, and return the answer, which is JSON.

    :param path: the admin socket.
    :param target: the path in the request, quoted.
    :param timeout: how long all of it may take, in seconds.
    :raises NoAnswer: if the program does not answer, or with an error.
    """
    if not hasattr(socket, "AF_UNIX"):
        raise NoAnswer("this system has no Unix sockets, and so no admin sockets", exits.UNAVAILABLE)
    deadline = time.monotonic() + timeout
    content = b"" if body is None else json.dumps(body).encode()
    head = (
        f"{method} {target} HTTP/1.1\r\nHost: bore\r\nConnection: close\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(content)}\r\n\r\n"
    )
    try:
        received = _exchange(path, head.encode("ascii") + content, deadline)
    except TimeoutError:
        raise NoAnswer(
            f"the program at {path} has not answered for {timeout:g} s: it hangs, or the machine is overloaded",
            exits.UNAVAILABLE,
        ) from None
    except OSError as e:
        raise _explained(path, e) from e
    return _read(path, received)


def _exchange(path: Path, request: bytes, deadline: float) -> bytes:
    """Send the request, and return all that comes back."""
    received = bytearray()
    with socket.socket(socket.AF_UNIX) as sock:
        _connect(sock, path, deadline)
        sock.settimeout(_left(deadline))
        sock.sendall(request)
        while True:
            sock.settimeout(_left(deadline))
            part = sock.recv(_AT_ONCE)
            received += part
            if not part:
                return bytes(received)
            if len(received) > _LONGEST:
                raise NoAnswer(f"the answer from {path} is longer than {_LONGEST >> 20} MiB")


def _connect(sock: socket.socket, path: Path, deadline: float) -> None:
    while True:
        sock.settimeout(_left(deadline))
        try:
            sock.connect(str(path))
        except BlockingIOError:  # its queue of connections is full
            time.sleep(_PAUSE)
        else:
            return


def _left(deadline: float) -> float:
    """
    Return the time that is left, in seconds.

    :raises TimeoutError: if none is.
    """
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _explained(path: Path, error: OSError) -> NoAnswer:
    match error:
        case PermissionError():
            return NoAnswer(
                f"{path}: permission denied: run this as the user of that program, or with sudo", exits.NO_PERMISSION
            )
        case FileNotFoundError() | NotADirectoryError():
            return NoAnswer(f"{path} does not exist: no program has this admin socket", exits.UNAVAILABLE, dead=True)
        case ConnectionRefusedError() if not path.is_socket():
            return NoAnswer(f"{path} is not a socket: name the admin socket of a running program", exits.USAGE)
        case ConnectionRefusedError():
            return NoAnswer(f"{path}: the program with this admin socket has ended", exits.UNAVAILABLE, dead=True)
        case ConnectionResetError() | BrokenPipeError():
            return NoAnswer(f"the program at {path} has closed the connection: it may be stopping", exits.UNAVAILABLE)
        case _:
            reason = error.strerror if error.errno else str(error)
            code = exits.USAGE if error.errno in (None, errno.EPROTOTYPE) else exits.UNAVAILABLE
            return NoAnswer(f"{path} cannot be used: {reason}", code)


class _Received:
    """What was received, as :class:`http.client.HTTPResponse` reads it."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def makefile(self, mode: str) -> io.BytesIO:
        return io.BytesIO(self._content)


def _read(path: Path, received: bytes) -> object:
    """Read an answer of HTTP."""
    if not received:
        raise NoAnswer(f"the program at {path} has closed the connection: it may be stopping", exits.UNAVAILABLE)
    response = HTTPResponse(cast(socket.socket, _Received(received)))
    try:
        response.begin()
        body = response.read()
        answer: object = json.loads(body)
    except (HTTPException, ValueError, RecursionError):
        raise NoAnswer(f"what listens at {path} does not answer as a program of bore does", exits.UNAVAILABLE) from None
    if response.status >= 400:
        raise NoAnswer(Part(answer).text("error") or f"the program at {path} answers with error {response.status}")
    return answer
