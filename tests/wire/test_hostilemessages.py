"""Everything that is not a message of the base protocol is refused, and nothing else happens."""

from __future__ import annotations

import json
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from bore.wire.errors import MalformedMessage
from bore.wire.messages import (
    Hello,
    decodeServerMessage,
    encode,
)
from tests.wire.strategies import (
    JSON_TEXTS,
    JUNK,
    TEXTS,
    UNHURRIED,
    decodeClientMessage,
    uuidSpellings,
)
from tests.wire.test_messages import DECODERS, ID, MessageTestCase


class HostileTests(MessageTestCase):
    """Everything that is not a message is refused, and nothing else happens."""

    def test_nothingIsNoMessage(self) -> None:
        self.assertRefused([b"", b" ", b"\n", b"\0"])

    def test_unknownNamesAreRefused(self) -> None:
        names = ["", "hello", "HELLO", "Hello ", " Hello", "Hello\0", "\u041dello", "Open", "__class__", "0"]
        self.assertRefused(f'{{"{name}":8000}}'.encode() for name in names)
        self.assertRefused(f'"{name}"'.encode() for name in ["", "heartbeat", "Heartbeat ", "Alive", "\\ud800"])

    def test_aNameWithAValueCannotStandAlone(self) -> None:
        names = ["Challenge", "Authenticate", "Hello", "Connection", "Accept", "Error"]
        self.assertRefused(f'"{name}"'.encode() for name in names)
        self.assertRefused(f'{{"{name}":null}}'.encode() for name in names)

    def test_aHeartbeatHasNoValue(self) -> None:
        for value in (b"0", b"1", b'""', b"[]", b"{}", b"false", b"true", b"NaN", b'"Heartbeat"'):
            self.assertRefused([b'{"Heartbeat":%s}' % value])

    def test_onlyAnObjectWithOneNameIsAMessage(self) -> None:
        self.assertRefused(
            [
                b"{}",
                b"[]",
                b"null",
                b"true",
                b"0",
                b"8000",
                b'["Hello",8000]',
                b'[["Hello",8000]]',
                b'[{"Hello":8000}]',
                b'["Heartbeat"]',
                b'{"Hello":8000,"Error":"no"}',
                b'{"Hello":8000,"extra":null}',
                b'{"Heartbeat":null,"Hello":8000}',
            ]
        )

    def test_aRepeatedNameIsRefused(self) -> None:
        self.assertRefused(
            [b'{"Hello":8000,"Hello":8000}', b'{"Hello":1,"\\u0048ello":2}', b'{"Heartbeat":null,"Heartbeat":null}']
        )

    def test_aPortIsANumberFrom0To65535(self) -> None:
        for value in (
            "65536",
            "70000",
            "4294967297",
            "-1",
            "-8000",
            "-0",
            "-0.0",
            "0.0",
            "8000.0",
            "8000.5",
            "8e3",
            "8E+3",
            "1e400",
            "-1e400",
            "1e-400",
            "true",
            "false",
            "null",
            '"8000"',
            '""',
            "[8000]",
            "[]",
            "{}",
            '{"Hello":8000}',
            '{"port":8000}',
        ):
            self.assertRefused([f'{{"Hello":{value}}}'.encode()])

    def test_numbersThatJsonDoesNotKnowAreRefused(self) -> None:
        for value in (
            "NaN",
            "Infinity",
            "-Infinity",
            "nan",
            "+1",
            "01",
            "-01",
            "00",
            "0x10",
            "1_000",
            ".5",
            "1.",
            "\u0661",
        ):
            self.assertRefused([value.encode(), f'{{"Hello":{value}}}'.encode(), f'{{"Error":{value}}}'.encode()])

    def test_hugeNumbersAreRefused(self) -> None:
        for digits in (20, 240, 4080, 4300, 4301, 10_000, 1_000_000):
            self.assertRefused(
                [b'{"Hello":' + b"9" * digits + b"}", b"9" * digits, b'{"Hello":-' + b"9" * digits + b"}"]
            )
        self.assertRefused([b'{"Hello":0.' + b"9" * 4080 + b"}", b'{"Hello":1e' + b"9" * 4080 + b"}"])

    def test_deepNestingIsRefused(self) -> None:
        for depth in (30, 130, 1000, 4096, 100_000):
            self.assertRefused([b"[" * depth, b"[" * depth + b"]" * depth, b'{"Hello":' + b"[" * depth])
        for depth in (40, 200, 800, 100_000):
            opened = b'{"a":' * depth
            self.assertRefused([opened, opened + b"0" + b"}" * depth, b'{"Hello":' * depth + b"1" + b"}" * depth])
        self.assertRefused([b'[{"a":' * 600, b'{"Error":' * 450])

    def test_whatWasRefusedForItsDepthLeavesNoTrace(self) -> None:
        self.assertRefused([b"[" * 100_000])
        self.assertEqual(decodeClientMessage(b'{"Hello":8000}'), Hello(8000))

    def test_aTextIsAJsonString(self) -> None:
        for value in (b"0", b"1.5", b"true", b"null", b"[]", b'["no"]', b"{}", b'{"text":"no"}', b"no"):
            self.assertRefused([b'{"Error":%s}' % value, b'{"Authenticate":%s}' % value])

    def test_halfASurrogatePairIsNoText(self) -> None:
        for value in (b"\\ud800", b"\\udfff", b"a\\uD83Db", b"\\ude00\\ud83d", b"\\ud83d\\ud83d\\ude00"):
            self.assertRefused([b'{"Error":"%s"}' % value, b'{"Authenticate":"%s"}' % value, b'"%s"' % value])

    def test_controlCharactersMustBeEscaped(self) -> None:
        for code in range(32):
            self.assertRefused([b'{"Error":"a%cb"}' % code, b'{"Authenticate":"a%cb"}' % code, b'"Heartbeat%c"' % code])

    def test_badEscapesAreRefused(self) -> None:
        for escape in (b"\\x41", b"\\u12", b"\\u 123", b"\\u+123", b"\\u12g4", b"\\'", b"\\0", b"\\"):
            self.assertRefused([b'{"Error":"%s"}' % escape, b'{"Authenticate":"%s"}' % escape])

    def test_invalidUtf8IsRefused(self) -> None:
        for text in (b"\xff", b"\x80", b"\xc3", b"\xc0\x80", b"\xe2\x82", b"\xed\xa0\x80", b"\xf4\x90\x80\x80"):
            self.assertRefused([text, b'{"Error":"%s"}' % text, b'{"Authenticate":"%s"}' % text, b'{"Hello":1}' + text])

    def test_otherEncodingsAreRefused(self) -> None:
        for text in ('{"Hello":8000}', '"Heartbeat"'):
            self.assertRefused(
                text.encode(name) for name in ("utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32")
            )

    def test_trailingGarbageIsRefused(self) -> None:
        for garbage in (b"x", b"}", b",", b"\0", b"{}", b"null", b'{"Hello":8000}', b"//", b"\xff"):
            self.assertRefused([b'{"Hello":8000}' + garbage, b'{"Hello":8000} ' + garbage, b'"Heartbeat"' + garbage])

    def test_whatIsNearlyJsonIsRefused(self) -> None:
        self.assertRefused(
            [
                b"{'Hello':8000}",
                b"{Hello:8000}",
                b'{"Hello":8000,}',
                b'{,"Hello":8000}',
                b'{"Hello":8000',
                b'"Hello":8000}',
                b'{"Hello"}',
                b'{"Hello":}',
                b'{"Hello" 8000}',
                b'{"Hello"::8000}',
                b"{null:8000}",
                b'/**/{"Hello":8000}',
                b'"Heartbeat',
                b"Heartbeat",
                b"'Heartbeat'",
                b'\x1e"Heartbeat"',
            ]
        )

    def test_whatIsNearlyAUuidIsRefused(self) -> None:
        for text in (
            "",
            "0",
            "e4a5288b-95cd-4e87-b945-492a30b3852",
            "e4a5288b-95cd-4e87-b945-492a30b385280",
            "e4a5288b-95cd-4e87-b945-492a30b3852g",
            "e4a5288b-95cd-4e87-b945-492a30b3852\uff18",
            "e4a5288b-95cd-4e87-b945492a30b38528",
            "e4a5288-b95cd-4e87-b945-492a30b38528",
            "e-4-a-5-2-8-8-b-95cd4e87b945492a30b38528",
            "e4a5288b_95cd_4e87_b945_492a30b38528",
            " e4a5288b-95cd-4e87-b945-492a30b38528",
            "e4a5288b-95cd-4e87-b945-492a30b38528\\n",
            "e4a5288b95cd4e87b945492a30b3852",
            "e4a5288b95cd4e87b945492a30b385280",
            "0xe4a5288b95cd4e87b945492a30b385",
            "+e4a5288b95cd4e87b945492a30b3852",
            "{e4a5288b95cd4e87b945492a30b38528}",
            "{e4a5288b-95cd-4e87-b945-492a30b38528",
            "e4a5288b-95cd-4e87-b945-492a30b38528}",
            "{{e4a5288b-95cd-4e87-b945-492a30b38528}}",
            "(e4a5288b-95cd-4e87-b945-492a30b38528)",
            "urn:uuid:e4a5288b95cd4e87b945492a30b38528",
            "urn:uuid:{e4a5288b-95cd-4e87-b945-492a30b38528}",
            "urn:e4a5288b-95cd-4e87-b945-492a30b38528",
            "uuid:e4a5288b-95cd-4e87-b945-492a30b38528",
            "urn:uuid:urn:uuid:e4a5288b-95cd-4e87-b945-492a30b38528",
        ):
            self.assertUuidRefused(f'"{text}"')

    def test_thePrefixOfAUuidIsWrittenInLowerCase(self) -> None:
        for prefix in ("URN:UUID:", "urn:UUID:", "Urn:uuid:"):
            self.assertUuidRefused(f'"{prefix}{ID}"')

    def test_aUuidIsAJsonString(self) -> None:
        for value in (
            "0",
            str(ID.int),
            "null",
            "true",
            "[]",
            f'["{ID}"]',
            str(list(ID.bytes)),
            "{}",
            f'{{"id":"{ID}"}}',
        ):
            self.assertUuidRefused(value)

    def test_whatIsRefusedIsQuotedShortAndInAscii(self) -> None:
        for decode in DECODERS:
            for frame in (
                b"\x1b[2J\r\n\xff" * 1000,
                '{"Hello":"€😀\u2028"}'.encode() * 100,
                b'{"Hello":"%s"}' % (b"\x7f" * 200),
            ):
                text = str(self.assertRaises(MalformedMessage, decode, frame))
                self.assertTrue(text.isascii() and text.isprintable(), text)
                self.assertLess(len(text), 300)

    def test_whatIsRefusedSaysWhyAndHowItBegins(self) -> None:
        for frame, why in (
            (b"x" * 256, f"not a JSON text: '{'x' * 60}'"),
            (b"[]", "neither a name nor an object with one name: '[]'"),
            (b'{"Open":1}', """unknown message: '{"Open":1}'"""),
            (b'{"Hello":-1}', """not a port from 0 to 65535: '{"Hello":-1}'"""),
            (b'{"Challenge":1}', """not a UUID: '{"Challenge":1}'"""),
            (b'{"Error":1}', """not a text: '{"Error":1}'"""),
            (b'{"Heartbeat":1}', """this message has no value: '{"Heartbeat":1}'"""),
        ):
            self.assertEqual(str(self.assertRaises(MalformedMessage, decodeServerMessage, frame)), why)

    @UNHURRIED
    @given(st.binary(max_size=300) | JUNK)
    def test_arbitraryBytesAreAMessageOrRefused(self, frame: bytes) -> None:
        self.assertMessageOrRefused(frame)

    @UNHURRIED
    @given(JSON_TEXTS)
    def test_arbitraryJsonIsAMessageOrRefused(self, frame: bytes) -> None:
        self.assertMessageOrRefused(frame)

    @UNHURRIED
    @given(st.uuids(), TEXTS)
    def test_anythingAroundAUuidSpoilsIt(self, id: UUID, text: str) -> None:
        for spelling in uuidSpellings(id):
            for spoilt in (text + spelling, spelling + text):
                if spoilt not in uuidSpellings(id):
                    self.assertUuidRefused(json.dumps(spoilt))

    def assertUuidRefused(self, value: str) -> None:
        """This JSON text is not a UUID in any of the three messages that have one."""
        self.assertRefused([f'{{"Accept":{value}}}'.encode()], decodeClientMessage)
        self.assertRefused(
            [f'{{"{name}":{value}}}'.encode() for name in ("Challenge", "Connection")], decodeServerMessage
        )

    def assertMessageOrRefused(self, frame: bytes) -> None:
        """Either these bytes are refused, or they mean what their message means when it is written anew."""
        for decode in DECODERS:
            try:
                message = decode(frame)
            except MalformedMessage:
                continue
            self.assertEqual(decode(encode(message)[:-1]), message)
