"""``bore server`` and ``bore local`` as people use them: processes, output, signals and exit codes."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.processes.case import ProcessCase
from tests.support import (
    CHECKOUT,
    Program,
    bore,
    connect,
    eventually,
    receiveAll,
    running,
)


class OutputTests(ProcessCase):
    """What a person sees."""

    def test_theClientPrintsOneLineAndNothingElseOnStandardOutput(self) -> None:
        _, control = self.server()
        client, port = self.client(control)
        for _ in range(3):
            self.assertServes(port)
        client.process.send_signal(signal.SIGTERM)
        self.assertEqual(client.wait(), 0)
        self.assertEqual(client.out, [f"listening at {self.host}:{port} -> 127.0.0.1:{self.service.port}"])
        self.assertEqual(client.err, [])

    def test_bothRolesEndWithZeroOnCtrlCAndOnTerm(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            server, control = self.server()
            client, _ = self.client(control)
            for program in (client, server):
                program.process.send_signal(number)
                self.assertEqual(program.wait(), 0, program.transcript())

    def test_whatChangesIsToldOnceAndTheAddressOnStandardOutput(self) -> None:
        server, control = self.server("--min-port", "20000", "--max-port", "60000")
        client, first = self.client(control)
        server.kill()
        client.waitFor("lost ")
        with socket.create_server((self.host, first)):
            server, _ = self.server("--min-port", "1024", "--max-port", "19999", port=control)
            client.waitFor("the public address changed")
            second = client.port("listening at ", after=1)
        self.assertEqual(len(client.out), 2)
        self.assertTrue(1024 <= second <= 19999)
        self.assertServes(second)

    def test_logsAreJSONWhenAskedFor(self) -> None:
        server, control = self.server("--log-format", "json", "--log-level", "debug")
        _, port = self.client(control)
        self.assertServes(port)
        eventually(lambda: any("is gone" in line for line in server.err), "the visitor's end in the log")
        entries = [json.loads(line) for line in server.err]
        self.assertEqual({entry["level"] for entry in entries}, {"debug", "info"})
        self.assertIn(("tunnel-opened", port), [(entry["event"], entry.get("port")) for entry in entries])

    def test_everyCommandHasHelpAndAVersion(self) -> None:
        for words in (["--help"], ["server", "--help"], ["local", "-h"], ["demo", "--help"], ["--version"]):
            program = self.start(bore(*words))
            self.assertEqual((program.wait(), program.err), (0, []), words)
            self.assertTrue(program.out)

    def test_theVersionIsToldWithoutLoadingTwisted(self) -> None:
        code = "import sys; from bore.cli import main; main(['--version']); sys.exit('twisted' in sys.modules)"
        program = self.start(Program([sys.executable, "-c", code], cwd=str(CHECKOUT)))
        self.assertEqual((program.wait(), len(program.out)), (0, 1), program.transcript())

    def test_aPlainTunnelDoesNotLoadOpenSSL(self) -> None:
        server, control = self.server()
        client, _ = self.client(control)
        for program in (server, client):
            maps = Path(f"/proc/{program.pid}/maps").read_text()
            self.assertNotIn("libcrypto", maps)
            self.assertNotIn("_openssl", maps)

    def test_theReaderOfStandardOutputMayGoAway(self) -> None:
        _, control = self.server()
        words = [sys.executable, "-m", "bore", "local", str(self.service.port), "-t", f"{self.host}:{control}"]
        with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=CHECKOUT) as client:
            assert client.stdout is not None
            line = client.stdout.readline().decode()
            client.stdout.close()
            self.assertServes(int(line.split(" ->")[0].rsplit(":", 1)[1]))
            client.terminate()
            client.wait()


class DemoTests(SynchronousTestCase):
    """bore demo."""

    def test_onceEndsWithZeroAfterTheFetch(self) -> None:
        with running(bore("demo", "--once")) as demo:
            self.assertEqual(demo.wait(), 0, demo.transcript())
            self.assertIn("fetched it through the tunnel: status 200", "\n".join(demo.out))
            self.assertEqual(demo.err, [])

    def test_aFetchThatFailsIsNotZero(self) -> None:
        with (
            socket.create_server(("127.0.0.1", 0)) as taken,
            running(bore("demo", "--once", "--port", str(taken.getsockname()[1]))) as demo,
        ):
            self.assertEqual(demo.wait(), 1, demo.transcript())
            self.assertIn("is already in use on the server", "\n".join(demo.err))

    def test_itServesUntilCtrlC(self) -> None:
        with running(bore("demo")) as demo:
            url = demo.waitFor("the page is at").split()[-1]
            demo.waitFor("Ctrl-C")
            host, port = url.removeprefix("http://").rstrip("/").split(":")
            with connect(host, int(port)) as visitor:
                visitor.sendall(b"GET / HTTP/1.0\r\n\r\n")
                self.assertIn(b"It works", receiveAll(visitor))
            os.kill(demo.pid, signal.SIGINT)
            self.assertEqual(demo.wait(), 0, demo.transcript())
