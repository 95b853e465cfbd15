"""How Sentinels agree on a master."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from bore.cluster.engine import EngineAway
from bore.cluster.sentinels import NoMaster, Poll
from bore.cluster.url import EngineServer

A, B = EngineServer("a", 1), EngineServer("b", 1)

answers = st.sampled_from((A, B, None, Failure(EngineAway("it does not answer"))))


class PollTests(SynchronousTestCase):
    """Most of all Sentinels have to name the same master."""

    def poll(self, found: Sequence[EngineServer | Failure | None]) -> EngineServer | str | None:
        """What a poll comes to: a master, why there is none, or None if more answers are needed."""
        poll = Poll("main", 3)
        results: list[EngineServer | str] = []
        poll.found.addCallbacks(
            results.append, lambda reason: results.append(reason.trap(NoMaster) and str(reason.value))
        )
        for each in found:
            poll.answered(each)
        return results[0] if results else None

    def test_twoOfThreeAreEnough(self) -> None:
        self.assertEqual(self.poll([A, A]), A)
        self.assertEqual(self.poll([A, B, A]), A)
        self.assertEqual(self.poll([None, B, B]), B)
        self.assertIsNone(self.poll([A, B]))

    def test_withoutAMajorityThereIsNone(self) -> None:
        away = Failure(EngineAway("it does not answer"))
        self.assertEqual(
            self.poll([A, B, away]), "1 of 3 Sentinels agree on a master, and 2 are needed; it does not answer"
        )
        self.assertEqual(
            self.poll([away, away, away]), "0 of 3 Sentinels agree on a master, and 2 are needed; it does not answer"
        )
        self.assertEqual(self.poll([None, None, None]), "the Sentinels do not know a master 'main'")

    @given(st.lists(answers, min_size=3, max_size=3))
    def test_aMasterIsNamedByMostOrThereIsNone(self, found: list[EngineServer | Failure | None]) -> None:
        master = self.poll(found)
        self.assertEqual(isinstance(master, EngineServer), found.count(A) > 1 or found.count(B) > 1)
        if isinstance(master, EngineServer):
            self.assertGreater(found.count(master), 1)

    def test_aPollThatIsGivenUpTakesFurtherAnswers(self) -> None:
        poll = Poll("main", 3)
        poll.found.addErrback(lambda _: None)
        poll.found.cancel()
        for _ in range(3):
            poll.answered(A)
