"""A lane's bytes are cut into frames."""

from __future__ import annotations

from itertools import combinations_with_replacement, pairwise
from time import process_time
from typing import Final

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bore.wire import lane
from bore.wire.errors import ProtocolViolation
from bore.wire.lane import BARE, DATA, DONE, END, OPEN, RAW, RESET, LaneDecoder
from tests.wire.lanes import (
    FRAMES,
    LONGEST,
    SHORTEST,
    Sent,
    byTheBook,
    frame,
    header,
    joined,
    outcomes,
    written,
)
from tests.wire.strategies import UNHURRIED, damaged, inPortions

#: A frame of every kind, and bytes behind RAW that look like frames.
EVERY_KIND: Final[list[Sent]] = [
    (OPEN, b"{}"),
    (DATA, b"\1\0\0"),
    (DATA, b"\2"),
    (END, b""),
    (DONE, b""),
    (OPEN, b""),
    (RESET, b""),
    (RAW, b""),
    (BARE, frame(DATA, b"d") + frame(END)),
]


class FrameTests(SynchronousTestCase):
    """A frame is one byte of kind, four bytes of length, and the payload."""

    def test_theNumbersAreWhatTheProtocolSays(self) -> None:
        self.assertEqual((OPEN, DATA, END, RESET, RAW, DONE), (1, 2, 3, 4, 5, 6))
        self.assertEqual((lane.MAX_PAYLOAD, lane.MAX_OPEN), (65536, 4096))
        self.assertEqual((lane.RAW_THRESHOLD, lane.RAW_MESSAGES, lane.RESET_TIMEOUT), (256 * 1024, 32, 10))
        self.assertEqual(lane.LONG, 32 * 1024)

    def test_lastFramesAreHeadersAlone(self) -> None:
        self.assertEqual(lane.END_FRAME, b"\3\0\0\0\0")
        self.assertEqual(lane.RESET_FRAME, b"\4\0\0\0\0")
        self.assertEqual(lane.RAW_FRAME, b"\5\0\0\0\0")
        self.assertEqual(lane.DONE_FRAME, b"\6\0\0\0\0")
        self.assertEqual(lane.HEADER.pack(DATA, 65536), b"\2\0\1\0\0")


class LaneDecoderTests(SynchronousTestCase):
    """What was written in frames is read in the same frames."""

    def setUp(self) -> None:
        self.decoder = LaneDecoder()

    def take(self, kind: int, payload: bytes = b"") -> None:
        """The next frame is this one."""
        self.assertEqual(self.decoder.next(), (kind, payload))

    @UNHURRIED
    @given(FRAMES.flatmap(lambda frames: st.tuples(st.just(frames), inPortions(st.just(written(frames))))))
    def test_anyFramesInAnyPortionsAreTheSameFrames(self, sent: tuple[list[Sent], tuple[bytes, list[bytes]]]) -> None:
        frames, (_, portions) = sent
        self.assertEqual(outcomes(LaneDecoder(), *portions), joined(frames))

    def test_everySplitInThreeGivesTheSameFrames(self) -> None:
        data = written(EVERY_KIND)
        for cuts in combinations_with_replacement(range(len(data) + 1), 2):
            portions = [data[start:end] for start, end in pairwise([0, *cuts, len(data)])]
            self.assertEqual(outcomes(LaneDecoder(), *portions), joined(EVERY_KIND), cuts)

    def test_nothingIsNoFrame(self) -> None:
        self.assertIsNone(self.decoder.next())
        self.decoder.feed(b"")
        self.assertIsNone(self.decoder.next())
        self.assertEqual((self.decoder.kept, self.decoder.raw), (0, False))

    def test_framesAreTakenOneByOneAndWhatIsKeptIsCounted(self) -> None:
        self.decoder.feed(frame(OPEN, b"{}") + frame(DATA, b"abc") + frame(END) + b"\2")
        kept = []
        for taken in ((OPEN, b"{}"), (DATA, b"abc"), (END, b"")):
            kept.append(self.decoder.kept)
            self.take(*taken)
        self.assertIsNone(self.decoder.next())
        self.assertEqual([*kept, self.decoder.kept], [21, 14, 6, 1])

    def test_whatIsNotTakenYetComesBeforeWhatIsFedNext(self) -> None:
        self.decoder.feed(frame(END) + frame(OPEN, b"one"))
        self.take(END)
        self.decoder.feed(frame(DATA, b"two"))
        self.assertEqual(self.decoder.kept, 16)
        self.take(OPEN, b"one")
        self.take(DATA, b"two")

    def test_dataIsPassedOnAsItComes(self) -> None:
        for portion, taken in ((header(DATA, 6) + b"ab", b"ab"), (b"c", b"c"), (b"def" + frame(END), b"def")):
            self.decoder.feed(portion)
            self.take(DATA, taken)
        self.take(END)

    def test_aVisitorIsAnnouncedWhenAllIsThere(self) -> None:
        for portion in (header(OPEN, 6), b"a", b"", b"bcde"):
            self.decoder.feed(portion)
            self.assertIsNone(self.decoder.next())
        self.decoder.feed(b"f" + frame(DATA, b"early"))
        self.take(OPEN, b"abcdef")
        self.take(DATA, b"early")

    def test_aHeaderMayBeCutAtEachByte(self) -> None:
        for kind, longest in LONGEST.items():
            payload = b"p" * min(longest, 3)
            data = frame(kind, payload)
            for cut in range(5):
                self.decoder = LaneDecoder()
                self.decoder.feed(data[:cut])
                self.assertIsNone(self.decoder.next())
                self.assertEqual((self.decoder.kept, self.decoder.raw), (cut, False))
                self.decoder.feed(data[cut:])
                self.take(kind, payload)
                self.assertIsNone(self.decoder.next())

    def test_aHeaderMayComeByteByByte(self) -> None:
        for byte in header(DATA, 1):
            self.decoder.feed(bytes([byte]))
            self.assertIsNone(self.decoder.next())
        self.decoder.feed(b"x")
        self.take(DATA, b"x")

    def test_framesMayBeAsLongAsTheProtocolSays(self) -> None:
        for kind in (OPEN, DATA):
            payload = bytes(range(256)) * (LONGEST[kind] // 256)
            self.decoder.feed(frame(kind, payload) + frame(END))
            self.take(kind, payload)
            self.take(END)

    def test_aFrameThatHasNoBytesOfAStreamIsAViolation(self) -> None:
        for before in (b"", frame(DATA, b"x"), frame(OPEN)):
            decoder = LaneDecoder()
            decoder.feed(before + frame(DATA) + frame(DATA, b"x"))
            if before:
                self.assertIsNotNone(decoder.next())
            self.assertRaises(ProtocolViolation, decoder.next)

    def test_behindRawBytesAreBareWhateverTheyLookLike(self) -> None:
        looks = frame(DATA, b"d") + frame(END) + b"\xff" * 5
        self.decoder.feed(frame(DATA, b"d") + frame(RAW))
        self.take(DATA, b"d")
        self.assertFalse(self.decoder.raw)
        self.take(RAW)
        self.assertTrue(self.decoder.raw)
        self.assertIsNone(self.decoder.next())
        for portion in (looks, frame(OPEN), b"\0" * 100_000):
            self.decoder.feed(portion)
            self.take(BARE, portion)
            self.assertIsNone(self.decoder.next())
            self.assertTrue(self.decoder.raw)

    def test_theFirstBareBytesMayComeWithRaw(self) -> None:
        self.decoder.feed(frame(RAW) + frame(RAW))
        self.take(RAW)
        self.take(BARE, frame(RAW))


class HostileTests(SynchronousTestCase):
    """Everything that is not a frame is a violation, and nothing else happens."""

    def assertViolation(self, data: bytes) -> None:
        """These bytes are not a frame, behind others or not, and in any portions."""
        for before in ([], [(DATA, b"before")]):
            whole = written(before) + data
            self.assertEqual(outcomes(LaneDecoder(), whole), [*before, ProtocolViolation])
            for cut in range(len(whole)):
                self.assertEqual(outcomes(LaneDecoder(), whole[:cut], whole[cut:]), [*before, ProtocolViolation])

    def test_anUnknownKindIsAViolationWhateverItsLength(self) -> None:
        for kind in (0, 7, 8, 64, 127, 128, 255):
            for length in (0, 1, 4096, 65536, (1 << 32) - 1):
                self.assertViolation(header(kind, length))

    def test_noKindBut1To6IsKnown(self) -> None:
        for kind in range(256):
            self.assertIs(
                ProtocolViolation in outcomes(LaneDecoder(), header(kind, SHORTEST.get(kind, 0))),
                kind not in LONGEST,
                kind,
            )

    def test_aFrameThatIsTooLongIsAViolationByItsHeaderAlone(self) -> None:
        for kind, longest in LONGEST.items():
            for length in (longest + 1, longest + 256, 1 << 24, 1 << 31, (1 << 32) - 1):
                self.assertViolation(header(kind, length))

    def test_aLastFrameHasNoPayload(self) -> None:
        for kind in (END, RESET, RAW, DONE):
            self.assertViolation(frame(kind, b"x"))

    def test_aVisitorHasUpTo4096Bytes(self) -> None:
        self.assertEqual(outcomes(LaneDecoder(), frame(OPEN, b"x" * 4096)), [(OPEN, b"x" * 4096)])
        self.assertEqual(outcomes(LaneDecoder(), frame(OPEN, b"x" * 4097)), [ProtocolViolation])

    def test_untilItsLastByteAHeaderIsNoViolation(self) -> None:
        for cut in range(5):
            self.assertEqual(outcomes(LaneDecoder(), header(255, (1 << 32) - 1)[:cut]), [])

    def test_aViolationNamesWhatCame(self) -> None:
        decoder = LaneDecoder()
        decoder.feed(header(7, 300))
        self.assertEqual(
            str(self.assertRaises(ProtocolViolation, decoder.next)), "a lane's frame of kind 7 and of length 300"
        )

    @UNHURRIED
    @given(inPortions(st.binary(max_size=60) | FRAMES.map(written).flatmap(damaged)))
    def test_arbitraryBytesAreFramesOrAViolation(self, sent: tuple[bytes, list[bytes]]) -> None:
        data, portions = sent
        self.assertEqual(outcomes(LaneDecoder(), *portions), byTheBook(data))

    @UNHURRIED
    @given(
        inPortions(
            st.lists(
                st.builds(
                    lambda kind, length, behind: header(kind, length) + behind,
                    st.sampled_from([1, 2, 3, 4, 5, 5, 6, 7]),
                    st.sampled_from([0, 0, 1, 2, 20, 4096, 4097, 65536, 65537, 1 << 31]),
                    st.binary(max_size=20),
                ),
                max_size=8,
            ).map(b"".join)
        )
    )
    def test_lyingHeadersAreFramesOrAViolation(self, sent: tuple[bytes, list[bytes]]) -> None:
        data, portions = sent
        self.assertEqual(outcomes(LaneDecoder(), *portions), byTheBook(data))

    def test_whatManySmallFramesCostDoesNotGrowWithWhatIsBehindThem(self) -> None:
        for kind, payload in ((DATA, b"x"), (OPEN, b""), (END, b"")):
            decoder = LaneDecoder()
            decoder.feed(frame(kind, payload) * 200_000)
            start = process_time()
            for _ in range(100_000):
                self.assertEqual(decoder.next(), (kind, payload))
            # A tenth of a second; it would be half a minute if each frame moved the bytes behind it.
            self.assertLess(process_time() - start, 5)
            self.assertEqual(decoder.kept, 100_000 * len(frame(kind, payload)))
