"""Starts programs, and ends every one that it has started."""

from __future__ import annotations

import contextlib
import itertools
import os
import pwd
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final

from benchmarks import measure

#: The programs run in it: ``python -m bore`` and ``python -m benchmarks...`` are those of this checkout.
CHECKOUT: Final = Path(__file__).resolve().parent.parent

#: How long a program may take to be ready, in seconds.
READY_TIMEOUT: Final = 15.0

#: How long a program may take to end when it is asked to, in seconds. Then it is killed.
END_TIMEOUT: Final = 2.0

#: How long a program may take to tell its version, in seconds.
_VERSION_TIMEOUT: Final = 20.0


class BenchmarkError(Exception):
    """A figure that cannot be measured; the text has the reason."""


#: Ports outside the range that systems take for outgoing connections, from a random one on: none is given twice.
_ports: Final = (10_000 + n % 20_000 for n in itertools.count(random.randrange(20_000)))


def freePort(host: str) -> int:
    """A port of a loopback address that is free now, and that no outgoing connection and no other program is given."""
    for port in itertools.islice(_ports, 1000):
        with socket.socket() as sock, contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((host, port))
            return port
    raise BenchmarkError(f"{host} has no free port")


def find(name: str) -> str | None:
    """Where a program is: on the path, or where systems put what only root calls."""
    return shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"]))


def findCargos(name: str, variable: str) -> str | None:
    """Where a program is that cargo has installed: named by an environment variable, or in cargo's folder."""
    named = os.environ.get(variable)
    if named:
        return shutil.which(named)
    return shutil.which(name, path=str(Path(os.environ.get("CARGO_HOME") or Path.home() / ".cargo") / "bin"))


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment without what configures a tunnel, and with something more."""
    base = {k: v for k, v in os.environ.items() if not k.startswith(("BORE_", "RATHOLE_"))}
    return base | {"NO_COLOR": "1", "LC_ALL": "C"} | dict(more or {})


class Program:
    """
    A program that runs in a session of its own: a Ctrl-C is ours alone, and we end it in order.

    :ivar log: the file that has its output.
    """

    def __init__(self, words: Sequence[str], log: Path, more: Mapping[str, str] | None, user: str | None) -> None:
        self.words = list(words)
        self.log = log
        account = pwd.getpwnam(user) if user else None
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                self.words,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment(more),
                cwd=CHECKOUT,
                start_new_session=True,
                user=account.pw_uid if account else None,
                group=account.pw_gid if account else None,
                extra_groups=[] if account else None,
            )
        self.pid = self._process.pid
        self._family: dict[int, int] = {}

    def processes(self) -> list[int]:
        """
        The ids of the program and of all that it has started itself.

        :raises BenchmarkError: if it has ended.
        """
        if self._process.poll() is not None:
            raise BenchmarkError(f"{self.name} ended with {self._process.returncode}: {self.lastWords()}")
        return list(measure.family(self.pid))

    def waitUntil(self, condition: Callable[[], bool], what: str, seconds: float = READY_TIMEOUT) -> None:
        """
        Wait until something is so.

        :raises BenchmarkError: when it does not come about, or the program ends before.
        """
        deadline = time.monotonic() + seconds
        while not condition():
            if self._process.poll() is not None:
                raise BenchmarkError(f"{self.name} ended with {self._process.returncode}: {self.lastWords()}")
            if time.monotonic() > deadline:
                raise BenchmarkError(f"{self.name}: not within {seconds:g} s: {what}: {self.lastWords()}")
            time.sleep(0.02)

    def waitUntilListening(self, host: str, port: int) -> None:
        """Wait until a program listens there, without connecting to it."""
        self.waitUntil(lambda: measure.isListening(host, port), f"to listen at {host}:{port}")

    def waitForEnd(self, seconds: float) -> None:
        """
        Wait until the program has ended by itself.

        :raises BenchmarkError: when it does not, or fails.
        """
        try:
            code = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise BenchmarkError(f"{self.name} was not done within {seconds:g} s: {self.lastWords()}") from None
        if code != 0:
            raise BenchmarkError(f"{self.name} ended with {code}: {self.lastWords()}")

    @property
    def name(self) -> str:
        """What the program is called in messages."""
        return Path(self.words[0]).name

    def lastWords(self) -> str:
        """The last lines of its output, as one."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").split("\n")
        return " | ".join([line.strip() for line in lines if line.strip()][-4:]) or "it said nothing"

    def askToEnd(self) -> None:
        """Ask the program to end, and remember what it has started."""
        if self._process.poll() is None:
            self._family = measure.family(self.pid)
            self._process.send_signal(signal.SIGTERM)

    def end(self) -> None:
        """End the program, and what it has started and left behind."""
        self.askToEnd()
        try:
            self._process.wait(END_TIMEOUT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for pid, born in self._family.items():
            # An id is only theirs as long as the moment of birth is, too.
            if pid != self.pid and measure.born(pid) == born:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        self._family.clear()


class Programs:
    """
    The programs of one part of the benchmark, which have ended when its block is left.

    :ivar folder: a folder for their files, which is gone then.
    """

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="bore-bench-"))
        # For those that run as another user.
        self.folder.chmod(0o711)
        self._started: list[Program] = []

    def start(self, words: Sequence[str], more: Mapping[str, str] | None = None, user: str | None = None) -> Program:
        """
        Start a program.

        :param words: its command line.
        :param more: what its environment has besides ours.
        :param user: who it runs as, if not as we do.
        """
        log = self.folder / f"{len(self._started)}.log"
        try:
            program = Program(words, log, more, user)
        except OSError as e:
            raise BenchmarkError(f"{words[0]} cannot be started: {e.strerror}") from e
        self._started.append(program)
        return program

    def __enter__(self) -> Programs:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        with uninterrupted():
            for program in self._started:
                program.askToEnd()
            for program in reversed(self._started):
                program.end()
            shutil.rmtree(self.folder, ignore_errors=True)


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """A block that is run to its end: what interrupts us has to wait for the few seconds that it takes."""
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def run(words: Sequence[str], seconds: float) -> str:
    """
    Run a program to its end, and have its standard output.

    :param seconds: how long it may take. Then it is killed.
    :raises BenchmarkError: if it fails.
    """
    try:
        process = subprocess.Popen(
            list(words),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(),
            start_new_session=True,
        )
    except OSError as e:
        raise BenchmarkError(f"{words[0]} cannot be started: {e.strerror}") from e
    with process:
        try:
            output, errors = process.communicate(timeout=seconds)
        except BaseException as e:
            process.kill()
            if isinstance(e, subprocess.TimeoutExpired):
                raise BenchmarkError(f"{words[0]} was not done within {seconds:g} s") from None
            raise
    if process.returncode != 0:
        text = (errors.strip() or output.strip()[-300:]).decode(errors="replace")
        raise BenchmarkError(f"{words[0]} ended with {process.returncode}: {' | '.join(text.split(chr(10))[-3:])}")
    return output.decode(errors="replace")


def toldVersion(words: Sequence[str], pattern: str) -> str:
    """
    The version that a program reports.

    :param words: the program, and how it is asked.
    :param pattern: what is looked for in its answer; the version is the first group.
    :returns: the version, or "unknown".
    """
    try:
        found = re.search(pattern, run(words, _VERSION_TIMEOUT))
    except BenchmarkError:
        return "unknown"
    return found.group(1) if found else "unknown"
