"""bore status, bore kick, bore drain, bore reload and bore user revoke, with programs that run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from functools import partial

from bore import exits
from bore.admin import ask, programs
from tests.admin.commands import CommandCase
from tests.admin.program import CLIENT, FakeProgram
from tests.processes.peoplecase import PeopleCase
from tests.support import CHECKOUT, Program, bore, eventually, isClosed


class StatusTests(CommandCase, PeopleCase):
    """A server with a user, and a client of that user, which have admin sockets."""

    def setUp(self) -> None:
        CommandCase.setUp(self)
        PeopleCase.setUp(self)
        self.runtime = {"RUNTIME_DIRECTORY": str(self.folder)}

    def assertPrints(self, text: str, *words: str, code: int = exits.OK) -> str:
        """A command prints a text; return all of it."""
        found, out, error = self.bore(*words)
        self.assertEqual(found, code, out + error)
        self.assertIn(text, out + error)
        return out + error

    def started(self) -> tuple[Program, Program, int]:
        """A server, a client of alice, and its public port."""
        self.users.write_text("")
        self.users.chmod(0o600)
        words = "--bind-addr", self.host, "--control-port", "0", "--tls", "--users", str(self.users)
        homes = self.runtime | {"XDG_STATE_HOME": str(self.serverHome)}
        server = self.start(bore("server", *words, environment=homes))
        self.control = server.port("listening on ")
        line = self.invite("alice", "--max-tunnels", "1").line
        server.waitFor("user alice: added")
        words = str(self.service.port), "-l", "127.0.0.1", "--to", line, "--max-reconnect-delay", "1"
        client = self.start(bore("local", *words, environment=self.runtime))
        return server, client, client.port("listening at ")

    def test_whatOperatorsSeeAndDo(self) -> None:
        server, client, port = self.started()
        visitor = self.visitor(port)
        self.assertEchoes(visitor)
        shown = self.assertPrints(f"(pid {server.pid})", "status")
        for text in (
            f"== {self.path(f'server-{self.control}')}\n",
            f"== {self.path(f'client-{client.pid}')}\n",
            "! limit reached: tunnels of one user (alice), 1 of 1\n",
            f"{port}",  # its host may be on the line before: the column is narrow
        ):
            self.assertIn(text, shown)
        host, itsPort = visitor.getsockname()
        found = json.loads(self.bore("status", "--server", "--json", str(port))[1])
        self.assertEqual([each["from"] for each in found["list"]], [f"{host}:{itsPort}"])
        self.assertPrints(f"{host}:{itsPort}", "status", "--client", str(port))
        self.assertPrints(f"{self.users}: 1 user", "reload", "--server")
        self.assertPrints("choose one by --socket", "reload", code=exits.USAGE)

        self.patch(programs, "ask", partial(ask.ask, timeout=0.5))
        server.process.send_signal(signal.SIGSTOP)
        self.assertPrints("has not answered for 0.5 s", "status", "--server", code=exits.UNAVAILABLE)
        self.assertPrints("! the program at ", "status")
        server.process.send_signal(signal.SIGCONT)
        self.patch(programs, "ask", ask.ask)

        self.assertPrints("ended: 1 session, 1 tunnel, 1 visitor", "kick", "alice")
        self.assertTrue(isClosed(visitor))
        self.assertPrints("there is no session or tunnel of bob", "kick", "bob", code=exits.FAILURE)
        client.waitFor("listening at ", after=1)
        self.assertPrints(
            f"has ended 1 session, 1 tunnel ({port})", "user", "revoke", "alice", "--users", str(self.users)
        )
        self.assertPrints("has no visitors, and ends", "drain", "--server")
        self.assertEqual(server.wait(), exits.OK)
        self.assertNoTraceback(server, client)

    def test_theWatchEndsWithItsReaderAndInOrder(self) -> None:
        FakeProgram(self, self.path("client-1"), {"GET /status": CLIENT})
        watch = self.start(bore("status", "--watch", environment=self.runtime))
        watch.waitFor("client ", after=1)
        watch.process.send_signal(signal.SIGINT)
        self.assertEqual((watch.wait(), watch.err), (exits.OK, []))
        words = [sys.executable, "-m", "bore", "status", "--watch"]
        process = subprocess.Popen(
            words, cwd=CHECKOUT, env=os.environ | self.runtime, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        self.addCleanup(process.kill)
        assert process.stdout is not None and process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        eventually(lambda: process.poll() is not None, "it has ended")
        with process.stderr:
            self.assertEqual((process.wait(), process.stderr.read()), (exits.OK, b""))

    def test_theCommandsLoadNeitherTwistedNorOpenSSL(self) -> None:
        code = (
            "import sys\nfrom bore.cli import main\nmain(['status'])\n"
            "print([name for name in ('twisted', 'OpenSSL', 'cryptography', 'tomlkit') if name in sys.modules])"
        )
        program = self.start(Program([sys.executable, "-c", code], self.runtime, str(CHECKOUT)))
        self.assertEqual((program.wait(), program.out), (0, ["[]"]), program.transcript())
