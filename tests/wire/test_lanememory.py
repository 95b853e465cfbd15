"""What a lane's decoder keeps of what it is fed, and what it does not."""

from __future__ import annotations

import tracemalloc
from itertools import cycle
from typing import Final

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bore.wire.lane import BARE, DATA, END, OPEN, RAW, RESET, LaneDecoder
from tests.wire.lanes import FRAMES, Sent, frame, framesOf, header, joined, written
from tests.wire.strategies import UNHURRIED, inPortions

_STREAM: Final[list[Sent]] = [
    (OPEN, b"{1}"),
    (DATA, b"23"),
    (END, b""),
    (OPEN, b"{4}"),
    (RESET, b""),
    (OPEN, b""),
    (RAW, b""),
    (BARE, b"56"),
]


class KeepTests(SynchronousTestCase):
    """What was not taken is kept, and comes before what is fed next."""

    @UNHURRIED
    @given(
        FRAMES.flatmap(lambda frames: st.tuples(st.just(frames), inPortions(st.just(written(frames))))),
        st.lists(st.integers(0, 4), min_size=1, max_size=5),
    )
    def test_howeverManyFramesWereTakenTheOthersAreKept(
        self, sent: tuple[list[Sent], tuple[bytes, list[bytes]]], takes: list[int]
    ) -> None:
        frames, (_, portions) = sent
        decoder, take, taken = LaneDecoder(), cycle(takes), list[Sent]()
        for portion in portions:
            decoder.feed(portion)
            for _ in range(next(take)):
                if (read := decoder.next()) is not None:
                    taken.append(read)
        taken += framesOf(decoder)
        self.assertEqual(joined(taken), joined(frames))
        self.assertEqual(decoder.kept, 0)

    def test_everySplitAndEveryMomentToFeedGiveTheSameFrames(self) -> None:
        data = written(_STREAM)
        for cut in range(len(data) + 1):
            for moment in range(len(_STREAM) + 1):
                decoder, taken = LaneDecoder(), list[Sent]()
                decoder.feed(data[:cut])
                for _ in range(moment):
                    if (read := decoder.next()) is not None:
                        taken.append(read)
                decoder.feed(data[cut:])
                taken += framesOf(decoder)
                self.assertEqual(joined(taken), joined(_STREAM), (cut, moment))


class MemoryTests(SynchronousTestCase):
    """A decoder by itself holds a header and a visitor's description, and no bytes of a stream."""

    def allocated(self, *portions: bytes) -> int:
        """The most memory that a decoder took, in bytes, while it was fed these and all was taken."""
        decoder = LaneDecoder()
        tracemalloc.start()
        try:
            for portion in portions:
                decoder.feed(portion)
                while decoder.next() is not None:
                    pass
                self.assertLess(decoder.kept, 5 + 4096)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    def test_bytesOfAStreamAreNotHeld(self) -> None:
        bulk = bytes(65536)
        self.assertLess(self.allocated(*[header(DATA, 65536), bulk] * 100), 4096)
        self.assertLess(self.allocated(header(DATA, 65536) + bulk[:1000], *[bulk[:1000]] * 64), 4096)
        self.assertLess(self.allocated(frame(RAW), *[bulk] * 100), 4096)

    def test_aVisitorsDescriptionIsAllThatIsHeld(self) -> None:
        self.assertLess(self.allocated(*[frame(OPEN, bytes(4096))] * 100), 16384)
        self.assertLess(self.allocated(header(OPEN, 4096), *[b"x"] * 4095), 16384)
        self.assertLess(self.allocated(*[bytes([byte]) for byte in header(OPEN, 4096)], *[b"x"] * 4095), 16384)

    def test_whatIsAnnouncedCostsNothingBeforeItComes(self) -> None:
        for kind, length in ((OPEN, 4096), (DATA, 65536)):
            self.assertLess(self.allocated(header(kind, length)), 2048)
