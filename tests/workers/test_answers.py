"""Answers of several workers."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from bore.wire.workermessages import Done
from bore.workers.answers import Reloaded, kicked, reloaded

OWN = Reloaded(["a.toml: lease"], [], "tls")


def done(*lines: str, problem: str | None = None) -> Done:
    return Done(1, (), lines, problem)


class KickTests(SynchronousTestCase):
    def test_countsAreSummed(self) -> None:
        answers = [Done(1, (1, 2, 3), (), None), Done(2, (10, 20, 30), (), None), Done(3, (), (), "unknown order")]
        self.assertEqual(kicked(answers), (11, 22, 33))


class ReloadTests(SynchronousTestCase):
    """A reload."""

    def test_whatSeveralSayIsThereOnce(self) -> None:
        answer = done("a.toml: lease", "certificate read: fingerprint SHA256:x")
        found = reloaded(OWN, [(1, answer), (2, answer)])
        self.assertEqual(found, (["a.toml: lease", "certificate read: fingerprint SHA256:x"], [], "tls"))

    def test_aMistakeOfAllIsThereOnce(self) -> None:
        own = Reloaded([], ["a.toml:1: no"], "")
        answer = done(problem="a.toml:1: no\ncertificate not read: error gone")
        found = reloaded(own, [(1, answer), (2, answer)])
        self.assertEqual(found.mistakes, ["a.toml:1: no", "certificate not read: error gone"])

    def test_aWorkerThatCouldNotApplySomethingIsNamed(self) -> None:
        found = reloaded(OWN, [(1, done()), (2, done(problem="no descriptor")), (3, done(problem="no descriptor"))])
        self.assertEqual(found.mistakes, ["worker 2, 3: no descriptor"])

    def test_soIsOneThatDoesNotAnswer(self) -> None:
        found = reloaded(OWN, [(1, done(problem="gone")), (7, None)])
        self.assertEqual(
            found.mistakes, ["worker 7 has not answered: it may not have read the files", "worker 1: gone"]
        )
