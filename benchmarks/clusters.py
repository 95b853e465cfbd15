"""A cluster that is measured: nodes on addresses of their own, with one Redis."""

from __future__ import annotations

import json
import re
import socket
import sys
from collections.abc import Sequence
from typing import Final

from benchmarks.programs import Program, Programs, find, freePort, run
from benchmarks.services import tool
from benchmarks.tunnels import Address

#: How long nodes keep their tunnels without the engine, in seconds; after its start so long nothing is granted.
TTL: Final = 15

#: How long the cluster may take until it grants addresses, and the engine to answer, in seconds.
_START: Final = TTL + 30.0
_ANSWER: Final = 10.0

_BORE: Final = (sys.executable, "-m", "bore")


class Cluster:
    """
    Nodes, and their Redis.

    :param host: a loopback address that nothing else uses, nor the next ones at distances of 50.
    :param count: how many nodes there are.
    :ivar engine: the Redis.
    :ivar nodes: the programs of the nodes.
    :ivar hosts: their addresses.
    :ivar controls: where clients come.
    """

    def __init__(self, programs: Programs, host: str, count: int) -> None:
        self._programs = programs
        self._engine = Address(host, freePort(host))
        network, _, last = host.rpartition(".")
        self.hosts = [f"{network}.{int(last) + 50 * n}" for n in range(count)]
        # The same port at all of them: one that is granted at a node must not be the control port of another.
        port = freePort(host)
        self.controls = [Address(each, port) for each in self.hosts]
        self._folder = programs.folder / f"cluster-{host}"
        self._folder.mkdir()
        redis = find("redis-server") or find("valkey-server") or tool("redis-server")
        words = [redis, "--bind", host, "--port", str(self._engine.port), "--save", "", "--dir", str(self._folder)]
        self.engine = programs.start(words)
        self.engine.waitUntilListening(*self._engine)
        key = str(self._folder / "key")
        run([*_BORE, "cluster-key", "--write", key], _ANSWER)
        self.nodes = [self._startNode(control, key) for control in self.controls]
        for node, control in zip(self.nodes, self.controls, strict=True):
            node.waitUntilListening(*control)
        self.nodes[0].waitUntil(self._grants, "to grant addresses", _START)

    def _startNode(self, control: Address, key: str) -> Program:
        words = [*_BORE, "server", "--tls", "--bind-addr", control.host, "--control-port", str(control.port)]
        words += ["--max-tunnels", "0", "--max-tunnels-per-source", "0"]  # all of them come from this machine
        words += ["--cluster", f"redis://{self._engine}", "--cluster-key", key, "--cluster-ttl", str(TTL)]
        words += ["--node", control.host, "--advertise", f"tls://{control}"]
        return self._programs.start(words, self._state(control.host))

    def startClient(self, name: str, at: int, words: Sequence[str]) -> Program:
        """
        Start a client.

        :param name: of the client; each has another one.
        :param at: the number of the node that it is sent to, from 0 on.
        :param words: its command, with all options but those that name the server.
        """
        client = [*_BORE, *words, "--to", f"tls://{self.controls[at]}", "--no-state"]
        return self._programs.start(client, self._state(name))

    def _state(self, name: str) -> dict[str, str]:
        return {"XDG_STATE_HOME": str(self._folder / f"state-{name}")}

    def ask(self, command: str) -> str:
        """What the Redis answers to a command, as its protocol has it."""
        with socket.create_connection(self._engine, _ANSWER) as sock:
            sock.sendall(f"{command}\r\nquit\r\n".encode())
            found = b""
            while data := sock.recv(1 << 16):
                found += data
        return found.decode()

    def calls(self) -> int:
        """How many calls of nodes the Redis has carried out."""
        return sum(
            int(calls) for calls in re.findall(r"cmdstat_eval(?:sha)?:calls=(\d+)", self.ask("info commandstats"))
        )

    def records(self) -> int:
        """How many addresses were granted."""
        return int(self.ask("hlen bore:records").partition("\r")[0].removeprefix(":"))

    def memberships(self) -> list[int]:
        """Of how many addresses each node is a member, by its last beat, in the order of their hosts."""
        entries = [json.loads(text) for text in re.findall(r"^\{.*\}", self.ask("hvals bore:nodes"), re.MULTILINE)]
        found = {entry["member"].split("/")[0]: int(entry["tunnels"]) for entry in entries}
        return [found.get(host, 0) for host in self.hosts]

    def _grants(self) -> bool:
        entered = f":{len(self.nodes)}\r" in self.ask("hlen bore:nodes")
        return entered and ":0\r" in self.ask("hexists bore:store recovering")
