"""Exit codes, and secrets on the command line: ``bore server`` and ``bore local``."""

from __future__ import annotations

import sys

from tests.ports import freePort
from tests.processes.case import ProcessCase
from tests.support import (
    CHECKOUT,
    Program,
    bore,
    running,
    temporaryFolder,
)


class ExitTests(ProcessCase):
    """Errors are one line, and exit codes tell them apart."""

    def assertEnds(self, code: int, text: str, *words: str) -> None:
        program = self.start(bore(*words))
        self.assertEqual(program.wait(), code, program.transcript())
        self.assertEqual(len(program.err), 1, program.transcript())
        self.assertIn(text, program.err[0])
        self.assertEqual(program.out, [])

    def test_wrongUsageIsTwo(self) -> None:
        self.assertEnds(
            2, "bore local: --port 'x': must be a number from 0 to 65535", "local", "80", "-t", "a", "--port", "x"
        )
        commands = "commands: local, up, join, servers, leave, server, "
        self.assertEnds(2, f"bore: no command given; {commands}")
        self.assertEnds(2, f"bore: unknown command 'frob'; {commands}", "frob")
        self.assertEnds(2, "bore: unknown command 'loca'; did you mean 'local'? (see 'bore --help')", "loca", "80")
        for service in ("8000", "nas.lan:80"):
            text = f"unknown command {service!r}; did you mean: bore local {service} --to HOST (see"
            self.assertEnds(2, text, service, "--to", "example.com")
        self.assertEnds(2, "unrecognized arguments: --tunel (see 'bore up --help')", "up", "--tunel", "x")
        self.assertEnds(2, "unrecognized arguments: --too x; did you mean '--to'?", "local", "80", "--too", "x")

    def test_errorsNameTheHelpThatHasMore(self) -> None:
        self.assertEnds(2, "unknown command 'ad'; did you mean 'add'? (see 'bore user --help')", "user", "ad", "alice")
        self.assertEnds(2, "did you mean '--ports'? (see 'bore user add --help')", "user", "add", "bob", "--port", "80")
        shown = self.start(bore("help", "local"))
        self.assertEqual(shown.wait(), 0, shown.transcript())
        self.assertIn("usage: bore local", shown.out[0])

    def test_notReachableIs69WithoutReconnect(self) -> None:
        port = freePort(self.host)
        self.assertEnds(
            69, f"cannot reach {self.host}:{port}: connection refused",
            "local", "80", "-t", f"{self.host}:{port}", "--no-reconnect",
        )  # fmt: skip
        for to in ("nowhere.invalid", "tls://nowhere.invalid"):
            self.assertEnds(69, "the name nowhere.invalid", "local", "80", "-t", to, "--no-reconnect")

    def test_allThreeWaysNotToShareASecretAre77AtOnce(self) -> None:
        _, withSecret = self.server("--secret", "the right one, long enough")
        _, without = self.server()
        for text, port, words in (
            ("invalid secret", withSecret, ["-s", "the wrong one, long enough"]),
            ("server requires authentication, but no client secret was provided", withSecret, []),
            (
                "expected authentication challenge, but no secret was required",
                without,
                ["-s", "one that is long enough"],
            ),
        ):
            self.assertEnds(77, text, "local", "80", "-t", f"{self.host}:{port}", *words)

    def test_aSecretThatIsRefusedLaterOnAPlainConnectionIs77AtOnceToo(self) -> None:
        port = freePort(self.host)
        secret, other = "a secret that is long enough", "another one that is long enough"
        server, _ = self.server("--secret", secret, port=port)
        client, _ = self.client(port, "--secret", secret)
        server.kill()
        self.server("--secret", other, port=port)
        self.assertEqual(client.wait(), 77, client.transcript())
        self.assertIn("invalid secret", client.err[-1])

    def test_aRefusedPortIsOneWithoutReconnect(self) -> None:
        _, control = self.server()
        _, port = self.client(control)
        self.assertEnds(
            1,
            "is already in use on the server",
            "local",
            "80",
            "-t",
            f"{self.host}:{control}",
            "-p",
            str(port),
            "--no-reconnect",
        )

    def test_aControlPortThatIsTakenIsOne(self) -> None:
        server, control = self.server()
        self.assertEnds(
            1, f"cannot listen on {self.host}:{control}: Address already in use by ",
            "server", "--bind-addr", self.host, "--control-port", str(control),
        )  # fmt: skip
        owner = f"(process {server.pid}): stop that program, or choose another port with --control-port"
        self.assertEnds(1, owner, "server", "--bind-addr", self.host, "--control-port", str(control))
        self.assertEnds(1, "--bind-addr", "server", "--bind-addr", "192.0.2.1", "--control-port", "0")

    def test_aSocketFromSystemdThatIsNoneIsOne(self) -> None:
        code = "import os, sys; os.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid())); os.dup2(1, 3); "
        code += "os.execv(sys.executable, [sys.executable, '-m', 'bore', 'server'])"
        program = self.start(Program([sys.executable, "-c", code], cwd=str(CHECKOUT)))
        self.assertEqual(program.wait(), 1, program.transcript())
        self.assertIn("passed by systemd, is not a listening TCP socket", program.err[0])


class SecretTests(ProcessCase):
    """A tunnel with a secret."""

    def test_theSecretMayComeFromAFileOrTheEnvironment(self) -> None:
        path = temporaryFolder(self) / "secret"
        path.write_text("hush\n")
        path.chmod(0o600)
        _, control = self.server("--secret-file", str(path))
        to = f"{self.host}:{control}"
        for words, environment in ((["--secret", "hush"], {}), ([], {"BORE_SECRET": "hush"})):
            client = bore("local", str(self.service.port), "-t", to, *words, environment=environment)
            with running(client):
                port = client.port("listening at ")
                self.assertServes(port)

    def test_aSecretThatWasWrittenToAFileIsTakenByBothEnds(self) -> None:
        path = str(temporaryFolder(self) / "secret")
        made = self.start(bore("secret", "--write", path))
        self.assertEqual((made.wait(), made.err), (0, []))
        self.assertEqual(
            made.out, [f"{path}: a new secret, which only you can read; the other end needs a copy of the file"]
        )
        again = self.start(bore("secret", "--write", path))
        self.assertEqual(again.wait(), 1, again.transcript())
        self.assertEqual(again.err, [f"bore secret: {path} already exists and is not overwritten: name a new file"])
        server, control = self.server("--secret-file", path)
        self.assertIn(", with a secret", server.out[0])
        _, port = self.client(control, "--secret-file", path)
        self.assertServes(port)

    def test_aServerSaysThatItsSecretIsShortOrThatItHasNone(self) -> None:
        short, _ = self.server("--secret", "a")
        self.assertIn("warn  the secret has fewer than 16 characters", short.err[0])
        without, _ = self.server()
        self.assertTrue(without.out[0].endswith(", without a secret: anyone may open tunnels"), without.out[0])

    def test_anEmptySecretIsAnError(self) -> None:
        empty = temporaryFolder(self) / "empty"
        empty.touch(0o600)
        for words, environment in ((["--secret-file", str(empty)], {}), ([], {"BORE_SECRET": ""})):
            program = self.start(bore("server", *words, environment=environment))
            self.assertEqual(program.wait(), 2, program.transcript())
            self.assertIn("is empty", program.err[0])
