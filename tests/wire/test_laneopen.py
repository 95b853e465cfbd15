"""OPEN carries the visitor of a lane."""

from __future__ import annotations

import json
from typing import Final
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bore.wire.errors import MalformedMessage, ProtocolViolation
from bore.wire.extension import Source, Visitor, encode, visitorText
from bore.wire.lane import OPEN, LaneDecoder
from bore.wire.laneopen import LaneVisitor, openFrame, readOpen
from tests.wire.lanes import frame, framesOf
from tests.wire.sessions import ID, SOURCE
from tests.wire.strategies import (
    JSON_TEXTS,
    JUNK,
    NUMBERS,
    SOURCES,
    TEXTS,
    UNHURRIED,
    UUIDS,
    VALUES,
    damaged,
    uuidSpellings,
)

VISITORS: Final = st.builds(LaneVisitor, NUMBERS, UUIDS.map(str), st.none() | SOURCES, st.booleans())

#: A visitor as it is sent.
KEYS: Final = ("tunnel", "id", "from", "announced")


class OpenTests(SynchronousTestCase):
    """A visitor is encoded as in Visitor, and decoded as it was encoded."""

    def test_anOpenHasItsBytes(self) -> None:
        text = b'{"tunnel":1,"id":"00000000-0000-4000-8000-000000000001","from":["203.0.113.9",50123]}'
        self.assertEqual(openFrame(1, ID, SOURCE), b"\1\0\0\0" + bytes([len(text)]) + text)
        known = text[:-1] + b',"announced":true}'
        self.assertEqual(openFrame(1, ID, SOURCE, announced=True), b"\1\0\0\0" + bytes([len(known)]) + known)
        text = b'{"tunnel":1,"id":"00000000-0000-4000-8000-000000000001","from":null}'
        self.assertEqual(openFrame(1, ID, None), b"\1\0\0\0" + bytes([len(text)]) + text)

    @UNHURRIED
    @given(VISITORS)
    def test_theVisitorThatIsSentIsTheOneThatIsRead(self, visitor: LaneVisitor) -> None:
        decoder = LaneDecoder()
        decoder.feed(openFrame(visitor.tunnel, visitor.id, visitor.source, visitor.announced))
        ((kind, payload),) = framesOf(decoder)
        self.assertEqual((kind, readOpen(payload)), (OPEN, visitor))

    @UNHURRIED
    @given(VISITORS)
    def test_theTextIsTheOneInVisitor(self, visitor: LaneVisitor) -> None:
        text = visitorText(visitor.tunnel, visitor.id, visitor.source)
        message = Visitor(visitor.tunnel, UUID(visitor.id), visitor.source)
        self.assertEqual(encode(message), b'{"Visitor":' + text.encode() + b"}\0")
        if visitor.announced:
            text = text[:-1] + ',"announced":true}'
        self.assertEqual(
            openFrame(visitor.tunnel, visitor.id, visitor.source, visitor.announced), frame(OPEN, text.encode())
        )

    def test_theLongestVisitorIsMuchShorterThanAFrameMayBe(self) -> None:
        longest = LaneVisitor(1, str(ID), ("ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255", 65535))
        self.assertLess(len(openFrame(1, longest.id, longest.source)), 256)


class ReadTests(SynchronousTestCase):
    """Every spelling and further keys are accepted, and everything that is not a visitor is refused."""

    def test_aVisitorMayBeSpelledInAnyWay(self) -> None:
        for spelling in uuidSpellings(ID):
            for text in (
                '{"tunnel":1,"id":"%s","from":["203.0.113.9",50123]}',
                ' {\n"tunnel":1,"from" : [ "203.0.113.9" ,50123 ],\t"id": "%s"}\r\n',
                '{"tunnel":1,"\\u0069d":"%s","from":["\\u003203.0.113.9",50123]}',
            ):
                self.assertEqual(readOpen((text % spelling).encode()), LaneVisitor(1, str(ID), SOURCE))

    def test_aNullMayBeLeftOut(self) -> None:
        self.assertEqual(readOpen(f'{{"tunnel":1,"id":"{ID}"}}'.encode()), LaneVisitor(1, str(ID), None))

    @UNHURRIED
    @given(
        VISITORS,
        st.dictionaries(TEXTS.filter(lambda name: name not in KEYS), VALUES, max_size=3),
    )
    def test_unknownKeysAreIgnored(self, visitor: LaneVisitor, unknown: dict[str, object]) -> None:
        grown = json.dumps(
            unknown | json.loads(visitorText(visitor.tunnel, visitor.id, visitor.source, visitor.announced))
        )
        self.assertEqual(readOpen(grown.encode()), visitor)

    def test_anAddressIsReadInItsShortestFormHoweverOftenItIsRead(self) -> None:
        sources: list[tuple[str, Source]] = [
            ("2001:0DB8:0000::0001", ("2001:db8::1", 1)),
            ("203.0.113.9", ("203.0.113.9", 1)),
        ]
        for _ in range(3):
            for address, source in sources:
                text = f'{{"tunnel":1,"id":"{ID}","from":["{address}",1]}}'
                self.assertEqual(readOpen(text.encode()), LaneVisitor(1, str(ID), source))
                self.assertRaises(MalformedMessage, readOpen, text.replace(address, address + ".1").encode())

    def test_whatIsNoVisitorIsMalformed(self) -> None:
        id = str(ID)
        for text in (
            "",
            " ",
            "\0",
            "{",
            "null",
            "true",
            "0",
            "[]",
            "{}",
            '"Visitor"',
            f'"{id}"',
            f'["{id}",null]',
            f'{{"Visitor":{{"tunnel":1,"id":"{id}","from":null}}}}',
            '{"tunnel":1,"from":null}',
            '{"tunnel":1,"id":null,"from":null}',
            f'{{"tunnel":1,"id":{ID.int},"from":null}}',
            f'{{"tunnel":1,"id":"{id[:-1]}","from":null}}',
            f'{{"tunnel":1,"id":["{id}"],"from":null}}',
            f'{{"tunnel":1,"id":"{id}","id":"{id}","from":null}}',
            f'{{"tunnel":1,"id":"{id}","from":null,"from":null}}',
            f'{{"tunnel":1,"id":"{id}","from":null}}x',
            f'{{"tunnel":1,"id":"{id}","from":null}}\0',
            f'{{"tunnel":1,"id":"{id}","from":null',
        ):
            self.assertRaises(MalformedMessage, readOpen, text.encode())

    def test_whatIsNoSourceIsMalformed(self) -> None:
        for source in (
            "[]",
            "{}",
            "false",
            '"203.0.113.9:50123"',
            '["203.0.113.9"]',
            '["203.0.113.9",50123,0]',
            '["203.0.113.9","50123"]',
            '["203.0.113.9",-1]',
            '["203.0.113.9",-0]',
            '["203.0.113.9",1.0]',
            '["203.0.113.9",true]',
            '["203.0.113.9",65536]',
            '["203.0.113.9",null]',
            "[null,50123]",
            "[3405803785,50123]",
            '["host.example",50123]',
            '["fe80::1%eth0",50123]',
            '["",50123]',
            '[["203.0.113.9"],50123]',
        ):
            self.assertRaises(MalformedMessage, readOpen, f'{{"tunnel":1,"id":"{ID}","from":{source}}}'.encode())

    def test_whatIsNeitherTrueNorFalseIsMalformed(self) -> None:
        text = '{"tunnel":1,"id":"%s","from":null,"announced":%s}'
        self.assertEqual(readOpen((text % (ID, "false")).encode()), LaneVisitor(1, str(ID), None, False))
        for value in ("1", '"true"', "[]"):
            self.assertRaises(MalformedMessage, readOpen, (text % (ID, value)).encode())

    def test_whatIsMalformedIsAViolation(self) -> None:
        self.assertTrue(issubclass(MalformedMessage, ProtocolViolation))

    def test_4096BytesOfNestingOrDigitsAreMalformed(self) -> None:
        for data in (b"[" * 4096, b'{"id":' * 682, b"9" * 4096, b"\xff" * 4096, b'{"id":-' + b"9" * 4088 + b"}"):
            self.assertRaises(MalformedMessage, readOpen, data)

    @UNHURRIED
    @given(
        st.binary(max_size=300)
        | JUNK
        | JSON_TEXTS
        | VISITORS.map(lambda it: visitorText(it.tunnel, it.id, it.source, it.announced).encode()).flatmap(damaged)
    )
    def test_arbitraryBytesAreAVisitorOrMalformed(self, data: bytes) -> None:
        try:
            visitor = readOpen(data)
        except MalformedMessage as e:
            self.assertTrue(str(e).isascii() and str(e).isprintable(), e)
        else:
            text = visitorText(visitor.tunnel, visitor.id, visitor.source, visitor.announced)
            self.assertEqual(readOpen(text.encode()), visitor)
