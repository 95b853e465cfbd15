"""Ids of visitors cannot be guessed, and are UUIDs like all others."""

from __future__ import annotations

from uuid import RFC_4122, UUID

from twisted.trial.unittest import SynchronousTestCase

from bore.server.visitorids import newId


class IdTests(SynchronousTestCase):
    """Random UUIDs of version 4."""

    def test_anIdIsARandomUuidInItsUsualForm(self) -> None:
        for _ in range(100):
            text = newId()
            id = UUID(text)
            self.assertEqual((str(id), id.version, id.variant), (text, 4, RFC_4122))

    def test_noneComesTwiceAndEveryBitIsSeenBothWays(self) -> None:
        ids = [UUID(newId()).int for _ in range(1000)]
        ones = zeros = 0
        for id in ids:
            ones |= id
            zeros |= ~id
        self.assertEqual((len(set(ids)), (ones & zeros).bit_count()), (1000, 122))
