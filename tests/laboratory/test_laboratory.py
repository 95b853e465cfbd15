"""The laboratory itself: its faults do what they should, and its report has what was measured."""

from __future__ import annotations

import socket
import subprocess
import time
from pathlib import Path
from typing import Final

from twisted.trial.unittest import SynchronousTestCase

from laboratory import report
from laboratory.fault import Outcome
from laboratory.link import Link, sever
from laboratory.matrix import MATRIX
from laboratory.network import Lab
from laboratory.pairings import OURS, PAIRINGS
from laboratory.results import Measured, Results, Run, commit, load
from tests.support import eventually, temporaryFolder

PORT: Final = 5000


class LinkTests(SynchronousTestCase):
    """What gets through."""

    def setUp(self) -> None:
        self.lab = Lab("link", ("server", "client", "third"))
        self.addCleanup(self.lab.close)
        self.link = Link(self.lab, "client")

    def open(self, place: str, address: str) -> socket.socket:
        with self.lab.inside(place):
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(sock.close)
        sock.bind((address, PORT))
        sock.settimeout(0.3)
        return sock

    def passes(self, sender: socket.socket, receiver: socket.socket) -> bool:
        """Whether one packet arrives."""
        sender.sendto(b"here", receiver.getsockname())
        try:
            return receiver.recv(10) == b"here"
        except TimeoutError:
            return False

    def assertPasses(self, fromClient: bool, toClient: bool) -> None:
        self.assertEqual(self.passes(self.client, self.server), fromClient, "from the client")
        self.assertEqual(self.passes(self.server, self.client), toClient, "to the client")

    def connect(self) -> None:
        self.server, self.client = self.open("server", Lab.SERVER), self.open("client", Lab.CLIENT)

    def test_eachDirectionIsSilentOnItsOwn(self) -> None:
        self.connect()
        self.assertPasses(True, True)
        self.link.mute()
        self.assertPasses(False, True)
        self.link.mute(False)
        self.link.deafen()
        self.assertPasses(True, False)
        self.link.deafen(False)
        self.link.silence()
        self.assertPasses(False, False)
        self.link.silence(False)
        self.assertPasses(True, True)

    def test_afterAMoveOnlyTheNewAddressIsThere(self) -> None:
        self.connect()
        self.link.move("10.77.2.7")
        moved = self.open("client", "10.77.2.7")
        self.assertTrue(self.passes(moved, self.server))
        self.assertTrue(self.passes(self.server, moved))
        self.assertFalse(self.passes(self.server, self.client))

    def test_aBadLinkHoldsBackAndLoses(self) -> None:
        self.connect()
        self.link.impair(0.1, 0)
        begin = time.monotonic()
        self.assertPasses(True, True)
        self.assertGreaterEqual(time.monotonic() - begin, 0.2)

    def test_eachOfTwoBadLinksIsBadOnItsOwn(self) -> None:
        self.connect()
        self.lab.ip("server", "address", "add", "10.77.1.7/24", "dev", "up0")
        further = self.open("server", "10.77.1.7")
        self.link.impair(0, 0)
        Link(self.lab, "server").impair(0, 1, "10.77.1.7")
        self.assertFalse(self.passes(self.server, self.client))
        self.assertFalse(self.passes(further, self.client))
        self.assertTrue(self.passes(self.client, self.server), "it is held back once, by the first link on its way")

    def test_aLinkThatLosesEverythingIsSilent(self) -> None:
        self.connect()
        self.link.impair(0, 1)
        self.assertPasses(False, False)

    def test_whatTwoHostsSendToEachOtherIsLostAndNothingElse(self) -> None:
        self.connect()
        third = self.open("third", self.lab.address("third"))
        sever(self.lab, "client", "server")
        self.assertPasses(False, False)
        self.assertTrue(self.passes(self.client, third))
        self.assertTrue(self.passes(third, self.server))
        sever(self.lab, "client", "server", False)
        self.assertPasses(True, True)

    def test_nothingIsLeftBehind(self) -> None:
        program = self.lab.start("client", "sleep", "100")
        name, folder = self.lab.namespace("client"), self.lab.folder
        self.lab.name("client", server=Lab.SERVER)
        self.lab.close()
        self.assertIsNotNone(program.process.poll())
        eventually(lambda: not Path("/run/netns", name).exists(), "the namespace is gone")
        self.assertFalse(folder.exists())
        self.assertFalse(Path("/etc/netns", name).exists())


class ReportTests(SynchronousTestCase):
    """What is written down."""

    def setUp(self) -> None:
        outcome = Outcome()
        outcome.seconds("noticed", 3.2, 5)
        outcome.seconds("served", None, 6, 20)
        outcome.figures.append("attempts | 1 | *")
        self.results = Results()
        self.results.add(MATRIX[0].name, OURS, Measured.of(outcome), Run("2026-11-26 11:45:00", "abcdef0123"))

    def report(self, *further: Run) -> str:
        """The report in one line, with a row more for each further run."""
        for n, run in enumerate(further, 1):
            self.results.add(MATRIX[n].name, OURS, Measured(), run)
        return " ".join(report.write(self.results, MATRIX).split())

    def test_whatIsNotKeptIsMarked(self) -> None:
        text = report.write(self.results, MATRIX)
        self.assertIn("noticed after 3.2 s; **not kept: served: not within 20 s**", text)
        self.assertIn("0 of 1 rows keep their promise", text)
        self.assertIn("    attempts | 1 | *\n", text)

    def test_oneRunIsNamedOnce(self) -> None:
        text = self.report(Run("2026-11-26 11:45:00", "abcdef0123"))
        self.assertIn("All rows were measured in one run, of commit abcdef0123, on 2026-11-26.", text)
        self.assertEqual(text.count("abcdef0123"), 1)

    def test_rowsOfSeveralCommitsSayFromWhichTheyAre(self) -> None:
        text = self.report(Run("2026-11-27 01:02:03", "0123abcdef+"), Run("2026-11-22"))
        self.assertIn("The rows were measured in several runs: each row has its commit and date.", text)
        self.assertIn("**not kept: served: not within 20 s** (commit abcdef0123, 2026-11-26)", text)
        self.assertIn("(commit 0123abcdef with further changes, 2026-11-27)", text)
        self.assertIn("(an unknown commit, 2026-11-22)", text)

    def test_severalRunsOfOneCommitAreNotTakenForOne(self) -> None:
        text = self.report(Run("2026-11-27 01:02:03", "abcdef0123"))
        self.assertIn("The rows were measured in several runs", text)
        self.assertEqual(text.count("(commit abcdef0123, 2026-11-27)"), 1)

    def test_rowsWhoseRunWasNotNotedAreNotTakenForOneRun(self) -> None:
        self.results.rows.clear()
        text = self.report(Run("2026-11-22"), Run("2026-11-22"))
        self.assertEqual(text.count("(an unknown commit, 2026-11-22)"), 2)

    def test_theCommitSaysWhetherMoreWasChanged(self) -> None:
        folder = temporaryFolder(self)
        self.assertEqual(commit(folder), "")
        (folder / "code").write_text("one\n")
        (folder / "docs").mkdir()
        (folder / "docs" / "reliability.rst").write_text("one\n")
        who = ("-c", "user.name=lab", "-c", "user.email=lab@localhost")
        for words in (("init", "-q"), ("add", "."), (*who, "commit", "-qm", "one")):
            subprocess.run(("git", "-C", str(folder), *words), check=True)
        clean = commit(folder)
        self.assertRegex(clean, r"^[0-9a-f]{10,}$")
        (folder / "docs" / "reliability.rst").write_text("two\n")
        self.assertEqual(commit(folder), clean)
        (folder / "code").write_text("two\n")
        self.assertEqual(commit(folder), clean + "+")

    def test_resultsAreTheSameWhenTheyAreReadAgain(self) -> None:
        file = temporaryFolder(self) / "results.json"
        self.results.save(file)
        self.assertEqual(load(file), self.results)

    def test_eachRowHasANameOfItsOwnAndTextsThatCanBeRead(self) -> None:
        self.assertEqual(len({fault.name for fault in MATRIX}), len(MATRIX))
        for fault in MATRIX:
            self.assertTrue(any(pairing.isOurs for pairing in fault.pairings), fault.name)
            self.assertLessEqual(set(fault.pairings), set(PAIRINGS))
            for text in (fault.fault, fault.promise, fault.how):
                self.assertNotRegex(fault.say(text), r"[{}]")
