"""Bytes are cut into frames."""

from __future__ import annotations

from time import process_time

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bore.wire.errors import FrameTooLong, ProtocolViolation
from bore.wire.framing import FrameDecoder, encodeFrame
from bore.wire.limits import MAX_FRAME
from tests.wire.strategies import STREAMS, UNHURRIED, inPortions


def framesOf(decoder: FrameDecoder) -> list[bytes]:
    """All whole frames that a decoder has."""
    return list(iter(decoder.nextFrame, None))


def withoutNul(size: int) -> st.SearchStrategy[bytes]:
    """Bytes of this number, without a NUL."""
    return st.binary(min_size=size, max_size=size).map(lambda data: data.replace(b"\0", b"\xff"))


class FrameDecoderTests(SynchronousTestCase):
    """A stream of bytes becomes frames."""

    def test_aFrameEndsWithItsNul(self) -> None:
        decoder = FrameDecoder()
        decoder.feed(b'{"Hello":1}')
        self.assertIsNone(decoder.nextFrame())
        decoder.feed(b"\0")
        self.assertEqual(decoder.nextFrame(), b'{"Hello":1}')
        self.assertIsNone(decoder.nextFrame())

    def test_nothingHasNoFrameAndNoRest(self) -> None:
        decoder = FrameDecoder()
        decoder.feed(b"")
        self.assertIsNone(decoder.nextFrame())
        self.assertEqual(decoder.takeRest(), b"")

    def test_aNulByItselfIsAnEmptyFrame(self) -> None:
        decoder = FrameDecoder()
        decoder.feed(b"\0\0a\0")
        self.assertEqual(framesOf(decoder), [b"", b"", b"a"])

    def test_framesAreTakenOneByOneAndTheRestIsHandedOver(self) -> None:
        decoder = FrameDecoder()
        decoder.feed(b"one\0two\0th")
        self.assertEqual(decoder.nextFrame(), b"one")
        self.assertEqual(decoder.takeRest(), b"two\0th")

    def test_whoTookTheRestLeavesNothing(self) -> None:
        decoder = FrameDecoder()
        decoder.feed(b"one\0rest")
        decoder.nextFrame()
        decoder.takeRest()
        self.assertEqual(decoder.takeRest(), b"")
        decoder.feed(b"two\0")
        self.assertEqual(framesOf(decoder), [b"two"])

    def test_theRestMayBeLongerThanAnyFrame(self) -> None:
        rest = bytes(range(256)) * 300
        decoder = FrameDecoder()
        decoder.feed(b"one\0" + rest)
        self.assertEqual(decoder.nextFrame(), b"one")
        self.assertEqual(decoder.takeRest(), rest)

    @UNHURRIED
    @given(inPortions(st.lists(withoutNul(3) | withoutNul(256), max_size=4).map(b"\0".join)))
    def test_aFrameMayArriveInAnyPortions(self, sent: tuple[bytes, list[bytes]]) -> None:
        stream, portions = sent
        *frames, rest = stream.split(b"\0")
        decoder = FrameDecoder()
        taken = []
        for portion in portions:
            decoder.feed(portion)
            taken += framesOf(decoder)
        self.assertEqual(taken, frames)
        self.assertEqual(decoder.takeRest(), rest)

    @UNHURRIED
    @given(inPortions(STREAMS), st.integers(0, 300))
    def test_anyBytesGiveFramesUpToTheLimitOrFrameTooLong(
        self, sent: tuple[bytes, list[bytes]], maxLength: int
    ) -> None:
        stream, portions = sent
        *frames, rest = stream.split(b"\0")
        fitting = 0
        while fitting < len(frames) and len(frames[fitting]) <= maxLength:
            fitting += 1
        decoder = FrameDecoder(maxLength)
        taken: list[bytes] = []
        tooLong = False
        for portion in portions:
            decoder.feed(portion)
            try:
                while (frame := decoder.nextFrame()) is not None:
                    taken.append(frame)
            except FrameTooLong:
                tooLong = True
                break
        self.assertEqual(taken, frames[:fitting])
        self.assertEqual(tooLong, fitting < len(frames) or len(rest) > maxLength)


class FrameLimitTests(SynchronousTestCase):
    """A frame has at most 256 bytes without its NUL."""

    def test_theLimitIsWhatTheOriginalTakes(self) -> None:
        self.assertEqual(MAX_FRAME, 256)
        self.assertEqual(FrameDecoder().maxLength, 256)

    def test_256BytesAreAFrame(self) -> None:
        decoder = FrameDecoder()
        decoder.feed(b"x" * 256 + b"\0" + b"y" * 256)
        self.assertEqual(decoder.nextFrame(), b"x" * 256)
        self.assertIsNone(decoder.nextFrame())
        decoder.feed(b"\0")
        self.assertEqual(decoder.nextFrame(), b"y" * 256)

    def test_257BytesAreNoFrame(self) -> None:
        for sent in (b"x" * 257, b"x" * 257 + b"\0"):
            decoder = FrameDecoder()
            decoder.feed(sent)
            self.assertRaises(FrameTooLong, decoder.nextFrame)

    def test_the257thByteDecidesWithoutWaitingForMore(self) -> None:
        decoder = FrameDecoder()
        decoder.feed(b"x" * 256)
        self.assertIsNone(decoder.nextFrame())
        decoder.feed(b"x")
        self.assertRaises(FrameTooLong, decoder.nextFrame)

    def test_framesBeforeTheOneThatIsTooLongAreStillTaken(self) -> None:
        decoder = FrameDecoder()
        decoder.feed(b"one\0two\0" + b"x" * 257 + b"\0")
        self.assertEqual(decoder.nextFrame(), b"one")
        self.assertEqual(decoder.nextFrame(), b"two")
        self.assertRaises(FrameTooLong, decoder.nextFrame)

    def test_aNulThatComesLaterDoesNotMendAFrameThatWasTooLong(self) -> None:
        decoder = FrameDecoder()
        decoder.feed(b"x" * 257)
        self.assertRaises(FrameTooLong, decoder.nextFrame)
        decoder.feed(b"\0one\0")
        self.assertRaises(FrameTooLong, decoder.nextFrame)

    def test_aFrameThatIsTooLongIsAViolation(self) -> None:
        self.assertTrue(issubclass(FrameTooLong, ProtocolViolation))

    def test_theLimitIsSetPerDecoder(self) -> None:
        decoder = FrameDecoder(4096)
        decoder.feed(b"x" * 4096 + b"\0")
        self.assertEqual(decoder.nextFrame(), b"x" * 4096)
        decoder.feed(b"x" * 4097)
        self.assertRaises(FrameTooLong, decoder.nextFrame)

    @UNHURRIED
    @given(st.integers(0, 40).flatmap(lambda limit: st.tuples(st.just(limit), withoutNul(limit + 1))), STREAMS)
    def test_ofAFrameThatIsTooLongOnlyTheFirstBytesMatter(self, start: tuple[int, bytes], more: bytes) -> None:
        maxLength, head = start
        decoder = FrameDecoder(maxLength)
        decoder.feed(head + more)
        self.assertRaises(FrameTooLong, decoder.nextFrame)

    def test_whatManySmallFramesCostDoesNotGrowWithWhatIsBehindThem(self) -> None:
        decoder = FrameDecoder()
        decoder.feed(b"\0" * 1_000_000)
        start = process_time()
        for _ in range(100_000):
            self.assertEqual(decoder.nextFrame(), b"")
        # A tenth of a second; it would be half a minute if each frame moved the bytes behind it.
        self.assertLess(process_time() - start, 3)
        self.assertEqual(len(decoder.takeRest()), 900_000)


class EncodeFrameTests(SynchronousTestCase):
    """A text becomes a frame."""

    def test_aFrameIsTheTextAndANul(self) -> None:
        self.assertEqual(encodeFrame('{"Hello":8000}'), b'{"Hello":8000}\0')

    def test_textIsWrittenAsUtf8(self) -> None:
        self.assertEqual(encodeFrame("é€😀"), b"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\0")

    def test_256BytesAreWrittenAnd257AreNot(self) -> None:
        self.assertEqual(encodeFrame("x" * 256), b"x" * 256 + b"\0")
        self.assertRaises(FrameTooLong, encodeFrame, "x" * 257)

    def test_theLimitCountsBytesAndNotCharacters(self) -> None:
        self.assertEqual(encodeFrame("é" * 128), b"\xc3\xa9" * 128 + b"\0")
        self.assertRaises(FrameTooLong, encodeFrame, "é" * 128 + "x")

    def test_theLimitIsSetPerFrame(self) -> None:
        self.assertEqual(len(encodeFrame("x" * 4096, 4096)), 4097)
        self.assertRaises(FrameTooLong, encodeFrame, "x" * 4097, 4096)
        self.assertRaises(FrameTooLong, encodeFrame, "xxx", 2)

    @UNHURRIED
    @given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=64), max_size=5))
    def test_whatIsWrittenIsReadBack(self, texts: list[str]) -> None:
        decoder = FrameDecoder()
        decoder.feed(b"".join(encodeFrame(text) for text in texts))
        self.assertEqual(framesOf(decoder), [text.encode() for text in texts])
        self.assertEqual(decoder.takeRest(), b"")
