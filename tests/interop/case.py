"""Programs, ours and the original's, in all pairings."""

from __future__ import annotations

import re
from typing import NamedTuple

from twisted.trial.unittest import SynchronousTestCase

from tests.original import CONTROL_PORT, original
from tests.ports import loopbackHost
from tests.support import (
    Program,
    bore,
    eventually,
    isOpen,
)


class Pairing(NamedTuple):
    """Who is on which side, and whether they share a secret."""

    server: str
    client: str
    secret: str | None

    def __str__(self) -> str:
        return f"server {self.server}, client {self.client}, {'a' if self.secret else 'no'} secret"


PAIRINGS = [
    Pairing(server, client, secret)
    for server in ("ours", "original")
    for client in ("ours", "original")
    for secret in (None, "correct horse")
]


class PairingCase(SynchronousTestCase):
    """Starts programs, ours and the original's."""

    original: str
    programs: list[Program]

    @classmethod
    def setUpClass(cls) -> None:
        cls.original = original()
        cls.programs = []

    @classmethod
    def tearDownClass(cls) -> None:
        for program in reversed(cls.programs):
            program.kill()

    @classmethod
    def start(cls, who: str, *words: str) -> Program:
        program = bore(*words) if who == "ours" else Program([cls.original, *words])
        cls.programs.append(program)
        return program

    @classmethod
    def server(cls, who: str, *words: str) -> str:
        """Start a server; return the address that it will listen on."""
        host = loopbackHost()
        cls.start(who, "server", "--bind-addr", host, *words)
        return host

    @classmethod
    def client(cls, who: str, host: str, localPort: int, *words: str) -> Program:
        eventually(lambda: isOpen(host, CONTROL_PORT), "the control port is open")
        own = ("--no-probe",) if who == "ours" else ()  # the local service has the connections of visitors only
        return cls.start(who, "local", str(localPort), "--local-host", "127.0.0.1", "--to", host, *own, *words)


def publicPort(client: Program, host: str) -> int:
    """The public port that a client reports."""
    found = re.search(re.escape(host) + r":(\d+)", client.waitFor("listening at"))
    assert found is not None
    return int(found.group(1))
