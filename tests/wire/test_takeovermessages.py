"""What a server hands to another process that takes over from it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bore.wire.errors import MalformedMessage, UnknownMessage, WireError
from bore.wire.takeovermessages import (
    MAX_DESCRIPTORS,
    MAX_PART,
    MAX_TAKEOVER_FRAME,
    ControlPort,
    Declined,
    Descriptors,
    Everything,
    State,
    StatusPort,
    Taken,
    TakeOverMessage,
    decode,
    descriptorsOf,
    encode,
)

_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=MAX_PART)

MESSAGES: st.SearchStrategy[TakeOverMessage] = st.one_of(
    st.builds(ControlPort, st.booleans()),
    st.just(StatusPort()),
    st.builds(Descriptors, st.integers(0, MAX_DESCRIPTORS)),
    st.builds(State, _TEXT),
    st.just(Everything()),
    st.just(Taken()),
    st.builds(Declined, _TEXT),
)


class TakeOverMessageTests(SynchronousTestCase):
    """Messages and frames."""

    @given(MESSAGES)
    def test_whatIsEncodedIsDecoded(self, message: TakeOverMessage) -> None:
        frame = encode(message)
        self.assertEqual(decode(frame), message)
        self.assertNotIn(b"\0", frame)
        self.assertLessEqual(len(frame), MAX_TAKEOVER_FRAME)

    @given(st.binary(max_size=99))
    def test_otherBytesAreNoMessage(self, frame: bytes) -> None:
        self.assertRaises(WireError, decode, frame)

    def test_whatIsNotValidIsNotRead(self) -> None:
        for frame in (
            b'{"ControlPort":{}}',
            b'{"ControlPort":{"encrypted":1}}',
            b'{"Descriptors":{"count":201}}',
            b'{"Descriptors":{"count":-1}}',
            b'{"State":{"part":7}}',
            b'{"Declined":{}}',
            b'{"Taken":7}',
        ):
            self.assertRaises(MalformedMessage, decode, frame)

    def test_anotherVersionMayHaveOtherMessagesAndKeys(self) -> None:
        self.assertRaises(UnknownMessage, decode, b'{"Lanes":{}}')
        self.assertEqual(decode(b'{"ControlPort":{"encrypted":true,"udp":true}}'), ControlPort(True))

    def test_eachSocketIsADescriptor(self) -> None:
        counts = [descriptorsOf(each) for each in (ControlPort(True), StatusPort(), Taken(), Descriptors(7), State(""))]
        self.assertEqual(counts, [1, 1, 1, 7, 0])
