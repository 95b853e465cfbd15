"""The fuzzer's corpus is replayed without the fuzzer, and its first inputs are those that ``fuzz.seeds`` makes."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from twisted.trial.unittest import SynchronousTestCase

from bore.wire.errors import ProtocolViolation
from bore.wire.framing import FrameDecoder
from fuzz import parsers, seeds
from fuzz.inputs import portions
from fuzz.keep import worthKeeping
from fuzz.targets import TARGETS

_CORPUS: Final = Path(seeds.__file__).with_name("corpus")


class CorpusTests(SynchronousTestCase):
    """Every promise is kept for every input that was ever worth keeping."""

    def test_everyInputKeepsThePromisesOfItsTarget(self) -> None:
        self.assertEqual({folder.name for folder in _CORPUS.iterdir()}, {*TARGETS})
        for name, target in TARGETS.items():
            inputs = list((_CORPUS / name).iterdir())
            self.assertTrue(inputs, name)
            for path in inputs:
                try:
                    target(path.read_bytes())
                except Exception as e:
                    raise AssertionError(f"{name}: {path.read_bytes()!r}") from e

    def test_recordedAndGeneratedInputsKeepThePromises(self) -> None:
        made = seeds.seeds()
        self.assertEqual({*made}, {*TARGETS})
        for name, inputs in made.items():
            for each in inputs:
                TARGETS[name](each)

    def test_portionsAreTheSameBytes(self) -> None:
        data = bytes(range(256)) * 3
        for seed in range(256):
            self.assertEqual(b"".join(portions(data, seed)), data)
        self.assertEqual({len(portion) for portion in portions(data, 0)}, {1})


class KeepingTests(SynchronousTestCase):
    """The corpus has the inputs that reach something."""

    def test_anInputThatReachesNothingNewIsNotKept(self) -> None:
        hello, longer, other = b'{"Hello":8000}', b'{"Hello": 18001}', b'{"Accept":"x"}'
        self.assertEqual(worthKeeping(TARGETS["decoders"], [longer, hello]), [hello])
        self.assertEqual(set(worthKeeping(TARGETS["decoders"], [other, hello])), {hello, other})


class BrokenDecoder(FrameDecoder):
    """A decoder that forgets its limit when bytes arrive one by one."""

    def nextFrame(self) -> bytes | None:
        """Take the next frame."""
        try:
            return super().nextFrame()
        except ProtocolViolation:
            if len(self._buffer) == self.maxLength + 1:
                return None
            raise


class BrokenPromiseTests(SynchronousTestCase):
    """A target tells when a promise is broken."""

    def test_aDecoderThatKeepsTooMuchIsFound(self) -> None:
        self.patch(parsers, "FrameDecoder", BrokenDecoder)
        self.assertRaises(AssertionError, parsers.frames, bytes(2) + b"x" * 300)
