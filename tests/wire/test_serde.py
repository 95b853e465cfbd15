"""How values are written and read, at the edges."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address
from typing import Final
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bore.wire import serde
from bore.wire.errors import MalformedMessage, UnknownMessage
from tests.wire.strategies import ADDRESSES, JSON_TEXTS, JUNK, TEXTS, UNHURRIED, UUIDS, spellings, uuidSpellings

#: One value of every kind that JSON has, as it comes out of a frame.
KINDS: Final[dict[str, object]] = {
    "null": None,
    "true": True,
    "false": False,
    "number": 1,
    "fraction": 1.0,
    "text": "1",
    "list": [1],
}


class DecodeTests(SynchronousTestCase):
    """A frame is a name, or an object with one name; a vocabulary defines which values are valid."""

    def read(self, frame: bytes) -> object:
        """What a vocabulary of one name, which takes anything, makes of this frame."""
        return serde.decode({"Name": lambda content: ("read", content)}, frame)

    def test_aNameAloneHasNoneAsItsValue(self) -> None:
        self.assertEqual(self.read(b'"Name"'), ("read", None))
        self.assertEqual(self.read(b'{"Name":null}'), ("read", None))

    def test_aNameWithAValueHasThatValue(self) -> None:
        self.assertEqual(self.read(b' {"Name" : ["a", 1, true] }\n'), ("read", ["a", 1, True]))

    def test_aNameThatTheVocabularyLacksIsUnknown(self) -> None:
        for frame in (b'"name"', b'{"Nam":1}', b'""', b'{"\\ud800":1}', b'{"read":1}'):
            self.assertRaises(UnknownMessage, self.read, frame)

    def test_whatHasNotOneNameIsMalformedAndNotUnknown(self) -> None:
        for frame in (b"", b"x", b"1", b"null", b"[]", b'["Name"]', b"{}", b'{"a":1,"b":2}', b'{"Name":1,"Name":1}'):
            self.assertNotIsInstance(self.assertRaises(MalformedMessage, self.read, frame), UnknownMessage)

    def test_whatAReaderRefusesIsMalformedAndSaysWhy(self) -> None:
        error = self.assertRaises(MalformedMessage, serde.decode, {"Name": serde.port}, b'{"Name":-1}')
        self.assertNotIsInstance(error, UnknownMessage)
        self.assertEqual(str(error), """not a port from 0 to 65535: '{"Name":-1}'""")

    def test_minusZeroIsAFractionAndDeepDownToo(self) -> None:
        for frame in (b'{"Name":-0}', b'{"Name":[-0]}', b'{"Name":{"port":-0}}'):
            self.assertIn("-0.0", str(self.read(frame)))

    @UNHURRIED
    @given(JUNK | JSON_TEXTS)
    def test_arbitraryBytesAreReadOrMalformed(self, frame: bytes) -> None:
        try:
            self.read(frame)
        except MalformedMessage as e:
            self.assertTrue(str(e).isascii() and str(e).isprintable(), e)

    @UNHURRIED
    @given(st.text(st.characters(codec="utf-8")))
    def test_aQuotedTextIsReadBack(self, text: str) -> None:
        quoted = serde.quote(text)
        self.assertEqual(self.read(f'{{"Name":{quoted}}}'.encode()), ("read", text))
        self.assertNotIn("\0", quoted)


class ReaderTests(SynchronousTestCase):
    """What a value may be."""

    def assertTakes(self, reader: Callable[[object], object], *kinds: str) -> None:
        """A reader takes values of these kinds, and no others."""
        for kind, value in KINDS.items():
            if kind not in kinds:
                self.assertRaises(serde.BadContent, reader, value)
            else:
                self.assertEqual(reader(value), value)

    def test_everyReaderTakesItsOwnKindOnly(self) -> None:
        self.assertTakes(serde.nothing, "null")
        self.assertTakes(serde.port, "number")
        self.assertTakes(serde.boolean, "true", "false")
        self.assertTakes(serde.text, "text")
        self.assertTakes(serde.uuid)
        self.assertTakes(serde.ipAddress)
        self.assertTakes(lambda value: serde.fields(value, "a"))

    def test_aPortIsANumberFrom0To65535(self) -> None:
        for port in (0, 1, 8000, 65535):
            self.assertEqual(serde.port(port), port)
        for value in (-1, 65536, 1 << 64, float("nan"), float("inf"), -0.0):
            self.assertRaises(serde.BadContent, serde.port, value)

    def test_aNumberHasAHighestValueAndAComplaint(self) -> None:
        self.assertEqual((serde.integer(0, 3, "no"), serde.integer(3, 3, "no")), (0, 3))
        for value in (-1, 4, True, 1.0, None):
            self.assertEqual(str(self.assertRaises(serde.BadContent, serde.integer, value, 3, "no")), "no")

    def test_aTextIsWhatUtf8CanWrite(self) -> None:
        for text in ("", "\0", "é😀", "\x1b", "\uffff", "x" * 5000):
            self.assertEqual(serde.text(text), text)
        for half in ("\ud800", "a\udfff", "\ude00\ud83d"):
            self.assertRaises(serde.BadContent, serde.text, half)

    @UNHURRIED
    @given(UUIDS)
    def test_aUuidIsReadInAllItsForms(self, id: UUID) -> None:
        for spelling in uuidSpellings(id):
            self.assertEqual(serde.uuid(spelling), id)

    @UNHURRIED
    @given(UUIDS.flatmap(lambda id: st.sampled_from(uuidSpellings(id))), st.integers(0, 44), st.text(max_size=2))
    def test_aDamagedUuidIsNone(self, spelling: str, at: int, instead: str) -> None:
        damaged = spelling[:at] + instead + spelling[at + 1 :]
        try:
            read = serde.uuid(damaged)
        except serde.BadContent:
            return
        self.assertIn(damaged.lower(), [form.lower() for form in uuidSpellings(read)])


class AddressTests(SynchronousTestCase):
    """An IP address is read, and written in its shortest form."""

    @UNHURRIED
    @given(ADDRESSES)
    def test_anAddressIsReadInItsShortestForm(self, address: str) -> None:
        self.assertEqual(serde.ipAddress(address), address)

    @UNHURRIED
    @given(st.ip_addresses())
    def test_aLongFormIsShortened(self, address: IPv4Address | IPv6Address) -> None:
        for form in (address.exploded, address.exploded.upper()):
            self.assertEqual(serde.ipAddress(form), str(address))

    def test_whatIsNearlyAnAddressIsNone(self) -> None:
        for text in (
            "",
            "localhost",
            "host.example",
            "1.2.3",
            "1.2.3.4.5",
            "1.2.3.256",
            "01.2.3.4",
            "1.2.3.4/32",
            "1.2.3.4:80",
            "1.2.3.4%eth0",
            " 1.2.3.4",
            "1.2.3.4\n",
            "\u0661.2.3.4",
            "0x7f000001",
            "2130706433",
            ":",
            ":::",
            "::1::",
            "[::1]",
            "::1/128",
            "::g",
            "1:2:3:4:5:6:7",
            "1:2:3:4:5:6:7:8:9",
            "12345::",
            "fe80::1%",
            "fe80::1%eth0",
            "fe80::1%eth0%1",
        ):
            self.assertRaises(serde.BadContent, serde.ipAddress, text)

    def test_aPackedAddressIsNone(self) -> None:
        for value in (2130706433, b"\x7f\0\0\1", [127, 0, 0, 1]):
            self.assertRaises(serde.BadContent, serde.ipAddress, value)


class FieldsTests(SynchronousTestCase):
    """An object is read by the keys that are asked for."""

    def read(self, value: str) -> list[object]:
        """The fields a and b of this value of a message."""
        return serde.decode({"Name": lambda content: serde.fields(content, "a", "b")}, f'{{"Name":{value}}}'.encode())

    def test_fieldsComeInTheOrderAskedFor(self) -> None:
        for value in ('{"a":1,"b":2}', '{"b":2,"a":1}', '{"\\u0062":2,"\\u0061":1}'):
            self.assertEqual(self.read(value), [1, 2])

    def test_aMissingFieldIsNone(self) -> None:
        self.assertEqual(self.read("{}"), [None, None])
        self.assertEqual(self.read('{"b":2}'), [None, 2])

    def test_otherFieldsAreIgnoredHoweverOftenTheyAreThere(self) -> None:
        self.assertEqual(self.read('{"c":1,"a":1,"A":3,"c":{"a":4},"":5,"b":2}'), [1, 2])

    def test_aFieldTwiceIsRefusedEvenWithTheSameValue(self) -> None:
        for value in ('{"a":1,"a":1}', '{"a":null,"a":null}', '{"b":1,"c":1,"\\u0062":2}'):
            self.assertIn("is there twice", str(self.assertRaises(MalformedMessage, self.read, value)))

    def test_onlyAnObjectHasFields(self) -> None:
        for value in ("null", "1", '"a"', '["a"]', '[["a",1],["b",2]]', "true"):
            self.assertRaises(MalformedMessage, self.read, value)

    @UNHURRIED
    @given(st.dictionaries(st.sampled_from("abcdé"), TEXTS), st.data())
    def test_aFieldMayBeSpelledInAnyWay(self, fields: dict[str, str], data: st.DataObject) -> None:
        spelled = [f"{data.draw(spellings(name))}:{data.draw(spellings(value))}" for name, value in fields.items()]
        self.assertEqual(self.read("{" + ",".join(spelled) + "}"), [fields.get("a"), fields.get("b")])
