"""Local services that have a Unix socket."""

from __future__ import annotations

import socket
from pathlib import Path

from tests.processes.case import ProcessCase
from tests.support import LocalService, Program, bore, connect, echo, pattern, receiveAll, temporaryFolder


class TargetTests(ProcessCase):
    """unix:PATH as a local service."""

    def setUp(self) -> None:
        super().setUp()
        self.path = temporaryFolder(self) / "app.sock"
        self.unix: LocalService | None = None
        _, self.control = self.server()

    def serve(self) -> None:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(self.path))
        listener.listen(64)
        self.unix = LocalService(echo, listener=listener)
        self.addCleanup(self.unix.close)

    def tunnel(self, *words: str, **environment: str) -> tuple[Program, int]:
        to = f"{self.host}:{self.control}"
        client = self.start(bore("local", f"unix:{self.path}", "-t", to, *words, environment=environment))
        return client, client.port("listening at ")

    def test_visitorsReachItOnLanesAndWithout(self) -> None:
        self.serve()
        question = pattern(5, 3_000_000)
        for words, environment in (((), {}), (("--lanes", "0"), {}), ((), {"BORE_RELAY": "portable"})):
            client, port = self.tunnel(*words, **environment)
            self.assertEqual(client.out, [f"listening at {self.host}:{port} -> unix:{self.path}"])
            for _ in range(3):
                self.assertServes(port)
            self.assertEqual(self.ask(port, question), question)
            with connect(self.host, port) as visitor:  # which ends nothing, and is answered
                visitor.sendall(b"one")
                self.assertHears(visitor, b"one")
            self.assertEqual(len([line for line in client.err if "warn" in line]), 0, client.transcript())

    def test_whatIsWrongIsSaidAndLaterVisitorsAreServed(self) -> None:
        client, port = self.tunnel()
        with connect(self.host, port) as visitor:
            self.assertEqual(self.endOf(visitor), b"")
        client.waitFor(f"unix:{self.path}")
        client.waitFor("there is no such socket: start the service, or correct the path")
        self.serve()
        self.assertServes(port)

    def endOf(self, visitor: socket.socket) -> bytes:
        try:
            return receiveAll(visitor)
        except ConnectionResetError:
            return b""


class StateTests(ProcessCase):
    """The public port of a Unix socket is remembered."""

    def test_aClientThatComesBackHasItsPort(self) -> None:
        _, control = self.server()
        home, path = Path(temporaryFolder(self)), temporaryFolder(self) / "app.sock"
        ports = []
        for _ in range(2):
            words = ("local", f"unix:{path}", "-t", f"{self.host}:{control}")
            client = self.start(bore(*words, environment={"XDG_STATE_HOME": str(home)}))
            ports.append(client.port("listening at "))
            client.process.terminate()
            client.wait()
        self.assertEqual(ports[0], ports[1])
