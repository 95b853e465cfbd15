"""The engines of a cluster: Redis with a replica and Sentinels, and etcd with three members, on one host."""

from __future__ import annotations

import json
import shutil
import urllib.request
from collections.abc import Mapping
from typing import ClassVar, Final, Protocol

from twisted.trial.unittest import SkipTest

from laboratory.measure import secondsUntil
from laboratory.network import Lab
from tests.support import Program

#: The host that the engine is on.
PLACE: Final = "engine"

#: How long an engine may take to start, in seconds.
_START: Final = 20.0

#: After so long a Sentinel takes its master for dead, in seconds.
_DEAD: Final = 3.0


class EngineServers(Protocol):
    """
    The servers of an engine.

    :ivar url: for ``--cluster``.
    """

    url: str

    def start(self) -> None:
        """Start all of them, and wait until they can be used. What they knew before is forgotten."""

    def kill(self) -> None:
        """Kill all of them (SIGKILL)."""

    def killLeader(self) -> None:
        """Kill the one that decides; start it again when there is another."""


def enginesOf(lab: Lab, name: str) -> EngineServers:
    """
    The servers of an engine.

    :param name: ``redis`` or ``etcd``.
    """
    return Etcd(lab) if name == "etcd" else Redis(lab)


def _find(program: str, package: str) -> str:
    found = shutil.which(program)
    if found is None:
        raise SkipTest(f"{program} is missing (Debian: {package})")
    return found


def _wait(what: str, condition: bool) -> None:
    if not condition:
        raise AssertionError(f"not within {_START:g} s: {what}")


class Redis:
    """
    A master with two replicas, and three Sentinels. Nothing is on a disk.

    A write needs one replica: when the master is lost, there still is one.
    """

    _PORTS: ClassVar = (6379, 6380, 6381)
    _SENTINELS: ClassVar = (26379, 26380, 26381)
    _MASTER: ClassVar = "tunnels"

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._path = _find("redis-server", "redis-server")
        self._address = lab.address(PLACE)
        self._folder = lab.folder / "redis"
        self._servers: dict[int, Program] = {}
        self._sentinels: list[Program] = []
        watchers = ",".join(f"{self._address}:{port}" for port in self._SENTINELS)
        self.url = f"redis+sentinel://{watchers}/{self._MASTER}?replicas=1"

    def start(self) -> None:
        """See :class:`EngineServers`."""
        self._folder.mkdir(exist_ok=True)
        first, *others = self._PORTS
        self._server(first)
        for port in others:
            self._server(port, first)
        words = [
            f"sentinel monitor {self._MASTER} {self._address} {first} 2",
            f"sentinel down-after-milliseconds {self._MASTER} {_DEAD * 1000:.0f}",
            f"sentinel failover-timeout {self._MASTER} 10000",
            "loglevel warning",
        ]
        for port in self._SENTINELS:
            file = self._folder / f"sentinel{port}.conf"
            file.write_text("\n".join((*words, f"port {port}", "protected-mode no", f"dir {self._folder}", "")))
            self._sentinels.append(self._lab.start(PLACE, self._path, str(file), "--sentinel"))
        _wait("two replicas are connected", secondsUntil(lambda: self._replicas(first) == 2, _START) is not None)
        ready = secondsUntil(lambda: all(self._watches(port) for port in self._SENTINELS), _START, 0.1)
        _wait("all Sentinels know each other", ready is not None)

    def _server(self, port: int, of: int = 0) -> None:
        words = ["--port", str(port), "--protected-mode", "no", "--save", "", "--loglevel", "warning"]
        words += ["--dir", str(self._folder), "--repl-diskless-sync-delay", "0", "--repl-diskless-load", "swapdb"]
        if of:
            words += ["--replicaof", f"{self._address} {of}"]
        self._servers[port] = self._lab.start(PLACE, self._path, *words)
        _wait(f"a Redis listens on port {port}", self._answers(port))

    def _answers(self, port: int) -> bool:
        return secondsUntil(lambda: self._lab.isOpen(PLACE, self._address, port), _START) is not None

    def _ask(self, port: int, *words: str) -> str:
        """What a server answers to a command, and to PING; empty if it does not answer."""
        found = b""
        try:
            with self._lab.connect(PLACE, self._address, port, 2) as sock:
                sock.sendall(f"{' '.join(words)}\r\nping\r\n".encode())
                while not found.endswith(b"+PONG\r\n") and (data := sock.recv(1 << 16)):
                    found += data
        except OSError:
            return ""
        return found.decode(errors="replace")

    def _replicas(self, port: int) -> int:
        return self._ask(port, "info", "replication").count("state=online")

    def _watches(self, port: int) -> bool:
        text = self._ask(port, "info", "sentinel")
        return f"address={self._address}:" in text and "slaves=2,sentinels=3" in text

    def _leader(self, dead: int = 0) -> int:
        """The port of the master, as the Sentinels know it; 0 if they do not agree, or name a dead one."""
        found = {self._ask(port, "sentinel", "get-master-addr-by-name", self._MASTER) for port in self._SENTINELS}
        known = [port for port in self._PORTS if port != dead and any(f"\r\n{port}\r\n" in text for text in found)]
        return known[0] if len(found) == len(known) == 1 else 0

    def kill(self) -> None:
        """See :class:`EngineServers`."""
        for program in (*self._servers.values(), *self._sentinels):
            program.process.kill()
            program.process.wait()
        self._servers.clear()
        self._sentinels.clear()

    def killLeader(self) -> None:
        """See :class:`EngineServers`."""
        former = self._leader()
        _wait("the Sentinels agree on a master", former != 0)
        self._servers[former].process.kill()
        _wait("there is another master", secondsUntil(lambda: bool(self._leader(former)), _START, 0.1) is not None)
        self._server(former, self._leader(former))


class Etcd:
    """Three members, whose data is in the laboratory's folder."""

    _MEMBERS: ClassVar = {"e1": (2379, 2380), "e2": (2479, 2480), "e3": (2579, 2580)}

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._path = _find("etcd", "etcd-server")
        self._address = lab.address(PLACE)
        self._folder = lab.folder / "etcd"
        self._programs: dict[str, Program] = {}
        self._token = 0
        self.url = "etcd://" + ",".join(f"{self._address}:{port}" for port, _ in self._MEMBERS.values())

    def _member(self, name: str, state: str) -> None:
        client, peer = (f"http://{self._address}:{port}" for port in self._MEMBERS[name])
        cluster = ",".join(f"{each}=http://{self._address}:{port}" for each, (_, port) in self._MEMBERS.items())
        words = ["--name", name, "--data-dir", str(self._folder / name), "--initial-cluster-state", state]
        words += ["--listen-client-urls", client, "--advertise-client-urls", client, "--listen-peer-urls", peer]
        words += ["--initial-advertise-peer-urls", peer, "--initial-cluster", cluster]
        words += ["--initial-cluster-token", f"t{self._token}", "--logger", "zap", "--log-level", "error"]
        self._programs[name] = self._lab.start(PLACE, self._path, *words)

    def start(self) -> None:
        """See :class:`EngineServers`."""
        self._token += 1
        for name in self._MEMBERS:
            self._member(name, "new")
        _wait("etcd has a leader", secondsUntil(lambda: bool(self._leader()), _START, 0.1) is not None)

    def _status(self, port: int) -> Mapping[str, object]:
        url = f"http://{self._address}:{port}/v3/maintenance/status"
        try:
            with self._lab.inside(PLACE), urllib.request.urlopen(url, b"{}", 2) as answer:
                found: Mapping[str, object] = json.load(answer)
        except OSError:
            return {}
        return found

    def _leader(self, dead: str = "") -> str:
        """The name of the leader; empty if there is none, or a dead one."""
        for name, (port, _) in self._MEMBERS.items():
            match self._status(port):
                case {"header": {"member_id": str(own)}, "leader": str(leader)} if own == leader and name != dead:
                    return name
        return ""

    def kill(self) -> None:
        """See :class:`EngineServers`."""
        for program in self._programs.values():
            program.process.kill()
            program.process.wait()
        self._programs.clear()
        shutil.rmtree(self._folder, ignore_errors=True)

    def killLeader(self) -> None:
        """See :class:`EngineServers`."""
        former = self._leader()
        _wait("etcd has a leader", former != "")
        self._programs[former].process.kill()
        _wait("there is another leader", secondsUntil(lambda: bool(self._leader(former)), _START, 0.1) is not None)
        self._member(former, "existing")
