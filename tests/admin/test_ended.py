"""What bore user revoke prints of what running servers end."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from bore.admin import ended as module
from bore.admin.ended import ended, holdings
from tests.admin.program import CLIENT, SERVER, FakeProgram
from tests.support import temporaryFolder


class EndedTests(SynchronousTestCase):
    """A user that is revoked, and the servers that run."""

    def setUp(self) -> None:
        self.folder = temporaryFolder(self)
        self.path = self.folder / "server-7835.sock"
        self.answers: dict[str, object] = {"GET /status": SERVER}
        FakeProgram(self, self.path, self.answers)
        FakeProgram(self, self.folder / "client-1.sock", {"GET /status": CLIENT})
        self.patch(module, "_INTERVAL", 0.0)

    def test_whatTheUserHadIsListedWhenItIsOver(self) -> None:
        before = holdings([self.folder], "alice")
        self.answers["GET /status"] = {**SERVER, "sessions": [], "tunnels": []}
        has = "1 session, 2 tunnels (20000, unix:/run/bore/web.sock), 5 visitors"
        self.assertEqual(ended(before, "alice"), [f"{self.path} has ended {has}."])

    def test_whoHasNothingIsNotMentioned(self) -> None:
        self.assertEqual(holdings([self.folder], "bob"), [])
        self.assertEqual(ended([], "bob"), [])

    def test_aServerWithAnotherUsersFileIsNamed(self) -> None:
        self.patch(module, "_PATIENCE", 0.05)
        (line,) = ended(holdings([self.folder], "alice"), "alice")
        self.assertIn("still has 1 session", line)
        self.assertIn("it runs with another users file", line)

    def test_aServerThatDoesNotAnswerIsNoProof(self) -> None:
        before = holdings([self.folder], "alice")
        self.patch(module, "_PATIENCE", 0.05)
        self.answers["GET /status"] = (500, {"error": "busy"})
        (line,) = ended(before, "alice")
        self.assertIn("still has 1 session", line)

    def test_aServerThatEndsMeanwhileIsWaitedForNoLonger(self) -> None:
        before = holdings([self.folder], "alice")
        self.path.unlink()
        self.assertEqual(len(ended(before, "alice")), 1)
