"""Servers that were joined, and how a client names them."""

from __future__ import annotations

import os
import stat
import threading
import traceback
from typing import Final

from twisted.trial.unittest import SynchronousTestCase

from bore.client.settings import ClientSettings, ServerAddress
from bore.commandline import BadFile, UsageError
from bore.joinprogram import leave, listed
from bore.options.client import clientCommand, upCommand
from bore.options.invitation import Invitation, parseInvitation
from bore.options.joincommands import joinCommand, leaveCommand
from bore.options.joined import Joined, joinedServers
from bore.wire.secret import Secret
from tests.entrypoints.test_invitation import LINE, PIN, SECRET
from tests.support import temporaryFolder

ALICE: Final = parseInvitation(LINE)
BOB: Final = Invitation("bob", "b" * 20, "other.example", 99, (PIN,))


class JoinedCase(SynchronousTestCase):
    """A home with no server joined yet."""

    def setUp(self) -> None:
        self.home = temporaryFolder(self)
        self.environment = {"HOME": str(self.home)}
        joined = joinedServers(self.environment)
        assert joined is not None
        self.joined: Joined = joined

    def local(self, *words: str, **environment: str) -> ClientSettings:
        return clientCommand("bore local").parse(["3000", *words], {**self.environment, **environment}).settings

    def assertUsage(self, text: str, *words: str, **environment: str) -> None:
        with self.assertRaises(UsageError) as caught:
            self.local(*words, **environment)
        self.assertIn(text, str(caught.exception))
        self.assertNotIn(SECRET, "".join(traceback.format_exception(caught.exception)))


class FileTests(JoinedCase):
    """The file."""

    def test_itIsForTheUserAloneAndSoIsItsFolderIfItIsNew(self) -> None:
        umask = os.umask(0)
        self.addCleanup(os.umask, umask)
        self.joined.add(ALICE)
        self.assertEqual(self.joined.path, self.home / ".config" / "txbore" / "servers")
        self.assertEqual(stat.S_IMODE(self.joined.path.stat().st_mode), 0o600)
        self.assertEqual(stat.S_IMODE(self.joined.path.parent.stat().st_mode), 0o700)

    def test_othersAreKeptAndTheLastOneIsTheDefault(self) -> None:
        self.assertEqual(listed(self.joined), ["no server was joined: 'bore join LINE' joins one"])
        self.joined.add(ALICE)
        self.joined.add(BOB)
        self.assertEqual(self.joined.read(), (ALICE, BOB))
        self.assertEqual(listed(self.joined), ["bob@other.example:99 (default)", "alice@tunnel.example.com:7835"])
        again = Invitation("alice", "n" * 20, ALICE.host, ALICE.port, (PIN,))
        self.joined.add(again)
        self.assertEqual(self.joined.read(), (BOB, again), "the new line is in the place of the old one")

    def test_whatOthersCanReadIsRefused(self) -> None:
        self.joined.add(ALICE)
        self.joined.path.chmod(0o640)
        self.assertUsage("is readable by its group: if no one has read it, chmod go= ")

    def test_aDamagedLineIsNamedWithoutItsSecret(self) -> None:
        self.joined.add(ALICE)
        self.joined.path.write_text(self.joined.path.read_text()[:-9])
        self.assertUsage(f"{self.joined.path}:2: the line is cut off")

    def test_twoThatJoinAtOnceAreBothThere(self) -> None:
        made = [Invitation(f"u{number}", "s" * 20, "h", 1, (PIN,)) for number in range(8)]
        threads = [threading.Thread(target=self.joined.add, args=(each,)) for each in made]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(set(self.joined.read()), set(made))

    def leave(self, *words: str) -> str:
        return leave(leaveCommand("bore leave").parse(words, self.environment))

    def test_aServerIsForgotten(self) -> None:
        self.joined.add(ALICE)
        self.joined.add(BOB)
        for words, text in (((), "name one of alice@"), (("bob@other.exampel",), "did you mean bob@other.example:99?")):
            self.assertIn(text, str(self.assertRaises(UsageError, self.leave, *words)))
        self.assertIn("left bob@other.example:99", self.leave("bob@other.example"))
        self.assertEqual(self.joined.read(), (ALICE,))
        self.assertIn("'bore user revoke alice'", self.leave())
        self.assertIn("no server was joined", str(self.assertRaises(UsageError, self.leave)))
        self.assertRaises(UsageError, self.leave, "other.example")


class ClientTests(JoinedCase):
    """bore local and bore up."""

    def assertIs_(self, settings: ClientSettings, member: Invitation) -> None:
        self.assertEqual(settings.servers, (ServerAddress(member.host, member.port),))
        self.assertEqual((settings.user, settings.secret), (member.user, Secret(member.secret)))
        assert settings.tls is not None
        self.assertEqual(settings.tls.pins, member.pins)

    def test_withoutAServerItIsTheOneThatWasJoinedLast(self) -> None:
        self.assertUsage("no --to given, and no server was joined")
        self.joined.add(ALICE)
        self.assertIs_(self.local(), ALICE)
        self.joined.add(BOB)
        self.assertIs_(self.local(), BOB)

    def test_aServerIsNamedWithItsUser(self) -> None:
        self.joined.add(ALICE)
        self.joined.add(BOB)
        for name in ("alice@tunnel.example.com", "alice@TUNNEL.example.com:7835", "tls://alice@tunnel.example.com"):
            self.assertIs_(self.local("--to", name), ALICE)
            self.assertIs_(self.local(BORE_SERVER=name), ALICE)
        self.assertUsage("did you mean alice@tunnel.example.com:7835?", "--to", "alcie@tunnel.example.com")
        self.assertUsage("was not joined", "--to", "alice@tunnel.example.com:1")
        self.joined.add(Invitation("alice", "x" * 20, ALICE.host, 7000, (PIN,)))
        self.assertUsage("has several ports", "--to", "alice@tunnel.example.com")

    def test_theLineNamesTheServerAsWell(self) -> None:
        self.assertIs_(self.local("--to", LINE), ALICE)
        self.assertIs_(self.local(BORE_SERVER=LINE), ALICE)
        self.assertEqual(self.joined.read(), (), "it is not joined by that")
        two = LINE + "." + PIN
        self.assertIs_(self.local(BORE_SERVER=two), parseInvitation(two))

    def test_whatIsGivenBeatsWhatWasJoined(self) -> None:
        self.joined.add(ALICE)
        self.assertEqual(self.local("--secret", "mine").secret, Secret("mine"))
        self.assertEqual(self.local(BORE_SECRET="another server's").secret, Secret(SECRET))
        settings = self.local("--to", "tls://example.com", "--secret", "mine")
        self.assertEqual((settings.servers, settings.user), ((ServerAddress("example.com"),), ""))
        assert settings.tls is not None
        self.assertEqual(settings.tls.pins, ())
        other = "SHA256:" + "o" * 43
        settings = self.local("--tls-fingerprint", other)
        assert settings.tls is not None
        self.assertEqual((settings.tls.pins, settings.tls.fingerprint), ((), other))
        self.assertUsage("give only one of them", "--to", LINE, "--control-port", "1")

    def test_aUserMayHaveASecretOfAnotherOrigin(self) -> None:
        settings = self.local("--to", "carol@h", "--secret", "mine")
        self.assertEqual((settings.user, settings.secret), ("carol", Secret("mine")))
        assert settings.tls is not None
        self.assertEqual(settings.tls.pins, ())
        self.assertUsage("carol@h was not joined; no server was", "--to", "carol@h")

    def test_aUserIsAtOneServer(self) -> None:
        self.assertUsage("name that one alone", "--to", LINE, "--to", "tls://b")

    def test_aServerThatIsNamedWithoutAUserReadsNothing(self) -> None:
        self.joined.add(ALICE)
        self.joined.path.write_text("damaged")
        self.assertEqual(self.local("--to", "h").user, "")

    def up(self, server: str, mode: int = 0o600) -> ClientSettings:
        file = self.home / "bore.toml"
        file.write_text(f'server = "{server}"\n[tunnel.web]\nlocal = 80\n')
        file.chmod(mode)
        return upCommand("bore up").parse([str(file)], self.environment).settings

    def test_aSettingsFileNamesItInTheSameWays(self) -> None:
        self.joined.add(ALICE)
        self.assertIs_(self.up("alice@tunnel.example.com", 0o644), ALICE)
        self.assertIs_(self.up(BOB.line), BOB)
        with self.assertRaises(BadFile) as caught:
            self.up(BOB.line, 0o644)
        self.assertRegex(str(caught.exception), r"bore.toml:1: server: has a secret, and the file is readable by all")
        with self.assertRaises(BadFile) as caught:
            self.up(BOB.line[:-3])
        self.assertIn("Copy the line to its end", str(caught.exception))
        self.assertNotIn(BOB.secret, str(caught.exception))


class JoinTests(JoinedCase):
    """The command line of bore join."""

    def test_theLineIsGivenOrStillToBeRead(self) -> None:
        line = joinCommand("bore join")
        self.assertEqual(line.parse([LINE], self.environment).invitation, ALICE)
        self.assertIsNone(line.parse(["-"], self.environment).invitation)
        command = line.parse([], self.environment)
        self.assertTrue(command.check)
        self.assertEqual(command.knownServers, self.home / ".local" / "state" / "txbore" / "known_servers")
        settings = command.settings(ALICE)
        self.assertEqual((settings.user, settings.secret), ("alice", Secret(SECRET)))
        self.assertFalse(line.parse(["--no-check", LINE], self.environment).check)
        with self.assertRaises(UsageError) as caught:
            line.parse([LINE[:-5]], self.environment)
        self.assertNotIn(SECRET, str(caught.exception))
