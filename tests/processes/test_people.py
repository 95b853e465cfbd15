"""Users of a server, from the line that invites them to a page that is shown."""

from __future__ import annotations

import os
import pty
import signal
import socket
import subprocess
import sys
import time

from bore.options.invitation import Invitation
from tests.certificates import Authority
from tests.processes.case import count
from tests.processes.peoplecase import PeopleCase
from tests.processes.tlscase import NO_PERMISSION, NOT_TRUSTED, keyOf
from tests.support import Program, bore, eventually, temporaryFolder

#: The exit code where the server cannot be reached.
UNAVAILABLE = 69


class JoinTests(PeopleCase):
    """bore join, and what needs no further option afterwards."""

    def setUp(self) -> None:
        super().setUp()
        self.bore = self.peopleServer()
        self.alice = self.invite("alice", "--max-tunnels", "3")
        self.known()

    def known(self, count: int = 1) -> None:
        self.bore.waitFor(f"{count} user")

    def test_twoCommandsShowAPage(self) -> None:
        joined = self.join(self.alice, self.home)
        self.assertEqual(joined.out[0], "alice may use: max-tunnels 3")
        self.assertIn(f"joined alice@{self.host}:{self.control}", joined.out[-1])
        client = self.show(self.home)
        self.assertServes(client.port("listening at "))
        self.assertIn("as the line for joining it says, and verified by secret", client.waitFor("TLS with"))
        for program in (joined, client, self.bore):
            self.assertNotIn(self.alice.secret, "".join([*program.out, *program.err]))
        self.assertFalse(self.pins.exists(), "the pin of the line needs no file")
        self.assertNoTraceback(client, self.bore, joined)

    def test_theLineMayComeByStandardInput(self) -> None:
        environment = {"HOME": str(self.home), "PATH": "", "XDG_STATE_HOME": str(self.home)}
        words = bore("--version").words[:-1]
        for text in (self.alice.line, f"  bore join {self.alice.line}\n"):
            done = subprocess.run(
                [*words, "join", "-"], input=text.encode(), env=environment, capture_output=True, check=True
            )
            self.assertIn(b"joined alice@", done.stdout)
        done = subprocess.run([*words, "join"], input=b"\n", env=environment, capture_output=True, check=False)
        self.assertEqual((done.returncode, b"no line on standard input" in done.stderr), (2, True))

    def test_aLineThatTheServerDoesNotAcceptIsNotWrittenDown(self) -> None:
        wrong = Invitation("alice", "w" * 32, self.host, self.control, self.alice.pins)
        for invitation in (wrong, Invitation("alcie", self.alice.secret, self.host, self.control, self.alice.pins)):
            program = self.join(invitation, self.home, NO_PERMISSION)
            self.assertIn("it was revoked or replaced, or it has expired. Ask for a new one", program.err[-1])
        other = Invitation("alice", self.alice.secret, self.host, self.control, ("SHA256:" + "o" * 43,))
        program = self.join(other, self.home, NOT_TRUSTED)
        self.assertIn("Someone may be intercepting the connection", program.err[-1])
        self.bore.process.send_signal(signal.SIGTERM)
        self.bore.wait()
        self.assertIn("connection refused", self.join(self.alice, self.home, UNAVAILABLE).err[-1])
        self.assertEqual(self.do("servers", home=self.home).out, ["no server was joined: 'bore join LINE' joins one"])

    def test_aUserWhoMayNotConnectIsSentTheReason(self) -> None:
        elsewhere = self.invite("bob", "--from", "192.0.2.0/24")
        self.known(2)
        program = self.join(elsewhere, self.home, NO_PERMISSION)
        self.assertIn("server error: this user may not connect from your address", program.err[-1])
        self.assertNotIn("joined", "".join(program.out))

    def test_noAnswerToTheQuestionForTheLineIsAnError(self) -> None:
        for which in (b"\x04", signal.SIGINT):
            terminal, other = pty.openpty()
            self.addCleanup(os.close, terminal)
            asking = subprocess.Popen(
                [*bore("--version").words[:-1], "join"], stdin=other, stderr=subprocess.PIPE, start_new_session=True
            )
            os.close(other)
            self.addCleanup(asking.kill)
            assert asking.stderr is not None
            self.assertEqual(asking.stderr.read(4), b"Line")
            if isinstance(which, bytes):
                os.write(terminal, which)
            else:
                asking.send_signal(which)
            text = asking.communicate(timeout=20)[1]
            self.assertTrue(text.endswith(b"\nbore join: stopped: no server was joined\n"), text)
            self.assertEqual(asking.returncode, 1)

    def test_aLineInSeveralWordsIsOneOrIsRefusedAsThat(self) -> None:
        words = self.alice.line.partition("/#")
        cut = self.do("join", words[0], "".join(words[1:]), code=2, home=self.home)
        self.assertIn("a blank or a line break in it: copy the line in one piece (see", cut.err[0])
        self.assertNotIn(self.alice.secret, cut.err[0])
        self.do("join", "bore", "join", self.alice.line, home=self.home)

    def test_aUserWhoIsGoneIsSentForANewLine(self) -> None:
        self.join(self.alice, self.home)
        self.do("user", "revoke", "alice")
        self.bore.waitFor("0 users")
        client = self.show(self.home)
        self.assertEqual(client.wait(), NO_PERMISSION, client.transcript())
        self.assertIn("invalid secret: alice was revoked, has expired", client.err[-1])

    def test_aServerWithoutUsersIsNamedAsThat(self) -> None:
        _, port = self.tlsServer()
        program = self.join(self.alice, self.home, NO_PERMISSION, port=port)
        self.assertEqual(len(program.err), 1, program.transcript())
        self.assertIn("has no users: its operator has to start it with --users", program.err[0])

    def test_aSignalEndsTheQuestionToAServerThatDoesNotAnswer(self) -> None:
        silent = socket.create_server((self.host, 0))
        self.addCleanup(silent.close)
        line = self.alice.line.replace(f":{self.alice.port}/", f":{silent.getsockname()[1]}/")
        for which in (signal.SIGINT, signal.SIGTERM):
            program = self.start(bore("join", line, environment={"HOME": str(self.home)}))
            asked, _ = silent.accept()
            self.addCleanup(asked.close)
            asked.recv(1)  # the program is in its loop
            program.process.send_signal(which)
            self.assertEqual(program.wait(), 1, program.transcript())
            self.assertEqual(program.err, ["bore join: stopped: the server was not joined"])

    def test_theLineAndTheNameAreServersToo(self) -> None:
        client = self.show(self.home, "--to", self.alice.line, "--no-reconnect")
        self.assertServes(client.port("listening at "))
        self.join(self.alice, self.home)
        client = self.show(self.home, "--to", f"alice@{self.host}:{self.control}")
        self.assertServes(client.port("listening at "))

    def test_aRotatedSecretWorksAsLongAsItsGrace(self) -> None:
        rotated = self.do("user", "rotate", "alice")
        self.assertIn("The former line works until", rotated.err[-1])
        self.bore.waitFor("1 user", after=1)
        self.join(self.alice, self.home)
        self.do("user", "rotate", "alice", "--grace", "0")
        self.bore.waitFor("1 user", after=2)
        self.join(self.alice, self.home)  # whose grace has been given before
        self.do("user", "revoke", "alice")
        self.bore.waitFor("0 users")
        self.join(self.alice, self.home, NO_PERMISSION)


class KeyTests(PeopleCase):
    """bore server-key."""

    def setUp(self) -> None:
        super().setUp()
        self.bore = self.peopleServer()
        self.key = keyOf(self.bore)

    def announced(self) -> str:
        """Have the server announce its next key, and return that."""
        self.do("server-key", "rotate")
        self.bore.process.send_signal(signal.SIGHUP)
        line = self.bore.waitFor("the next TLS key is ")
        return line.split("the next TLS key is ")[1].split(":")[0] + ":" + line.split("SHA256:")[1].split(":")[0]

    def test_whoHasLearnedTheKeyNoticesNothingAndOthersRefuseIt(self) -> None:
        alice, bob = self.invite("alice"), self.invite("bob")
        self.bore.waitFor("2 users")
        homes = self.home, temporaryFolder(self)
        self.join(alice, homes[0])
        self.join(bob, homes[1])
        client = self.show(homes[0], "--lanes", "2")
        public = client.port("listening at ")
        stays = self.visitor(public)
        self.assertEchoes(stays)
        following = self.announced()
        self.assertNotEqual(following, self.key)
        self.assertIn(following, client.waitFor("has announced its next key"))
        carol = self.invite("carol")
        self.assertEqual(carol.pins, (self.key, following))
        self.assertIn("0 h old", self.do("server-key", "rotate", code=1).err[-1])
        used = self.do("server-key", "rotate", "--now")
        self.assertEqual(used.out, [f"key:  {following}"])
        time.sleep(1.1)  # the files are looked at once a second
        for visitor in [self.visitor(public) for _ in range(6)]:  # more than there are lanes
            self.assertEchoes(visitor)
        self.bore.waitFor(f"new TLS certificate, key {following}")
        self.assertEchoes(stays)
        self.assertEqual((count(client, "warn"), count(client, " error "), count(client, "next attempt")), (0, 0, 0))
        again = self.show(homes[0], "--no-state")
        self.assertServes(again.port("listening at "))
        self.assertIn(following, again.waitFor("TLS with"))
        away = self.show(homes[1])
        self.assertEqual(away.wait(), NOT_TRUSTED, away.transcript())
        self.assertIn("ask for a new line", away.err[-1])
        self.bore.waitFor("3 users")
        self.join(carol, homes[1])
        self.assertNoTraceback(self.bore, client, again, away)

    def test_aServerWithoutUsersAnnouncesItToo(self) -> None:
        client, public = self.tlsClient(self.startPlain(), "--secret", "correct horse battery staple")
        self.assertServes(public)
        following = self.announced()
        self.assertIn(following, client.waitFor("has announced its next key"))
        self.assertIn(f"{self.key} {following}\n", self.pins.read_text())
        self.do("server-key", "rotate", "--now")
        client.process.send_signal(signal.SIGTERM)
        client.wait()
        time.sleep(1.1)
        client, public = self.tlsClient(self.control, "--secret", "correct horse battery staple")
        self.assertIn(f"key {following}, known", client.waitFor("TLS with"))

    def startPlain(self) -> int:
        self.bore.kill()
        self.bore, self.control = self.tlsServer("--secret", "correct horse battery staple")
        return self.control


class AuthorityTests(PeopleCase):
    """A server with a certificate by an authority of the system."""

    def setUp(self) -> None:
        super().setUp()
        self.authority = Authority()
        self.trusted = {"SSL_CERT_FILE": self.authority.write(self.home)}
        self.files = self.authority.issue(self.host).options(self.serverHome)

    def renew(self, server: Program) -> None:
        renewed = self.authority.issue(self.host)
        renewed.write(self.serverHome)
        server.process.send_signal(signal.SIGHUP)
        self.assertIn(renewed.fingerprint, server.waitFor("new TLS certificate"))

    def test_aRenewalWithANewKeyEndsNoClientThatKnowsItAsSuch(self) -> None:
        server, control = self.tlsServer(*self.files)
        client, public = self.tlsClient(control, "--lanes", "2", **self.trusted)
        self.assertIn("signed by a trusted authority", client.waitFor("TLS with"))
        stays = self.visitor(public)
        self.assertEchoes(stays)
        self.renew(server)
        for visitor in [self.visitor(public) for _ in range(6)]:
            self.assertEchoes(visitor)
        self.assertEchoes(stays)
        server.process.send_signal(signal.SIGTERM)
        server.wait()
        server, _ = self.tlsServer(*self.files, port=control)
        eventually(lambda: self.isServed(public), "it is back")
        self.assertEqual((count(client, "has changed"), count(client, " error ")), (0, 0), client.transcript())
        self.assertIn("authority", self.pins.read_text())

    def isServed(self, port: int) -> bool:
        try:
            return self.ask(port) == b"hello"
        except OSError:
            return False

    def test_aLineForItHasNoKeyAndSurvivesTheRenewal(self) -> None:
        config = self.serverHome / "server.toml"
        certificate, key = self.files[1::2]
        config.write_text(f'tls = true\ntls-cert = "{certificate}"\ntls-key = "{key}"\nusers = "{self.users}"\n')
        server = self.peopleServer(*self.files)
        added = self.do(
            *("user", "add", "alice", "--config", str(config), "--address", f"{self.host}:{self.control}"),
            environment=self.trusted,
        )
        line = added.out[0].split()[-1]
        self.assertTrue(line.endswith("/#authority"), line)
        server.waitFor("1 user")
        self.renew(server)
        self.do("join", line, home=self.home, environment=self.trusted)
        refused = self.do("join", line, home=self.home, code=NOT_TRUSTED, environment={"SSL_CERT_FILE": "/dev/null"})
        self.assertIn("has changed", refused.err[-1])


class NothingTests(PeopleCase):
    """What a person with one tunnel does not pay for."""

    def test_aClientWithoutAUserLoadsNothingOfThis(self) -> None:
        code = (
            "import sys\n"
            "from bore.options.client import clientCommand\n"
            "from bore import clientprogram\n"
            "clientCommand('x').parse(['80', '--to', 'h', '--secret', 's'], {})\n"
            "from bore.options.server import serverCommand\n"
            "from bore import serverprogram\n"
            "serverCommand('x').parse(['--secret', 's'], {})\n"
            "people = ('bore.users.entry', 'bore.users.rights', 'bore.people', 'bore.userprogram', 'bore.joinprogram', "
            "'bore.options.joined', 'bore.options.invitation', 'bore.options.usercommands', 'bore.config', 'tomlkit', "
            "'cattrs')\n"
            "print([name for name in sys.modules if name.startswith(people)])"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
        self.assertEqual(done.stdout.strip(), b"[]")
