"""``--status-port`` of whole programs."""

from __future__ import annotations

import http.client
import json
import shutil
import signal
import socket
import subprocess
import sys
from unittest import SkipTest

from bore import exits
from tests.processes.case import ProcessCase
from tests.support import CHECKOUT, Program, bore, eventually, twistd


class StatusPortTests(ProcessCase):
    """The port from the start of a program to its end."""

    def get(self, program: Program, path: str) -> tuple[int, str]:
        """Ask the status port of a program."""
        port = int(program.waitFor("status at http://").rpartition(":")[2].rstrip("/"))
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode()

    def test_bothEndsAnswerUntilTheirLastVisitorHasLeft(self) -> None:
        server, control = self.server("--status-port", "0")
        client, port = self.client(control, "--status-port", "0")
        visitor = self.visitor(port)
        self.assertEchoes(visitor)
        for program, role in ((server, "server"), (client, "client")):
            self.assertEqual(self.get(program, "/healthz"), (200, "ok\n"))
            self.assertEqual(self.get(program, "/readyz"), (200, "ready\n"))
            self.assertIn(f"\ntxbore_{role}_visitors_open 1.0\n", self.get(program, "/metrics")[1])
            self.assertIn('<script src="page.js" defer></script>', self.get(program, "/")[1])
            self.assertEqual(json.loads(self.get(program, "/status")[1])["program"], role)
            self.assertEqual(len(json.loads(self.get(program, f"/tunnels/{port}")[1])["list"]), 1)
        server.process.send_signal(signal.SIGTERM)
        eventually(lambda: self.get(server, "/readyz") == (503, "the server is stopping\n"), "it is not ready any more")
        self.assertEchoes(visitor)
        visitor.close()
        self.assertEqual(server.wait(), 0, server.transcript())

    def test_aPortThatIsTakenEndsBothInOneLine(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            words = "--status-port", str(port)
            client = "1", "--to", "127.0.0.1", *words
            text = f"cannot listen on 127.0.0.1:{port}: Address already in use"
            programs = (
                (bore("server", *words), f"bore server: {text}"),
                (bore("local", *client), f"bore local: {text}"),
                (twistd("-n", "--pidfile=", "bore-server", *words), f"twistd bore-server: {text}"),
                (twistd("-n", "--pidfile=", "bore-client", *client), f"twistd bore-client: {text}"),
            )  # fmt: skip
            for program, line in programs:
                self.assertEqual(self.start(program).wait(), exits.FAILURE, program.transcript())
                self.assertEqual(program.err, [line])

    def test_nothingOfItIsLoadedWithoutItNorTheLibrariesBeforeTheFirstConnection(self) -> None:
        code = (
            "import sys\nfrom twisted.internet import reactor\n"
            "from bore.options.server import serverCommand\nfrom bore.serverprogram import serverProgram\n"
            "from bore.options.client import clientCommand\nfrom bore.clientprogram import clientProgram\n"
            "def loaded(*names): print([name for name in sys.modules if name.startswith(names)])\n"
            "def run(*words):\n"
            "    serverProgram(reactor, serverCommand('x').parse(words, {}), lambda: None, ())\n"
            "    clientProgram(reactor, clientCommand('x').parse(['1', '--to', 'x', *words], {}), lambda: None)\n"
            "run('--no-admin-socket')\n"
            "loaded('bore.status.server', 'bore.status.history', 'bore.statusprogram', 'prometheus', 'twisted.web')\n"
            "run('--no-admin-socket', '--status-port', '0')\nloaded('prometheus', 'twisted.web')\n"
        )
        program = self.start(Program([sys.executable, "-c", code], None, str(CHECKOUT)))
        self.assertEqual((program.wait(), program.out), (0, ["[]", "[]"]), program.transcript())

    def test_whatIsAnsweredWithoutAClusterLoadsNothingOfOne(self) -> None:
        code = (
            "import sys, bore.status.portroutes, bore.status.serverroutes, bore.status.server, bore.status.viewers\n"
            "print([name for name in sys.modules if 'cluster' in name])"
        )
        found = subprocess.run([sys.executable, "-c", code], cwd=CHECKOUT, capture_output=True, check=True, text=True)
        self.assertEqual(found.stdout, "[]\n")

    def test_theSupervisorsAdminSocketLoadsNothingOfThePort(self) -> None:
        code = "import sys, bore.workers.routes\nprint('prometheus_client' in sys.modules)"
        found = subprocess.run([sys.executable, "-c", code], cwd=CHECKOUT, capture_output=True, check=True, text=True)
        self.assertEqual(found.stdout, "False\n")

    def test_prometheusAcceptsTheRulesForAlerts(self) -> None:
        promtool = shutil.which("promtool")
        if promtool is None:
            raise SkipTest("there is no promtool")
        command = [promtool, "check", "rules", str(CHECKOUT / "examples" / "alerts.yml")]
        done = subprocess.run(command, capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
