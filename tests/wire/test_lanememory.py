"""What a lane's decoder keeps of the memory that it is fed, and what it does not."""

from __future__ import annotations

import tracemalloc
from itertools import cycle
from typing import Final

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bore.wire.lane import BARE, DATA, END, OPEN, RAW, RESET, LaneDecoder
from tests.wire.lanes import FRAMES, Said, copied, frame, framesOf, header, joined, written
from tests.wire.strategies import UNHURRIED, inPortions

_STREAM: Final[list[Said]] = [
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
    """What was not taken can be kept, and then nothing is lost when the memory is used for something else."""

    @UNHURRIED
    @given(
        FRAMES.flatmap(lambda frames: st.tuples(st.just(frames), inPortions(st.just(written(frames))))),
        st.lists(st.integers(0, 4), min_size=1, max_size=5),
    )
    def test_howeverManyFramesWereTakenTheOthersAreKept(
        self, sent: tuple[list[Said], tuple[bytes, list[bytes]]], takes: list[int]
    ) -> None:
        frames, (data, portions) = sent
        decoder, memory, take, taken = LaneDecoder(), bytearray(len(data)), cycle(takes), list[Said]()
        for portion in portions:
            memory[: len(portion)] = portion
            decoder.feed(memoryview(memory)[: len(portion)])
            for _ in range(next(take)):
                if (read := decoder.next()) is not None:
                    taken.append(copied(read))
            kept = decoder.kept
            decoder.keep()
            self.assertEqual(decoder.kept, kept)
            memory[:] = b"\xff" * len(memory)
        taken += framesOf(decoder)
        self.assertEqual(joined(taken), joined(frames))
        self.assertEqual(decoder.kept, 0)

    def test_everySplitAndEveryMomentToKeepGiveTheSameFrames(self) -> None:
        data = written(_STREAM)
        for cut in range(len(data) + 1):
            for moment in range(len(_STREAM) + 1):
                decoder, memory, taken = LaneDecoder(), bytearray(data[:cut]), list[Said]()
                decoder.feed(memoryview(memory))
                for _ in range(moment):
                    if (read := decoder.next()) is not None:
                        taken.append(copied(read))
                decoder.keep()
                memory[:] = b"\xff" * cut
                taken += framesOf(decoder)
                decoder.feed(data[cut:])
                taken += framesOf(decoder)
                self.assertEqual(joined(taken), joined(_STREAM), (cut, moment))

    def test_toKeepTwiceIsToKeepOnce(self) -> None:
        decoder = LaneDecoder()
        decoder.keep()
        decoder.feed(memoryview(bytearray(frame(END) * 2)))
        decoder.next()
        for _ in range(3):
            decoder.keep()
            self.assertEqual(decoder.kept, 5)
        self.assertEqual(list(framesOf(decoder)), [(END, b"")])

    def test_aVisitorStaysAsItIsWhenTheMemoryIsUsedForSomethingElse(self) -> None:
        memory = bytearray(frame(OPEN, b"visitor") + frame(DATA, b"early"))
        decoder = LaneDecoder()
        decoder.feed(memoryview(memory))
        taken = decoder.next()
        decoder.keep()
        memory[:] = b"\xff" * len(memory)
        self.assertEqual(taken, (OPEN, b"visitor"))
        self.assertEqual(list(framesOf(decoder)), [(DATA, b"early")])

    def test_dataIsAViewOfTheMemoryAndNoCopy(self) -> None:
        for before in (b"", frame(RAW)):
            memory = bytearray((before or header(DATA, 4)) + b"data")
            decoder = LaneDecoder()
            decoder.feed(memoryview(memory))
            if before:
                decoder.next()
            taken = decoder.next()
            assert taken is not None
            memory[-4:] = b"beta"
            self.assertEqual(bytes(taken.payload), b"beta")

    def test_whoKeepsLetsGoOfTheMemory(self) -> None:
        for data in (b"", frame(OPEN, b"visitor"), frame(DATA, b"x")[:3], header(OPEN, 9) + b"half", frame(END) * 3):
            memory = bytearray(data)
            decoder = LaneDecoder()
            decoder.feed(memoryview(memory))
            decoder.next()
            decoder.keep()
            memory += b"bytearrays that are looked at cannot grow"


class MemoryTests(SynchronousTestCase):
    """A decoder by itself holds a header and a visitor's description, and no bytes of a stream."""

    def allocated(self, *portions: bytes) -> int:
        """The most memory that a decoder took, in bytes, while it was fed these and all was taken."""
        decoder = LaneDecoder()
        views = [memoryview(portion) for portion in portions]
        tracemalloc.start()
        try:
            for view in views:
                decoder.feed(view)
                while decoder.next() is not None:
                    pass
                self.assertEqual(decoder.kept, 0)
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
