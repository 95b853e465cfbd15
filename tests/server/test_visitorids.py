"""Ids of visitors cannot be guessed, and are UUIDs like all others."""

from __future__ import annotations

from uuid import RFC_4122, UUID

from twisted.trial.unittest import SynchronousTestCase

from bore.server import visitorids
from bore.server.visitorids import markIds, newId
from bore.wire.workernumbers import workerOfId


class IdTests(SynchronousTestCase):
    """Random UUIDs of version 4."""

    def setUp(self) -> None:
        # Another test in this process may have marked them.
        self.patch(visitorids, "_draw", visitorids._randomIds)
        self.patch(visitorids, "_ids", visitorids._randomIds())

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


class MarkedIdTests(SynchronousTestCase):
    """The ids of a worker begin with its number."""

    def setUp(self) -> None:
        for name in ("_ids", "_draw"):
            self.patch(visitorids, name, getattr(visitorids, name))

    def test_theyAreUuidsAsBefore(self) -> None:
        for worker in (1, 77, 65535):
            markIds(worker)
            for _ in range(100):
                text = newId()
                id = UUID(text)
                self.assertEqual((str(id), id.version, id.variant), (text, 4, RFC_4122))
                self.assertEqual(workerOfId(id), worker)

    def test_all106OtherBitsAreRandom(self) -> None:
        markIds(77)
        ids = [UUID(newId()).int for _ in range(1000)]
        ones = zeros = 0
        for id in ids:
            ones |= id
            zeros |= ~id
        self.assertEqual((len(set(ids)), (ones & zeros).bit_count()), (1000, 106))

    def test_aForkedProcessMarksItsOwn(self) -> None:
        markIds(77)
        visitorids._forked()
        self.assertEqual(workerOfId(UUID(newId())), 77)
