"""Frames: texts, each followed by one NUL byte."""

from __future__ import annotations

from bore.wire.errors import FrameTooLong
from bore.wire.limits import MAX_FRAME

_NUL = b"\0"


class FrameDecoder:
    """
    Splits a stream of bytes into frames.

    Frames are taken one by one, so that the bytes behind the last frame can be handed on: behind Accept they are the
    visitor's.

    :param maxLength: the longest frame, in bytes without its NUL.
    """

    def __init__(self, maxLength: int = MAX_FRAME) -> None:
        self.maxLength = maxLength
        self._buffer = bytearray()

    def feed(self, data: bytes) -> None:
        """Add bytes from the peer, in any portions."""
        self._buffer += data

    def nextFrame(self) -> bytes | None:
        """
        Take the next frame, without its NUL; None if it is not complete.

        :raises FrameTooLong: when more than ``maxLength`` bytes arrived without a NUL.
        """
        end = self._buffer.find(_NUL, 0, self.maxLength + 1)
        if end >= 0:
            frame = bytes(self._buffer[:end])
            del self._buffer[: end + 1]
            return frame
        if len(self._buffer) > self.maxLength:
            raise FrameTooLong(f"more than {self.maxLength} bytes without an end")
        return None

    @property
    def hasPart(self) -> bool:
        """Whether there are bytes behind the last frame that was taken."""
        return bool(self._buffer)

    @property
    def part(self) -> bytes:
        """The bytes behind the last frame that was taken."""
        return bytes(self._buffer)

    def takeRest(self) -> bytes:
        """Take all bytes behind the last frame. The decoder is empty afterwards."""
        rest = bytes(self._buffer)
        self._buffer.clear()
        return rest


def encodeFrame(text: str, maxLength: int = MAX_FRAME) -> bytes:
    """
    Encode a text as a frame.

    :param text: a JSON text, which cannot contain a NUL.
    :raises FrameTooLong: when the frame would have more than ``maxLength`` bytes.
    """
    frame = text.encode()
    if len(frame) > maxLength:
        raise FrameTooLong(f"{len(frame)} bytes do not fit a frame of {maxLength}")
    return frame + _NUL
