"""What the tests share: conditions to wait for, sockets, services and programs."""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Final

from twisted.trial.unittest import SynchronousTestCase

from bore.wire.publicaddress import PublicAddress, UnixPath
from tests.ports import connectUnix, resetSocket

#: How long a test waits for something that should happen at once, in seconds. Machines are slow at times.
PATIENCE: Final = 20.0

CHECKOUT: Final = Path(__file__).resolve().parent.parent

#: Programs keep their state here unless an option names a folder; each has a folder of its own.
_stateHomes = tempfile.TemporaryDirectory(prefix="bore-")


def temporaryFolder(case: SynchronousTestCase) -> Path:
    """A folder that is gone when the test has ended."""
    folder = tempfile.mkdtemp(prefix="bore-")
    case.addCleanup(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def eventually(condition: Callable[[], bool], what: str, seconds: float = PATIENCE) -> float:
    """Wait for a condition; return how long it took, in seconds. Fail if it is not met in time."""
    begin = time.monotonic()
    while not condition():
        if time.monotonic() - begin > seconds:
            raise AssertionError(f"not within {seconds} s: {what}")
        sys.audit("tests.wait")  # which no unit test may: tests/conftest.py
        time.sleep(0.02)
    return time.monotonic() - begin


#: How long an idle machine takes to start a program like ours, at most, in seconds.
_IDLE_START: Final = 0.6


def slowness() -> float:
    """How many times longer than an idle machine this one takes now to start a program like ours; at least 1."""
    begin = time.monotonic()
    subprocess.run([sys.executable, "-c", "import twisted.internet.reactor, OpenSSL"], check=True)
    return max(1.0, (time.monotonic() - begin) / _IDLE_START)


def connect(host: str, port: PublicAddress, timeout: float = PATIENCE) -> socket.socket:
    """A connected blocking socket. If it is reset so soon that connecting tells, reading from it tells as well."""
    if isinstance(port, UnixPath):
        return connectUnix(port.path, timeout)
    assert isinstance(port, int)
    try:
        sock = socket.create_connection((host, port), timeout=timeout)
    except ConnectionResetError:
        return resetSocket(timeout)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def isOpen(host: str, port: PublicAddress) -> bool:
    """Whether a program listens there."""
    try:
        connect(host, port, 2.0).close()
    except OSError:
        return False
    return True


def receiveAll(sock: socket.socket) -> bytes:
    """Everything up to the end of the stream."""
    parts = []
    while part := sock.recv(1 << 16):
        parts.append(part)
    return b"".join(parts)


def isClosed(sock: socket.socket) -> bool:
    """Whether a stream ends without a byte, in order or by a reset."""
    try:
        return sock.recv(1) == b""
    except ConnectionResetError:
        return True


def isTurnedAway(host: str, port: int) -> bool:
    """Whether a visit ends without a byte."""
    with connect(host, port) as visitor:
        return isClosed(visitor)


def receiveExactly(sock: socket.socket, size: int) -> bytes:
    """That many bytes, or fewer if the stream ends before."""
    data = b""
    while len(data) < size and (part := sock.recv(size - len(data))):
        data += part
    return data


def pattern(seed: int, size: int) -> bytes:
    """Bytes that do not repeat, and are the same for the same seed."""
    return random.Random(seed).randbytes(size)


def digest(data: bytes) -> str:
    """What to compare instead of a hundred megabytes."""
    return hashlib.sha256(data).hexdigest()


class LocalService:
    """
    A local service with a thread for each connection.

    :param listener: what it listens on; None: a port of its own.
    :ivar serve: talks to one connection; the socket is closed behind it.
    """

    def __init__(
        self, serve: Callable[[socket.socket], None], host: str = "127.0.0.1", listener: socket.socket | None = None
    ) -> None:
        self.serve = serve
        self._listener = socket.create_server((host, 0), backlog=1024) if listener is None else listener
        self.host = host
        self.port: int = 0 if listener is not None else self._listener.getsockname()[1]
        self.served = 0
        self.errors: list[BaseException] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self.served += 1
            threading.Thread(target=self._one, args=(sock,), daemon=True).start()

    def _one(self, sock: socket.socket) -> None:
        sock.settimeout(PATIENCE)
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            self.serve(sock)
        except BaseException as e:
            self.errors.append(e)
        finally:
            sock.close()


def echo(sock: socket.socket) -> None:
    """Send everything back, and end when the other side has ended."""
    while data := sock.recv(1 << 16):
        sock.sendall(data)
    sock.shutdown(socket.SHUT_WR)


#: What programs have in their environment. They have no runtime directory, and so no admin socket.
_SETTINGS: Final = {"PYTHONUNBUFFERED": "1", "NO_COLOR": "1", "RUNTIME_DIRECTORY": "/nonexistent/txbore"}


class Program:
    """
    A program in a process of its own, whose output is read as it comes.

    :param words: the command line.
    :param fds: descriptors that it inherits.
    """

    def __init__(
        self, words: Sequence[str], environment: dict[str, str] | None = None, cwd: str | None = None, *fds: int
    ) -> None:
        self.words = list(words)
        stateHome = tempfile.mkdtemp(dir=_stateHomes.name)
        base = {k: v for k, v in os.environ.items() if not k.startswith("BORE_") and k != "LISTEN_FDS"}
        self.process = subprocess.Popen(
            self.words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=base | _SETTINGS | {"XDG_STATE_HOME": stateHome} | (environment or {}),
            cwd=cwd,
            pass_fds=fds,
        )
        self.out: list[str] = []
        self.err: list[str] = []
        self._readers = [
            threading.Thread(target=self._read, args=(pipe, lines), daemon=True)
            for pipe, lines in ((self.process.stdout, self.out), (self.process.stderr, self.err))
            if pipe is not None
        ]
        for reader in self._readers:
            reader.start()

    def _read(self, pipe: IO[bytes], lines: list[str]) -> None:
        # As they come: extend() takes them one by one.
        lines.extend(line.decode(errors="replace").rstrip("\n") for line in pipe)

    @property
    def pid(self) -> int:
        return self.process.pid

    def waitFor(self, text: str, seconds: float = PATIENCE, after: int = 0) -> str:
        """Wait for a line of output with this text, and return it; ``after`` is how many such lines to skip."""
        found: list[str] = []

        def seen() -> bool:
            found[:] = [line for line in [*self.out, *self.err] if text in line][after:]
            return bool(found) or self.process.poll() is not None

        try:
            eventually(seen, f"{text!r} from {self.words}", seconds)
        except AssertionError as e:
            raise AssertionError(f"{e}\n{self.transcript()}") from None
        if not found:
            for reader in self._readers:
                reader.join(2)
            seen()
        if not found:
            raise AssertionError(f"ended with {self.process.returncode} before {text!r}\n{self.transcript()}")
        return found[0]

    def port(self, text: str, after: int = 0) -> int:
        """The port in the line that tells where the program listens; see :meth:`waitFor`."""
        line = self.waitFor(text, after=after)
        found = re.search(r":(\d+)(?:,| ->| with)", line)
        assert found is not None, line
        return int(found.group(1))

    def wait(self, seconds: float = PATIENCE) -> int:
        """The exit code, when the program has ended by itself."""
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {seconds} s\n{self.transcript()}") from None
        for reader in self._readers:
            reader.join(2)
        return code

    def kill(self) -> None:
        """End the program, if it has not ended."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for reader, pipe in zip(self._readers, (self.process.stdout, self.process.stderr), strict=True):
            reader.join(2)
            assert pipe is not None
            if not reader.is_alive():  # else a process that the program has started has the pipe: closing would wait
                pipe.close()

    def transcript(self) -> str:
        return "\n".join([" ".join(self.words), *("out: " + x for x in self.out), *("err: " + x for x in self.err)])

    def descriptors(self) -> int:
        """How many descriptors the program has open (Linux)."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))


def bore(*words: str, environment: dict[str, str] | None = None) -> Program:
    """Our own ``bore``, as the interpreter of the tests runs it."""
    return Program([sys.executable, "-m", "bore", *words], environment, str(CHECKOUT))


#: python -m twisted is another program, twist.
_TWISTD: Final = "from twisted.scripts.twistd import run; run()"


def twistd(*words: str, environment: dict[str, str] | None = None, cwd: str | None = None) -> Program:
    """``twistd``, from the checkout."""
    path = os.pathsep.join(filter(None, [str(CHECKOUT), os.environ.get("PYTHONPATH")]))
    return Program([sys.executable, "-c", _TWISTD, *words], {"PYTHONPATH": path} | (environment or {}), cwd)


@contextlib.contextmanager
def running(program: Program) -> Iterator[Program]:
    """A program that has ended when the block has."""
    try:
        yield program
    finally:
        program.kill()
