"""
A network on one machine: hosts in network namespaces of their own, joined by a router.

The router decides what happens to the links (see :mod:`laboratory.link`); the hosts are told nothing.
"""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from twisted.trial.unittest import SkipTest

from tests.support import CHECKOUT, Program

_CLONE_NEWNET: Final = 0x40000000
_libc: Final = ctypes.CDLL(None, use_errno=True)
_numbers = itertools.count(1)

#: Descriptors that the programs of a laboratory may have: a visitor takes two in each end of its tunnel.
DESCRIPTORS: Final = 60_000

#: Takes everything away when its standard input ends, which it does however we end.
_GUARDIAN: Final = """
trap '' INT TERM HUP
read nothing
folder=$1; shift
for space in "$@"; do
    for pid in $(ip netns pids "$space" 2> /dev/null); do kill -KILL "$pid"; done
    ip netns delete "$space"
    rm -rf "/etc/netns/$space"
done
rmdir /etc/netns 2> /dev/null
rm -rf "$folder"
"""


def run(*words: str) -> None:
    """Run a command that has to succeed."""
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)}: {done.stderr.strip()}")


def requireNamespaces() -> None:
    """Skip the test, loudly, where no network can be made."""
    if sys.platform != "linux" or os.geteuid() != 0:
        raise SkipTest("NO LABORATORY: network namespaces need Linux, and root")
    for command, package in (("ip", "iproute2"), ("tc", "iproute2"), ("unshare", "util-linux")):
        if shutil.which(command) is None:
            raise SkipTest(f"NO LABORATORY: there is no {command} command (Debian: {package})")
    try:
        run("unshare", "--net", "--mount", "true")
    except RuntimeError as e:
        raise SkipTest(f"NO LABORATORY: {e}") from e


def allowDescriptors() -> None:
    """Let this process and those that it starts have many descriptors, if root may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < DESCRIPTORS:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, max(hard, DESCRIPTORS)))


class Lab:
    """
    Hosts, each behind a link of its own to one router: the first is 10.77.1.2, the second 10.77.2.2, and so on.

    Whatever happens to this process, a guardian ends the programs on the hosts and takes the network down.

    :param name: tells this laboratory from others.
    :param hosts: short names; each is the name of the router's interface towards that host, too.
    :ivar folder: for files; it is gone when the laboratory is.
    :ivar descriptors: how many a program may have that is started from now on; 0: as many as this process.
    """

    SERVER: Final = "10.77.1.2"
    CLIENT: Final = "10.77.2.2"

    def __init__(self, name: str = "lab", hosts: Sequence[str] = ("server", "client")) -> None:
        requireNamespaces()
        allowDescriptors()
        self._name = f"bore-{os.getpid()}-{next(_numbers)}-{name}"
        self.hosts = tuple(hosts)
        self.descriptors = 0
        self.folder = Path(tempfile.mkdtemp(prefix="bore-lab-"))
        self._programs: list[Program] = []
        spaces = [self.namespace(place) for place in ("router", *hosts)]
        self._guardian = subprocess.Popen(
            ["sh", "-c", _GUARDIAN, "guardian", str(self.folder), *spaces],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            for space in spaces:
                run("ip", "netns", "add", space)
                run("ip", "-n", space, "link", "set", "lo", "up")
            for n, place in enumerate(hosts, 1):
                self._join(place, f"10.77.{n}.2", f"10.77.{n}.1")
            self.set("router", "net/ipv4/ip_forward", "1")
        except BaseException:
            self.close()
            raise

    def namespace(self, place: str) -> str:
        """The network namespace of a host, or of the router."""
        return f"{self._name}-{place}"

    def address(self, place: str) -> str:
        """The address that a host had at first."""
        return f"10.77.{self.hosts.index(place) + 1}.2"

    def _join(self, place: str, address: str, gateway: str) -> None:
        host, router = self.namespace(place), self.namespace("router")
        run("ip", "-n", host, "link", "add", "up0", "type", "veth", "peer", "name", place, "netns", router)
        run("ip", "-n", host, "address", "add", f"{address}/24", "dev", "up0")
        run("ip", "-n", router, "address", "add", f"{gateway}/24", "dev", place)
        run("ip", "-n", host, "link", "set", "up0", "up")
        run("ip", "-n", router, "link", "set", place, "up")
        run("ip", "-n", host, "route", "add", "default", "via", gateway)

    def set(self, place: str, key: str, value: str) -> None:
        """Write a kernel parameter of a host's network, as ``net/ipv4/ip_forward``."""
        # A process of its own: what /proc/sys/net shows depends on who looks.
        script = f'echo "{value}" > /proc/sys/{key}'
        run("ip", "netns", "exec", self.namespace(place), "sh", "-c", script)

    def ip(self, place: str, *words: str) -> None:
        """Run an ip command on a host or the router."""
        run("ip", "-n", self.namespace(place), *words)

    def tc(self, place: str, *words: str) -> None:
        """Run a tc command on a host or the router."""
        run("ip", "netns", "exec", self.namespace(place), "tc", *words)

    @contextlib.contextmanager
    def inside(self, place: str) -> Iterator[None]:
        """Have this thread on a host: sockets that it makes, and threads that it starts, belong there for ever."""
        own = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        there = os.open(f"/run/netns/{self.namespace(place)}", os.O_RDONLY)
        try:
            _enter(there)
            yield
        finally:
            _enter(own)
            os.close(own)
            os.close(there)

    def connect(self, place: str, host: str, port: int, timeout: float = 20.0) -> socket.socket:
        """A blocking socket, connected from one of the hosts."""
        with self.inside(place):
            sock = socket.create_connection((host, port), timeout=timeout)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    def isOpen(self, place: str, host: str, port: int) -> bool:
        """Whether a program listens there, seen from one of the hosts."""
        try:
            self.connect(place, host, port, 2.0).close()
        except OSError:
            return False
        return True

    def isClosed(self, place: str, host: str, port: int) -> bool:
        """Whether connections are refused; silence does not count."""
        try:
            self.connect(place, host, port, 2.0).close()
        except ConnectionRefusedError:
            return True
        except OSError:
            pass
        return False

    def start(self, place: str, *words: str, state: str = "") -> Program:
        """
        Start a program on one of the hosts; it ends with the laboratory, if it has not ended before.

        :param state: tells the program's state folder from those of others; by default each host has one.
        """
        limit = ("prlimit", f"--nofile={self.descriptors}:{self.descriptors}") if self.descriptors else ()
        program = Program(
            ["ip", "netns", "exec", self.namespace(place), *limit, *words],
            {"XDG_STATE_HOME": str(self.folder / (state or place)), "HOME": str(self.folder)},
            str(CHECKOUT),
        )
        self._programs.append(program)
        return program

    def python(self, place: str, module: str, *words: str, state: str = "") -> Program:
        """Start a Python module as a program."""
        return self.start(place, sys.executable, "-m", module, *words, state=state)

    def transcript(self) -> str:
        """The last lines of the output of all programs."""
        lines = (f"{line[:200]}\n" for program in self._programs for line in program.transcript().split("\n")[-20:])
        return "".join(lines)

    def name(self, place: str, **names: str) -> None:
        """Set the addresses of names on one of the hosts, for programs that are started afterwards."""
        file = Path("/etc/netns", self.namespace(place), "hosts")
        file.parent.mkdir(parents=True, exist_ok=True)
        # The programs have this very file mounted: it is written over, and not replaced.
        with open(file, "w") as hosts:
            hosts.writelines(f"{address} {name}\n" for name, address in {"localhost": "127.0.0.1", **names}.items())

    def close(self) -> None:
        """End the programs, and take the network down."""
        # First what they have started and left, which has their output as well: reading that would not end.
        for place in self.hosts:
            listed = subprocess.run(
                ("ip", "netns", "pids", self.namespace(place)), capture_output=True, text=True, check=False
            )
            for pid in listed.stdout.split():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
        for program in reversed(self._programs):
            program.kill()
        self._programs.clear()
        assert self._guardian.stdin is not None
        self._guardian.stdin.close()
        self._guardian.wait()


def _enter(namespace: int) -> None:
    if _libc.setns(namespace, _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")
