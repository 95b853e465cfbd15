"""bore user."""

from __future__ import annotations

import fcntl
import os
import re
import stat
import threading
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from bore import userprogram
from bore.commandline import BadFile, UsageError
from bore.options.invitation import parseInvitation
from bore.options.usercommands import userCommand
from bore.options.users import readUsers
from bore.tls.certificates import readCredentials
from bore.userprogram import run
from bore.users.ports import ports
from bore.users.rights import endText
from bore.wire.secret import Secret
from tests.entrypoints.usercase import ADDRESS, UserCase


class AddTests(UserCase):
    """bore user add."""

    def test_theLineHasTheSecretOfTheEntryAndThePinOfTheServersKey(self) -> None:
        printed = self.run_("add", "alice", *ADDRESS)
        (line,) = printed.lines
        self.assertTrue(line.startswith("  bore join bore://alice:"))
        made = parseInvitation(line)
        self.assertEqual((made.host, made.port), ("tunnel.example.com", 7835))
        self.assertEqual([each.secret for each in self.entry().keys], [Secret(made.secret)])
        own = self.home / "txbore" / "tls.pem"
        self.assertEqual(made.pins, (readCredentials(own, own).fingerprint,))
        self.assertEqual(printed.before, ("Send alice this line. It is shown only once:",))
        self.assertEqual(
            printed.after,
            [
                f"The server has to run with this file: bore server --tls --users {self.path}",
                "A server with --tls-cert has another key than this line: then give --tls-cert here as well.",
            ],
        )
        self.assertNotIn(made.secret, self.path.read_text())
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o600)

    def test_theSecretHas128RandomBitsAtLeast(self) -> None:
        secrets = {self.line("add", f"user{number}", *ADDRESS).secret for number in range(20)}
        self.assertEqual(len(secrets), 20)
        for secret in secrets:
            self.assertRegex(secret, r"\A[A-Za-z0-9_-]{22,}\Z")

    def test_theRightsAreInTheFile(self) -> None:
        words = "--ports 20000-20009 --ports 22022 --max-tunnels 8 --max-visitors 9 --from 198.51.100.0/24 --original"
        self.line("add", "alice", *words.split(), "--bandwidth", "20 MB/s", "--expires", "2127-06-30", *ADDRESS)
        rights = self.entry().rights
        self.assertEqual(rights.ports, ports([(20000, 20009), (22022, 22022)]))
        self.assertEqual((rights.maxTunnels, rights.maxVisitors, rights.bandwidth), (8, 9, 20_000_000))
        self.assertEqual((list(map(str, rights.sources)), rights.original), (["198.51.100.0/24"], True))
        assert rights.expires is not None
        self.assertEqual(endText(rights.expires), "2127-06-30")
        self.assertIn('ports = ["20000-20009", 22022]\n', self.path.read_text())
        self.assertIn("expires = 2127-06-30\n", self.path.read_text())

    def test_severalPortsAndNetworksMayBeSeparatedByCommas(self) -> None:
        words = ("--ports", "80,443", "--ports", "20000-20009, 22022", "--from", "198.51.100.0/24,2001:db8::7")
        self.line("add", "alice", *words, *ADDRESS)
        rights = self.entry().rights
        self.assertEqual(rights.ports, ports([(80, 80), (443, 443), (20000, 20009), (22022, 22022)]))
        self.assertEqual(len(rights.sources), 2)
        self.assertIn('ports = [80, 443, "20000-20009", 22022]\n', self.path.read_text())
        for wrong in ("80,", ",", "80,,443", "80;443", "80 443"):
            self.assertUsage("must be a port or a range", "add", "bob", f"--ports={wrong}", *ADDRESS)

    def test_anEndMayBeADuration(self) -> None:
        now = datetime.now(UTC)
        printed = self.run_("add", "alice", "--expires", "30d", *ADDRESS)
        last = (now + timedelta(days=30)).date()
        self.assertIn(f"works until {last}", printed.before[0])
        self.line("add", "bob", "--expires", "12h", *ADDRESS)
        expires = self.entry("bob").rights.expires
        assert expires is not None
        self.assertApproximates(expires, now.timestamp() + 12 * 3600, 60)
        for wrong in ("30", "d", "-1d", "30 d", "30y", "2020-01-01", "tomorrow", "99999d", "2027-02-30"):
            self.assertUsage("--expires", "add", "carol", f"--expires={wrong}", *ADDRESS)

    def test_theAddressIsRememberedAndAskedForOnce(self) -> None:
        self.assertCannot("add --address HOST", "add", "alice")
        self.assertEqual(self.line("add", "alice", "--address", "a.example:7000").server, "a.example:7000")
        self.assertEqual(self.line("add", "bob").server, "a.example:7000")
        self.assertEqual(self.line("add", "carol", "--address", "[2001:db8::1]").server, "[2001:db8::1]:7835")
        self.assertEqual(self.line("rotate", "bob").server, "[2001:db8::1]:7835")
        self.assertEqual(set(readUsers(self.path).entries), {"alice", "bob", "carol"})

    def test_aNameIsTakenOnce(self) -> None:
        self.line("add", "alice", *ADDRESS)
        self.assertCannot("'bore user rotate alice' makes a new secret", "add", "alice", *ADDRESS)
        self.assertUsage("is not a user's name", "add", "al ice")
        self.assertUsage("name the user, as in 'bore user add alice'", "add")

    def test_theHoldersOfTheSharedSecretGetRightsAndNoLine(self) -> None:
        printed = self.run_("add", "*", "--ports", "30000-30009")
        self.assertEqual(printed.lines, ["user   *", "ports  30000-30009"])
        self.assertEqual(readUsers(self.path).shared.ports, ports([(30000, 30009)]))

    def test_aUserWithACertificateGetsNoLine(self) -> None:
        printed = self.run_("add", "alice@example.com", "--certificate", "--ports", "20000")
        self.assertEqual(printed.lines, ["user   alice@example.com", "ports  20000"])
        self.assertEqual(self.entry("alice@example.com").keys, ())
        self.assertCannot("its authority issues a new one", "rotate", "alice@example.com", *ADDRESS)
        self.assertUsage("is for a user with a name", "add", "*", "--certificate")

    def test_aUserOfAnOriginalClientNeedsTheSecretAlone(self) -> None:
        printed = self.run_("add", "alice", "--original", *ADDRESS)
        secret = parseInvitation(printed.lines[0]).secret
        hint = f"With an original client: bore local PORT --to tunnel.example.com --secret {secret}"
        self.assertEqual(printed.after[-1], hint)

    def test_whatContradictsTheFileIsRefusedByTheFilesOwnRules(self) -> None:
        self.line("add", "alice", "--exclusive", "20000", *ADDRESS)
        before = self.path.read_bytes()
        with self.assertRaises(BadFile) as caught:
            self.run_("add", "bob", "--exclusive", "20000")
        self.assertRegex(str(caught.exception), rf"\A{re.escape(str(self.path))}:\d+: bob.exclusive: .* alice")
        self.assertEqual(self.path.read_bytes(), before)
        self.assertEqual([each for each in os.listdir(self.home) if each.startswith(".new")], [])


class ChangeTests(UserCase):
    """bore user change, rotate and revoke."""

    def setUp(self) -> None:
        super().setUp()
        self.first = self.line("add", "alice", "--ports", "20000-20009", *ADDRESS)
        self.line("add", "bob", *ADDRESS)

    def test_aRightIsChangedAndRemoved(self) -> None:
        self.run_("change", "alice", "--max-tunnels", "2")
        self.assertEqual((self.entry().rights.maxTunnels, len(self.entry().rights.ports)), (2, 10))
        printed = self.run_("change", "alice", "--ports", "20000-20004")
        self.assertIn("closes tunnels of alice on other ports", printed.after[0])
        printed = self.run_("change", "alice", "--unset", "ports")
        self.assertNotIn("closes", printed.after[0])
        self.assertEqual(self.entry().rights.ports, self.entry("bob").rights.ports)
        self.assertEqual([each.secret for each in self.entry().keys], [Secret(self.first.secret)])

    def test_aChangeOfNothingIsAMistake(self) -> None:
        self.assertUsage("nothing to change", "change", "alice")
        self.assertUsage("exclude each other", "change", "alice", "--ports", "1", "--unset", "ports")
        self.assertUsage("must be one of ports", "change", "alice", "--unset", "key")

    def test_anUnknownUserIsNamedWithTheNearest(self) -> None:
        for words in (("show",), ("change", "--max-tunnels", "1"), ("revoke",), ("rotate",)):
            self.assertCannot("did you mean 'alice'?", words[0], "alcie", *words[1:])
            self.assertCannot("'bore user list' has all users", words[0], "zzz", *words[1:])

    def test_aRotatedSecretLivesOnForAWhile(self) -> None:
        made = self.line("rotate", "alice", "--grace", "12h")
        self.assertNotEqual(made.secret, self.first.secret)
        new, old = self.entry().keys
        self.assertEqual((new.secret, old.secret), (Secret(made.secret), Secret(self.first.secret)))
        assert old.until is not None
        self.assertApproximates(old.until, datetime.now(UTC).timestamp() + 12 * 3600, 60)
        for _ in range(5):
            last = self.line("rotate", "alice")
        self.assertEqual(len(self.entry().keys), 4, "no more than the server accepts")
        self.assertEqual(self.entry().keys[0].secret, Secret(last.secret))

    def test_withoutGraceItIsVoid(self) -> None:
        made = self.line("rotate", "alice", "--grace", "0")
        self.assertEqual([each.secret for each in self.entry().keys], [Secret(made.secret)])

    def test_aRevokedUserIsGone(self) -> None:
        printed = self.run_("revoke", "alice")
        self.assertEqual(printed.lines, ("alice is revoked.",))
        self.assertIn("ports 20000-20009", printed.after[0])
        self.assertEqual(set(readUsers(self.path).entries), {"bob"})

    def test_theRightsOfTheSharedSecretAreChangedAndRemoved(self) -> None:
        for words in (("change", "*", "--max-tunnels", "1"), ("revoke", "*")):
            self.assertCannot("no table for the shared secret", *words)
        self.run_("add", "*", "--max-tunnels", "1")
        self.run_("change", "*", "--max-tunnels", "2")
        self.assertEqual(readUsers(self.path).shared.maxTunnels, 2)
        self.assertCannot("in the server's --secret-file", "rotate", "*")
        self.run_("revoke", "*")
        self.assertEqual(readUsers(self.path).shared.maxTunnels, 0)

    def test_noKeyIsEverShown(self) -> None:
        self.line("rotate", "alice")
        for words in (("list",), ("show", "alice"), ("change", "alice", "--max-tunnels", "1"), ("revoke", "alice")):
            shown = "\n".join(map("\n".join, self.run_(*words)))
            self.assertNotIn("sha256", shown)
            self.assertNotIn("key", shown)

    def test_theListIsAlignedAndHasWhatIsUsed(self) -> None:
        self.run_("change", "bob", "--max-tunnels", "100")
        self.assertEqual(
            self.run_("list").lines,
            [
                "NAME   PORTS        MAX-TUNNELS  EXPIRES",
                "alice  20000-20009  -            -",
                "bob    -            100          -",
            ],
        )

    def test_commentsAndTheModeStayAndSoDoesALink(self) -> None:
        real = self.home / "real" / "users.toml"
        real.parent.mkdir()
        real.write_text("# our people\n" + self.path.read_text())
        self.path.unlink()
        self.path.symlink_to(real)
        real.chmod(0o640)
        if os.geteuid() == 0:
            os.chown(real, 0, 4711)
        before = real.stat()
        self.run_("revoke", "bob")
        after = real.stat()
        self.assertTrue(self.path.is_symlink())
        self.assertTrue(real.read_text().startswith("# our people\n"))
        for field in ("st_mode", "st_uid", "st_gid"):
            self.assertEqual(getattr(after, field), getattr(before, field))
        self.assertNotEqual(after.st_ino, before.st_ino, "it is replaced as a whole")

    def test_twoEditsAtOnceLoseNothing(self) -> None:
        def add(number: int) -> None:
            self.line("add", f"user{number}", *ADDRESS)

        threads = [threading.Thread(target=add, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(len(readUsers(self.path).entries), 10)

    def test_anEditorThatHoldsTheLockIsWaitedForAndNotForEver(self) -> None:
        self.patch(userprogram, "_LOCK_TIMEOUT", 0.05)
        holder = os.open(self.home, os.O_RDONLY)
        self.addCleanup(os.close, holder)
        fcntl.flock(holder, fcntl.LOCK_EX)
        self.assertCannot("another program has been editing", "revoke", "bob")

    def test_aFileWithMistakesIsNotTouched(self) -> None:
        self.path.write_text(self.path.read_text() + "\n[carol]\nky = 1\n")
        before = self.path.read_bytes()
        with self.assertRaises(BadFile) as caught:
            self.run_("revoke", "bob")
        self.assertIn("did you mean 'key'?", str(caught.exception))
        self.assertEqual(self.path.read_bytes(), before)


class PlaceTests(UserCase):
    """Where the users file is."""

    def test_theFlagBeatsTheVariableAndThatTheUsualPlace(self) -> None:
        line = userCommand("list")
        assert line is not None
        environment = {"HOME": str(self.home), "BORE_USERS": "/var/u.toml"}
        self.assertEqual(line.parse(["--users", "/x/u.toml"], environment).file, Path("/x/u.toml"))
        self.assertEqual(line.parse([], environment).file, Path("/var/u.toml"))
        del environment["BORE_USERS"]
        self.assertEqual(line.parse([], environment).file, self.home / ".config" / "txbore" / "users.toml")
        self.assertEqual(
            run(line.parse([], environment)).lines,
            [f"{line.parse([], environment).file} has no users: 'bore user add NAME' adds one"],
        )
        self.assertIsNone(userCommand("kick"))

    def test_theSettingsFileOfTheServerNamesIt(self) -> None:
        line = userCommand("list")
        assert line is not None
        config = self.home / "server.toml"
        config.write_text('tls = true\nusers = "our.toml"\n')
        self.assertEqual(line.parse(["--config", str(config)], {}).file, self.home / "our.toml")
        self.assertEqual(line.parse(["--config", str(config), "--users", "x"], {}).file, Path("x"))
        config.write_text("tls = true\n")
        with self.assertRaises(UsageError) as caught:
            line.parse(["--config", str(config)], {})
        self.assertIn('add users = "users.toml" to it', str(caught.exception))

    def test_anEndIsADayOrAMoment(self) -> None:
        self.line("add", "alice", "--expires", "2127-06-30T12:00:00Z", *ADDRESS)
        self.assertIn("expires = 2127-06-30T12:00:00Z", self.path.read_text().replace("+00:00", "Z"))
        self.assertIsInstance(self.parse("change", "alice", "--expires", "2d").keys["expires"], date)
