"""
The first bytes of a stream, which may be a request of HTTP/1 (RFC 9112).

Only what an answer without a resource depends on is read: the method, and whether the client accepts HTML. Everything
else of a request passes unread.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Final

#: The most bytes that are read: what servers commonly allow for the head of a request.
MAX_HEAD: Final = 8192

#: The longest method that is recognized. Those that are registered have at most 17 letters.
_MAX_METHOD: Final = 32

#: The bytes of a method (RFC 9110, section 5.6.2).
_TOKEN: Final = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]"
_METHOD: Final = re.compile(rb"%s{1,%d}" % (_TOKEN, _MAX_METHOD))

#: A request line: method, target and version (RFC 9112, section 3). Targets with bytes beyond ASCII are sent in
#: practice.
_REQUEST_LINE: Final = re.compile(rb"(%s{1,%d}) [\x21-\x7e\x80-\xff]+ HTTP/1\.[0-9]" % (_TOKEN, _MAX_METHOD))

#: Bytes that a request line does not have.
_NOT_IN_LINE: Final = re.compile(rb"[\x00-\x09\x0b\x0c\x0e-\x1f\x7f]")

_HTML: Final = (b"text/html", b"application/xhtml+xml")
_QUALITY_0: Final = re.compile(rb"q=0(?:\.0*)?")


class Start(Enum):
    """What the first bytes of a stream are."""

    UNDECIDED = "more bytes are needed"
    OTHER = "no request of HTTP/1"
    REQUEST = "the head of a request"


class RequestReader:
    """
    Reads the head of a request, in as many parts as it comes in. Each byte is looked at a fixed number of times.

    :ivar start: what the bytes are, as far as that is known.
    :ivar method: the method of the request; empty until the request line has come. From then on it is a request, even
        if its head does not end.
    :ivar acceptsHtml: whether the client has named HTML among what it accepts.
    """

    def __init__(self) -> None:
        self.start = Start.UNDECIDED
        self.method = b""
        self.acceptsHtml = False
        self._line = bytearray()  # the line that has not ended yet
        self._size = 0
        self._isFirst = True

    def feed(self, data: bytes) -> None:
        """Read on. What comes when the bytes are decided is ignored, and so is what exceeds MAX_HEAD."""
        if self.start is not Start.UNDECIDED:
            return
        data = data[: MAX_HEAD - self._size]
        self._size += len(data)
        *ended, rest = data.split(b"\n")
        for part in ended:
            self._line += part
            line, self._line = bytes(self._line), bytearray()
            self._read(line.removesuffix(b"\r"))
            if self.start is not Start.UNDECIDED:
                return
        self._line += rest
        if not self.method and (_NOT_IN_LINE.search(rest) or not self._mayBeMethod()):
            self.start = Start.OTHER
        elif self._size == MAX_HEAD:
            self.start = Start.REQUEST if self.method else Start.OTHER

    def _mayBeMethod(self) -> bool:
        """Whether a line that has not ended begins as a request line does. That tells most other protocols at once."""
        begin = bytes(self._line[: _MAX_METHOD + 1]).removesuffix(b"\r" if self._isFirst else b"")
        return not begin or _METHOD.fullmatch(begin.partition(b" ")[0]) is not None

    def _read(self, line: bytes) -> None:
        """Read a line that has ended."""
        isFirst, self._isFirst = self._isFirst, False
        if self.method:
            if not line:
                self.start = Start.REQUEST
            elif line[:7].lower() == b"accept:":
                self.acceptsHtml = self.acceptsHtml or _acceptsHtml(line[7:])
            return
        if not line and isFirst:
            return  # an empty line before the request is skipped (RFC 9112, section 2.2)
        found = _REQUEST_LINE.fullmatch(line)
        if found is None:
            self.start = Start.OTHER
        else:
            self.method = found[1]


def _acceptsHtml(accept: bytes) -> bool:
    """Whether the value of an Accept field names HTML (RFC 9110, section 12.5.1)."""
    for each in accept.lower().split(b","):
        kind, *parameters = [part.strip() for part in each.split(b";")]
        if kind in _HTML and not any(_QUALITY_0.fullmatch(part) for part in parameters):
            return True
    return False
