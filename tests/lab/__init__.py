"""
A network on one machine: hosts in network namespaces of their own, joined by a router.

The router decides what happens to the link; the hosts are told nothing.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

from twisted.trial.unittest import SkipTest

from tests.support import CHECKOUT, Program


def run(*words: str) -> None:
    """Run a command that has to succeed."""
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)}: {done.stderr.strip()}")


def requireNamespaces() -> None:
    """Skip the test, loudly, where no network can be made."""
    if os.name != "posix" or os.geteuid() != 0:
        raise SkipTest("NO LABORATORY: network namespaces need root")
    if shutil.which("ip") is None:
        raise SkipTest("NO LABORATORY: there is no ip command (Debian: iproute2)")
    try:
        run("ip", "netns", "add", f"bore-{os.getpid()}-try")
        run("ip", "netns", "delete", f"bore-{os.getpid()}-try")
    except RuntimeError as e:
        raise SkipTest(f"NO LABORATORY: {e}") from e


class Lab:
    """
    Two hosts, ``server`` (10.77.1.2) and ``client`` (10.77.2.2), with a router between them.

    :param name: tells this laboratory from others.
    """

    SERVER = "10.77.1.2"
    CLIENT = "10.77.2.2"

    def __init__(self, name: str) -> None:
        requireNamespaces()
        self._name = f"bore-{os.getpid()}-{name}"
        self._router = self._namespace("router")
        try:
            for place in ("router", "server", "client"):
                run("ip", "netns", "add", self._namespace(place))
                run("ip", "-n", self._namespace(place), "link", "set", "lo", "up")
            self._join("server", self.SERVER, "10.77.1.1")
            self._join("client", self.CLIENT, "10.77.2.1")
            self.pass_(True)
        except BaseException:
            self.close()
            raise

    def _namespace(self, place: str) -> str:
        return f"{self._name}-{place}"

    def _join(self, place: str, address: str, gateway: str) -> None:
        host = self._namespace(place)
        run("ip", "-n", host, "link", "add", "up0", "type", "veth", "peer", "name", place, "netns", self._router)
        run("ip", "-n", host, "address", "add", f"{address}/24", "dev", "up0")
        run("ip", "-n", self._router, "address", "add", f"{gateway}/24", "dev", place)
        run("ip", "-n", host, "link", "set", "up0", "up")
        run("ip", "-n", self._router, "link", "set", place, "up")
        run("ip", "-n", host, "route", "add", "default", "via", gateway)

    def pass_(self, yes: bool) -> None:
        """Let the router pass packets on, or drop them in silence."""
        flag = "1" if yes else "0"
        run("ip", "netns", "exec", self._router, "sh", "-c", f"echo {flag} > /proc/sys/net/ipv4/ip_forward")

    def start(self, place: str, *words: str) -> Program:
        """Start a program on one of the hosts."""
        return Program(["ip", "netns", "exec", self._namespace(place), *words], cwd=str(CHECKOUT))

    def python(self, place: str, code: str) -> str:
        """What a bit of Python prints on one of the hosts."""
        words = ["ip", "netns", "exec", self._namespace(place), sys.executable, "-c", code]
        return subprocess.run(words, capture_output=True, text=True, check=True, timeout=30).stdout.strip()

    def isOpen(self, place: str, host: str, port: int) -> bool:
        """Whether somebody listens, seen from one of the hosts."""
        code = f"import socket; print(socket.socket().connect_ex(({host!r}, {port})))"
        return self.python(place, code) == "0"

    def close(self) -> None:
        """Take the network down. End the programs on its hosts before."""
        for place in ("server", "client", "router"):
            subprocess.run(["ip", "netns", "delete", self._namespace(place)], capture_output=True, check=False)
