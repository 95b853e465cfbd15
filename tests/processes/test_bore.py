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

from tests.ports import freePort
from tests.processes.case import ProcessCase, count
from tests.support import (
    CHECKOUT,
    Program,
    bore,
    connect,
    eventually,
    isOpen,
    isTurnedAway,
    receiveAll,
    receiveExactly,
    running,
    temporaryFolder,
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
        self.assertIn(port, [entry.get("port") for entry in entries])

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
        self.assertEnds(2, "bore: no command given; commands: local, server, secret, demo")
        self.assertEnds(2, "bore: unknown command 'serve'; commands: local, server, secret, demo", "serve")

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
            1, "port already in use", "local", "80", "-t", f"{self.host}:{control}", "-p", str(port), "--no-reconnect"
        )

    def test_aControlPortThatIsTakenIsOne(self) -> None:
        _, control = self.server()
        self.assertEnds(
            1, f"cannot listen on {self.host}:{control}: Address already in use",
            "server", "--bind-addr", self.host, "--control-port", str(control),
        )  # fmt: skip

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
        self.assertEqual(self.start(bore("secret", "--write", path)).wait(), 0)
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


class LossTests(ProcessCase):
    """What happens when one side is lost."""

    def test_bothTunnelsAreBackOnTheirPortsAfterTheServerWasKilled(self) -> None:
        server, control = self.server()
        chosen = freePort(self.host)
        (first, random), (second, _) = self.client(control), self.client(control, "-p", str(chosen))
        server.kill()
        for client in (first, second):
            client.waitFor("lost ")
        self.server(port=control)
        took = eventually(lambda: isOpen(self.host, random) and isOpen(self.host, chosen), "both ports are back")
        self.assertLess(took, 5)
        self.assertServes(random)
        self.assertServes(chosen)

    def test_theServerTellsItsClientsThatItStops(self) -> None:
        server, control = self.server()
        client, _ = self.client(control)
        server.process.send_signal(signal.SIGTERM)
        self.assertEqual(server.wait(), 0)
        client.waitFor("server is shutting down")

    def test_runningVisitorsMayFinishWhenTheServerStops(self) -> None:
        server, control = self.server()
        client, port = self.client(control)
        with connect(self.host, port) as visitor:
            visitor.sendall(b"one")
            self.assertEqual(receiveExactly(visitor, 3), b"one")
            server.process.send_signal(signal.SIGTERM)
            client.waitFor("server is shutting down")
            visitor.sendall(b"two")
            self.assertEqual(receiveExactly(visitor, 3), b"two")
            self.assertFalse(isOpen(self.host, port))
            self.assertIsNone(server.process.poll())
        self.assertEqual(server.wait(4), 0)

    def test_aVisitorThatDoesNotFinishDoesNotKeepTheServer(self) -> None:
        server, control = self.server()
        _, port = self.client(control)
        with connect(self.host, port) as visitor:
            visitor.sendall(b"one")
            receiveExactly(visitor, 3)
            server.process.send_signal(signal.SIGTERM)
            self.assertEqual(server.wait(9), 0)
            with self.assertRaises(ConnectionResetError):
                visitor.recv(1)

    def test_aSecondSignalEndsTheServerAtOnce(self) -> None:
        server, control = self.server()
        client, port = self.client(control)
        with connect(self.host, port) as visitor:
            visitor.sendall(b"one")
            receiveExactly(visitor, 3)
            server.process.send_signal(signal.SIGINT)
            client.waitFor("server is shutting down")
            server.process.send_signal(signal.SIGINT)
            self.assertEqual(server.wait(2), -signal.SIGINT)


class ListenerGroupTests(ProcessCase):
    """No descriptors left."""

    def test_theServerLivesOnWithoutDescriptorsAndServesAgainWithThem(self) -> None:
        import resource

        server, control = self.server()
        _, port = self.client(control)
        limit = server.descriptors() + 20
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (limit, limit))
        held = [connect(self.host, port) for _ in range(60)]
        server.waitFor("cannot accept on")
        for visitor in held:
            visitor.close()
        eventually(lambda: self._serves(port), "new visitors are served", 8)
        complaints = [line for line in server.err if "cannot accept on" in line]
        self.assertEqual(len(complaints), 1)

    def _serves(self, port: int) -> bool:
        try:
            with connect(self.host, port, 1.0) as visitor:
                visitor.sendall(b"hello")
                return receiveExactly(visitor, 5) == b"hello"
        except OSError:
            return False


class LocalServiceTests(ProcessCase):
    """What the local service does."""

    def test_aLocalServiceThatIsDownClosesTheVisitorAtOnce(self) -> None:
        _, control = self.server()
        client, port = self.client(control)
        self.service.close()
        self.assertTrue(isTurnedAway(self.host, port))
        self.assertIn("connection refused", client.waitFor("cannot connect to"))
        self.assertIsNone(client.process.poll())

    def test_howManyVisitorsThatCostIsSaidWhenItAnswersAgain(self) -> None:
        _, control = self.server()
        for lanes in ("4", "0"):
            local = freePort(self.host)
            words = [str(local), "-l", self.host, "-t", f"{self.host}:{control}", "--lanes", lanes]
            client = self.start(bore("local", *words))
            port = client.port("listening at ")
            for _ in range(3):
                self.assertTrue(isTurnedAway(self.host, port))
            with socket.create_server((self.host, local)):
                visitor = self.visitor(port)
                client.waitFor(f"{self.host}:{local} answers again; visitors closed meanwhile: 3")
                visitor.close()
            line = f"cannot connect to {self.host}:{local} for a visitor: connection refused"
            self.assertEqual(count(client, line), 1, client.transcript())
            client.kill()

    def test_aServerOnTheIPv6WildcardServesBothFamilies(self) -> None:
        server = self.start(bore("server", "--bind-addr", "::", "--control-port", "0"))
        control = server.port("listening on ")
        for to in ("127.0.0.1", "[::1]"):
            with running(bore("local", str(self.service.port), "-t", f"{to}:{control}")) as client:
                port = client.port("listening at ")
                self.assertIn(f"listening at {to}:", client.out[0])
                for host in ("127.0.0.1", "::1"):
                    with connect(host, port) as visitor:
                        visitor.sendall(b"hi")
                        self.assertEqual(receiveExactly(visitor, 2), b"hi")


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
            self.assertIn("port already in use", "\n".join(demo.err))

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
