"""bore status, bore kick, bore drain, bore reload."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import cast

from twisted.trial.unittest import SynchronousTestCase

from bore import adminprogram, exits
from bore.admin import ask as module
from bore.admin import programs
from bore.admin.ask import NoAnswer
from bore.admin.command import AdminCommand
from bore.commandline import UsageError
from bore.options.admincommands import adminCommand
from tests.admin.clusternode import NODE
from tests.admin.commands import CommandCase
from tests.admin.program import CLIENT, SERVER, VISITORS, FakeProgram


def parse(*words: str, **environment: str) -> AdminCommand:
    return adminCommand(words[0]).parse(words[1:], environment)


class OptionsTests(SynchronousTestCase):
    """Command lines."""

    def assertUsageError(self, text: str, *words: str) -> None:
        self.assertIn(text, str(self.assertRaises(UsageError, parse, *words)))

    def test_everythingIsShownWithoutAWord(self) -> None:
        command = parse("status", XDG_RUNTIME_DIR="/tmp/mine")
        self.assertEqual((command.subject, command.socket, command.program), ("", None, ""))
        self.assertEqual(command.folders, [Path("/tmp/mine/txbore"), Path("/run/txbore")])

    def test_programsMayBeChosenByTheirKindOrTheirSocket(self) -> None:
        found = [parse("status", flag).program for flag in ("--server", "--client")]
        self.assertEqual(found, ["server", "client"])
        self.assertEqual(parse("reload", "--socket", "/a").socket, Path("/a"))
        self.assertUsageError("--server and --client exclude each other", "status", "--server", "--client")
        self.assertUsageError("--socket names the program", "reload", "--socket", "/a", "--client")

    def test_whoIsKickedHasToBeNamed(self) -> None:
        self.assertUsageError("'bore kick alice' or 'bore kick 20080'", "kick")
        self.assertUsageError("must have the absolute path", "kick", "unix:a")
        self.assertEqual(parse("kick", "unix:/run/a/../b").subject, "unix:/run/b")

    def test_theTimeToDrainIsADuration(self) -> None:
        self.assertEqual(parse("drain", "--within", "90s").within, timedelta(seconds=90))
        self.assertEqual(parse("drain", "--within", "0").within, timedelta())
        self.assertIsNone(parse("drain").within)
        self.assertUsageError("a unit, such as 90s, 30m", "drain", "--within", "1")


class ProgramCase(CommandCase):
    """Programs in a runtime directory, and commands."""

    def program(self, name: str = "server-7835.sock", answers: Mapping[str, object] | None = None) -> FakeProgram:
        kind = name.partition("-")[0]
        tunnel = {"address": 20000, "name": "web", "list": VISITORS}
        given = {
            "GET /status": SERVER if kind == "server" else CLIENT,
            "GET /tunnels/20000": tunnel,
            "GET /tunnels/web": tunnel,
        }
        return FakeProgram(self, self.folder / name, {**given, **(answers or {})})


class StatusTests(ProgramCase):
    """bore status."""

    def test_aServerIsShown(self) -> None:
        self.program()
        code, out, error = self.bore("status")
        self.assertEqual((code, error), (exits.OK, ""))
        self.assertIn("server 1.2.3: running, started 2 h 5 min ago (pid 4711)\n", out)
        self.assertNotIn("\x1b", out)

    def test_severalAreShownUnderHeadings(self) -> None:
        self.program()
        self.program("client-4712.sock")
        out = self.bore("status")[1]
        for name in ("server-7835.sock", "client-4712.sock"):
            self.assertIn(f"== {self.folder / name}\n", out)
        self.assertNotIn("server 1.2.3", self.bore("status", "--client")[1])
        self.assertNotIn("== ", self.bore("status", "--server")[1])
        self.assertNotIn("== ", self.bore("status", "--socket", str(self.folder / "client-4712.sock"))[1])

    def test_theVisitorsOfATunnel(self) -> None:
        self.program()
        client = self.program("client-4712.sock")
        out = self.bore("status", "20000")[1]
        self.assertIn("tunnel 20000\n", out)
        self.assertIn("198.51.100.9:40001", out)
        for word in ("web", "20080", "tunnel.example.com:20080"):
            self.assertIn("tunnel web\n", self.bore("status", word)[1])
        self.assertIn(("GET", "/tunnels/web", ""), client.asked)
        code, _, error = self.bore("status", "20001")
        self.assertEqual(code, exits.FAILURE)
        self.assertIn("there is no tunnel and no user '20001'; tunnels: ", error)
        self.assertIn("unix:/run/bore/web.sock", error)

    def test_aTunnelOfOtherNodesAndWhatIsKnownThereAlone(self) -> None:
        [forward] = cast("list[dict[str, object]]", NODE["forwards"])
        answers = {"GET /status": {**SERVER, **NODE}, "GET /tunnels/20100": {**forward, "list": VISITORS}}
        self.program(answers=answers)
        code, out, error = self.bore("status", "20100")
        self.assertEqual((code, error), (exits.OK, ""))
        self.assertIn("  nodes     node2, node3\n", out)
        self.assertIn("198.51.100.9:40001", out)
        _, _, error = self.bore("status", "bob")
        self.assertIn("20100; users of other nodes are known there alone: node2, node3", error)

    def test_aUser(self) -> None:
        self.program()
        out = self.bore("status", "alice")[1]
        self.assertIn("alice", out)
        self.assertNotIn("control port", out)
        found = json.loads(self.bore("status", "alice", "--json")[1])
        self.assertEqual([len(found[key]) for key in ("users", "tunnels", "sessions")], [1, 2, 1])

    def test_jsonIsWhatTheProgramsAnswerALineForEach(self) -> None:
        self.program()
        self.assertEqual(json.loads(self.bore("status", "--json")[1]), SERVER)
        self.program("client-4712.sock")
        lines = self.bore("status", "--json")[1].splitlines()
        self.assertEqual([json.loads(line) for line in lines], [CLIENT, SERVER])
        self.assertEqual(json.loads(self.bore("status", "20000", "--json")[1])["list"], VISITORS)

    def test_noProgramIsRunning(self) -> None:
        code, out, error = self.bore("status")
        self.assertEqual((code, out), (exits.UNAVAILABLE, ""))
        self.assertIn("bore status: no bore is running for this user", error)
        self.assertIn("sudo", error)
        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind(str(self.folder / "client-4712.sock"))
        self.assertIn("no bore server is running", self.bore("status", "--server")[2])
        self.assertEqual(self.bore("status")[0], exits.UNAVAILABLE)
        code, _, error = self.bore("status", "--socket", str(self.folder / "client-4712.sock"))
        self.assertEqual(code, exits.UNAVAILABLE)
        self.assertIn("has ended", error)

    def test_whatASocketLeftBehindIsNotMentionedAndOtherFailuresAre(self) -> None:
        self.program()
        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind(str(self.folder / "client-1.sock"))
        self.assertNotIn("client-1.sock", self.bore("status")[1])
        self.program("client-2.sock", {"GET /status": (500, {"error": "out of order"})})
        code, out, _ = self.bore("status")
        self.assertEqual(code, exits.OK)
        self.assertIn("\n! out of order\n", out)
        lines = self.bore("status", "--json")[1].splitlines()
        self.assertEqual(json.loads(lines[-1]), {"error": "out of order"})

    def test_theWatchGoesOnUntilItIsStopped(self) -> None:
        program = self.program()
        rounds = []

        def sleep(seconds: float) -> None:
            rounds.append(seconds)
            if len(rounds) == 2:
                (self.folder / "server-7835.sock").unlink()
            if len(rounds) == 3:
                raise KeyboardInterrupt

        self.patch(adminprogram, "sleep", sleep)
        code, out, _ = self.bore("status", "--watch")
        self.assertEqual((code, len(program.asked)), (exits.OK, 2))
        first, second, last = (
            out.split("\n\n! no bore is running")[0],
            out.count("server 1.2.3"),
            out.count("! no bore"),
        )
        self.assertTrue(first.startswith("server 1.2.3"))
        self.assertEqual((second, last), (2, 1))


class OrderTests(ProgramCase):
    """bore kick, bore drain, bore reload, bore upgrade."""

    def test_aUserOrATunnelIsKicked(self) -> None:
        program = self.program(answers={"POST /kick": {"sessions": 1, "tunnels": 2, "visitors": 0}})
        for word, body in (
            ("alice", {"user": "alice"}),
            ("20000", {"address": 20000}),
            ("unix:/run/a", {"address": "unix:/run/a"}),
        ):
            code, out, error = self.bore("kick", word)
            self.assertEqual((code, error), (exits.OK, ""))
            self.assertEqual(json.loads(program.asked[-1][2]), body)
        self.assertEqual(out, "ended: 1 session, 2 tunnels, 0 visitors\n")

    def test_whatIsAtOtherNodesHasToBeKickedThereToo(self) -> None:
        answer = {"sessions": 0, "tunnels": 1, "visitors": 2, "nodes": ["node2"]}
        self.program(answers={"POST /kick": answer})
        ended = "ended: 0 sessions, 1 tunnel, 2 visitors\n"
        self.assertEqual(
            self.bore("kick", "20000")[1],
            f"{ended}the tunnel is at other nodes, too, and has to be kicked there: node2\n",
        )
        answer["sessions"] = 1
        out = self.bore("kick", "alice")[1]
        self.assertIn("\nthe user may be at other nodes, too, and has to be kicked there: node2\n", out)

    def test_aServerIsDrained(self) -> None:
        program = self.program(answers={"POST /drain": {"visitors": 3, "within": 3600}})
        self.assertIn("3 visitors have left within 1 h", self.bore("drain", "--within", "1h")[1])
        self.assertEqual(json.loads(program.asked[-1][2]), {"within": 3600})
        self.bore("drain")
        self.assertEqual(json.loads(program.asked[-1][2]), {})

    def test_aProgramIsReloaded(self) -> None:
        answer = {"changes": ["a.toml: max-tunnels"], "mistakes": [], "restart": "lease"}
        program = self.program("client-4712.sock", {"POST /reload": answer})
        out = "a.toml: max-tunnels\na restart is needed for: lease\n"
        self.assertEqual(self.bore("reload"), (exits.OK, out, ""))
        self.assertEqual(program.asked, [("POST", "/reload", "{}")])

    def test_whereThereAreNoWorkersThereIsNoUpgrade(self) -> None:
        server = self.program()
        code, _, error = self.bore("upgrade")
        self.assertEqual(code, exits.FAILURE)
        self.assertIn("bore upgrade: this server has no workers, and so no upgrade: ", error)
        self.assertIn("--take-over", error)
        client = self.program("client-4712.sock")
        _, _, error = self.bore("upgrade", "--socket", str(self.folder / "client-4712.sock"))
        self.assertIn("bore upgrade: a client has no upgrade: ", error)
        self.assertNotIn("/upgrade", [each[1] for each in (*server.asked, *client.asked)])

    def test_aNodeOfAClusterIsStartedAgainForAnUpgrade(self) -> None:
        node = self.program(answers={"GET /status": {**SERVER, **NODE}})
        _, _, error = self.bore("upgrade")
        self.assertEqual(error, "bore upgrade: a node of a cluster has no upgrade: stop it and start the new one, one "
                                "node after the other\n")  # fmt: skip
        self.assertNotIn("/upgrade", [each[1] for each in node.asked])

    def test_whatTheProgramRefusesIsAnError(self) -> None:
        self.program(answers={"POST /kick": (404, {"error": "there is no user 'bob'"})})
        self.assertEqual(self.bore("kick", "bob"), (exits.FAILURE, "", "bore kick: there is no user 'bob'\n"))

    def test_oneOfSeveralHasToBeChosen(self) -> None:
        server = self.program(answers={"POST /reload": {}, "POST /kick": {}})
        client = self.program("client-4712.sock", {"POST /reload": {}})
        code, _, error = self.bore("reload")
        self.assertEqual(code, exits.USAGE)
        self.assertIn("several programs are running: choose one by --socket or --server or --client: ", error)
        self.assertIn(f"{self.folder / 'client-4712.sock'} (a client)", error)
        self.assertEqual(self.bore("reload", "--client")[0], exits.OK)
        self.assertEqual(client.asked[-1][1], "/reload")
        self.assertEqual(self.bore("kick", "alice")[0], exits.OK)
        self.assertEqual(server.asked[-1][1], "/kick")
        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind(str(self.folder / "server-1.sock"))
        self.assertEqual(self.bore("kick", "alice")[0], exits.OK)
        self.program("server-2.sock")
        code, _, error = self.bore("kick", "alice")
        self.assertEqual(code, exits.USAGE)
        self.assertIn("choose one by --socket: ", error)

    def test_programsThatThisUserMayNotAskAreNotMeant(self) -> None:
        self.program(answers={"POST /drain": {}})
        self.program("client-1.sock", {"GET /status": (500, {"error": "out of order"})})
        code, _, error = self.bore("drain")
        self.assertEqual(code, exits.USAGE)
        self.assertIn("(a server), out of order", error)
        original = module.ask

        def ask(path: Path, method: str, target: str) -> object:
            if "client" in path.name:
                raise NoAnswer("permission denied", exits.NO_PERMISSION)
            return original(path, method, target)

        self.patch(programs, "ask", ask)
        self.assertEqual(self.bore("drain")[0], exits.OK)
