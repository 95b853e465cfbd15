"""bore status, bore kick, bore drain, bore reload and bore user revoke, with programs that run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

from bore import exits
from tests.processes.peoplecase import PeopleCase
from tests.support import CHECKOUT, Program, bore, eventually, isClosed, temporaryFolder


class StatusTests(PeopleCase):
    """A server with a user, and a client of that user, which have admin sockets."""

    def setUp(self) -> None:
        super().setUp()
        self.folder = temporaryFolder(self)
        self.runtime = {"RUNTIME_DIRECTORY": str(self.folder), "COLUMNS": "80"}

    def started(self) -> tuple[Program, Program, int]:
        """A server, a client of alice, and its public port."""
        self.users.write_text("")
        self.users.chmod(0o600)
        server = self.start(
            bore("server", "--bind-addr", self.host, "--control-port", "0", "--tls", "--users", str(self.users),
                 environment=self.runtime | {"XDG_STATE_HOME": str(self.serverHome)})
        )  # fmt: skip
        self.control = server.port("listening on ")
        line = self.invite("alice", "--max-tunnels", "1").line
        server.waitFor("user alice: added")
        client = self.start(
            bore("local", str(self.service.port), "-l", "127.0.0.1", "--to", line, environment=self.runtime)
        )
        return server, client, client.port("listening at ")

    def bore(self, *words: str, code: int = exits.OK) -> str:
        """Run a command to its end, and return what it prints."""
        done = self.do(*words, code=code, environment=self.runtime)
        return "\n".join([*done.out, *done.err])

    def test_whatOperatorsSeeAndDo(self) -> None:
        server, client, port = self.started()
        visitor = self.visitor(port)
        self.assertEchoes(visitor)
        shown = self.bore("status")
        for text in (
            f"== {self.folder / f'server-{self.control}.sock'}",
            f"== {self.folder / f'client-{client.pid}.sock'}",
            f"(pid {server.pid})",
            "! limit reached: tunnels of one user (alice), 1 of 1",
            f"{self.host}:{port}",
        ):
            self.assertIn(text, shown)
        host, itsPort = visitor.getsockname()
        found = json.loads(self.bore("status", "--server", "--json", str(port)))
        self.assertEqual([each["from"] for each in found["list"]], [f"{host}:{itsPort}"])
        self.assertIn(f"{host}:{itsPort}", self.bore("status", "--client", str(port)))
        self.assertIn(f"{self.users}: 1 user", self.bore("reload", "--server"))
        self.assertIn("choose one by --socket", self.bore("reload", code=exits.USAGE))

        self.assertIn("ended: 1 session, 1 tunnel, 1 visitor", self.bore("kick", "alice"))
        self.assertTrue(isClosed(visitor))
        self.assertIn("there is no session or tunnel of bob", self.bore("kick", "bob", code=exits.FAILURE))
        client.waitFor("listening at ", after=1)

        revoked = self.bore("user", "revoke", "alice", "--users", str(self.users))
        self.assertIn(f"has ended 1 session, 1 tunnel ({port})", revoked)
        self.assertIn("has no visitors, and ends", self.bore("drain", "--server"))
        self.assertEqual(server.wait(), exits.OK)
        self.assertNoTraceback(server, client)
        self.assertNotIn("critical", server.transcript())

    def test_aServerThatHangsIsNotWaitedForLong(self) -> None:
        server, _, _ = self.started()
        server.process.send_signal(signal.SIGSTOP)
        self.addCleanup(server.process.send_signal, signal.SIGCONT)
        shown = self.bore("status", "--server", code=exits.UNAVAILABLE)
        self.assertIn(f"server-{self.control}.sock has not answered for 5 s", shown)
        self.assertIn("! the program at ", self.bore("status"))
        server.kill()
        self.assertIn("no bore server is running", self.bore("status", "--server", code=exits.UNAVAILABLE))

    def test_theWatchEndsWithItsReaderAndInOrder(self) -> None:
        self.started()
        watch = self.start(bore("status", "--client", "--watch", environment=self.runtime))
        watch.waitFor("client ", after=1)
        watch.process.send_signal(signal.SIGINT)
        self.assertEqual(watch.wait(), exits.OK, watch.transcript())
        words = [sys.executable, "-m", "bore", "status", "--client", "--watch"]
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
