"""The messages of the extension become frames, and frames become messages or are refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Final

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bore.wire import messages
from bore.wire.errors import FrameTooLong, MalformedMessage, UnknownMessage
from bore.wire.extension import (
    Alive,
    Extended,
    ExtendedClientMessage,
    ExtendedServerMessage,
    Goodbye,
    Open,
    Opened,
    Refused,
    Visitor,
    decodeAnswer,
    decodeClientMessage,
    decodeServerMessage,
    encode,
    isMarked,
    isToken,
    markedHello,
)
from bore.wire.messages import Heartbeat, Hello, Message
from bore.wire.token import newToken
from tests.wire.sessions import ID, MESSAGES, SOURCE
from tests.wire.strategies import (
    ANY_MESSAGES,
    EXTENDED_CLIENT_MESSAGES,
    EXTENDED_SERVER_MESSAGES,
    JSON_TEXTS,
    JUNK,
    PORTS,
    TOKENS,
    UNHURRIED,
    AnyMessage,
    frameOf,
    spelledOut,
)
from tests.wire.strategies import MESSAGES as BASE_MESSAGES

DECODERS: Final[tuple[Callable[[bytes], AnyMessage], ...]] = (decodeClientMessage, decodeServerMessage, decodeAnswer)


class EncodingTests(SynchronousTestCase):
    """Messages are written as serde would write them."""

    def test_everyMessageHasItsBytes(self) -> None:
        expected: list[tuple[ExtendedClientMessage | ExtendedServerMessage, bytes]] = [
            (Extended(1), b'{"Extended":{"version":1}}\0'),
            (Open(8000), b'{"Open":{"port":8000,"resume":null}}\0'),
            (Open(0, "_-" * 8), b'{"Open":{"port":0,"resume":"_-_-_-_-_-_-_-_-"}}\0'),
            (Opened(8000, "A" * 16, 60), b'{"Opened":{"port":8000,"resume":"AAAAAAAAAAAAAAAA","lease":60}}\0'),
            (Opened(1, None, 1 << 31), b'{"Opened":{"port":1,"resume":null,"lease":2147483648}}\0'),
            (Refused("c", 'say "no"', True), b'{"Refused":{"code":"c","message":"say \\"no\\"","retry":true}}\0'),
            (Refused("c", "\0", False), b'{"Refused":{"code":"c","message":"\\u0000","retry":false}}\0'),
            (Alive(), b'"Alive"\0'),
            (Heartbeat(), b'"Heartbeat"\0'),
            (Goodbye(), b'"Goodbye"\0'),
            (
                Visitor(ID, SOURCE),
                b'{"Visitor":{"id":"00000000-0000-4000-8000-000000000001","from":["203.0.113.9",50123]}}\0',
            ),
            (Visitor(ID, None), b'{"Visitor":{"id":"00000000-0000-4000-8000-000000000001","from":null}}\0'),
        ]
        for message, frame in expected:
            self.assertEqual(encode(message), frame)
            decode = decodeClientMessage if isinstance(message, ExtendedClientMessage) else decodeServerMessage
            self.assertEqual(decode(frame[:-1]), message)

    def test_aFrameHasUpTo4096Bytes(self) -> None:
        longest = "x" * (4096 - len('{"Refused":{"code":"","message":"","retry":true}}'))
        self.assertEqual(len(encode(Refused("", longest, True))), 4097)
        self.assertRaises(FrameTooLong, encode, Refused("", longest + "x", True))

    @UNHURRIED
    @given(EXTENDED_CLIENT_MESSAGES)
    def test_whatAClientSaysIsWhatAServerHears(self, message: ExtendedClientMessage) -> None:
        self.assertEqual(decodeClientMessage(encode(message)[:-1]), message)

    @UNHURRIED
    @given(EXTENDED_SERVER_MESSAGES)
    def test_whatAServerSaysIsWhatAClientHears(self, message: ExtendedServerMessage) -> None:
        self.assertEqual(decodeServerMessage(encode(message)[:-1]), message)

    @UNHURRIED
    @given(EXTENDED_CLIENT_MESSAGES | EXTENDED_SERVER_MESSAGES)
    def test_everyMessageIsOneFrameOfPlainJson(self, message: ExtendedClientMessage | ExtendedServerMessage) -> None:
        frame = encode(message)
        self.assertEqual(frame.find(b"\0"), len(frame) - 1)
        self.assertEqual(
            json.dumps(json.loads(frame[:-1]), ensure_ascii=False, separators=(",", ":")).encode(), frame[:-1]
        )


class UnderstandingTests(SynchronousTestCase):
    """Whatever means a message in JSON is that message, and it may have grown."""

    @UNHURRIED
    @given(EXTENDED_CLIENT_MESSAGES.flatmap(lambda message: st.tuples(st.just(message), spelledOut(message))))
    def test_aServerUnderstandsEverySpellingOfAClientsMessage(
        self, spelled: tuple[ExtendedClientMessage, bytes]
    ) -> None:
        message, frame = spelled
        self.assertEqual(decodeClientMessage(frame), message)

    @UNHURRIED
    @given(EXTENDED_SERVER_MESSAGES.flatmap(lambda message: st.tuples(st.just(message), spelledOut(message))))
    def test_aClientUnderstandsEverySpellingOfAServersMessage(
        self, spelled: tuple[ExtendedServerMessage, bytes]
    ) -> None:
        message, frame = spelled
        self.assertEqual(decodeServerMessage(frame), message)

    def test_unknownKeysAreIgnoredEvenTwice(self) -> None:
        frame = b'{"Open":{"kind":"udp","port":8000,"kind":{"a":[1]},"resume":null,"Port":1}}'
        self.assertEqual(decodeClientMessage(frame), Open(8000))
        frame = b'{"Opened":{"port":8000,"quota":{"bytes":[1]},"resume":null,"lease":60,"quota":null}}'
        self.assertEqual(decodeServerMessage(frame), Opened(8000, None, 60))

    def test_aKnownKeyTwiceIsRefused(self) -> None:
        twice: list[tuple[Callable[[bytes], object], bytes]] = [
            (decodeClientMessage, b'{"Open":{"port":1,"port":1,"resume":null}}'),
            (decodeClientMessage, b'{"Open":{"port":1,"\\u0070ort":2}}'),
            (decodeClientMessage, b'{"Open":{"port":1,"resume":null,"resume":null}}'),
            (decodeServerMessage, b'{"Extended":{"version":1,"version":2}}'),
            (decodeAnswer, b'{"Extended":{"version":1,"version":2}}'),
            (decodeServerMessage, b'{"Opened":{"port":1,"lease":1,"resume":null,"lease":1}}'),
            (decodeServerMessage, b'{"Refused":{"code":"","code":"","message":"","retry":true}}'),
            (decodeServerMessage, b'{"Visitor":{"id":"%s","from":null,"from":null}}' % str(ID).encode()),
        ]
        for decode, frame in twice:
            self.assertRaises(MalformedMessage, decode, frame)

    def test_aNullMayBeLeftOut(self) -> None:
        self.assertEqual(decodeClientMessage(b'{"Open":{"port":1}}'), Open(1))
        self.assertEqual(decodeServerMessage(b'{"Opened":{"port":1,"lease":2}}'), Opened(1, None, 2))
        self.assertEqual(decodeServerMessage(b'{"Visitor":{"id":"%s"}}' % str(ID).encode()), Visitor(ID, None))

    def test_aVisitorsAddressIsReadInItsShortestForm(self) -> None:
        frame = b'{"Visitor":{"id":"%s","from":["2001:0DB8:0000::0001",1]}}' % str(ID).encode()
        self.assertEqual(decodeServerMessage(frame), Visitor(ID, ("2001:db8::1", 1)))


class RefusingTests(SynchronousTestCase):
    """Whatever is no message of the extension is refused, and nothing else happens."""

    def assertMalformed(self, decode: Callable[[bytes], AnyMessage], name: str, *values: str) -> None:
        """The message of this name cannot have these values."""
        for value in values:
            error = self.assertRaises(MalformedMessage, decode, f'{{"{name}":{value}}}'.encode())
            self.assertNotIsInstance(error, UnknownMessage)

    def test_everySideKnowsItsOwnMessagesOnly(self) -> None:
        known = {
            decodeClientMessage: {"Open", "Alive", "Goodbye"},
            decodeServerMessage: {"Extended", "Opened", "Refused", "Visitor", "Heartbeat", "Goodbye"},
            decodeAnswer: {"Challenge", "Hello", "marked Hello", "Heartbeat", "Connection", "Error", "Extended"},
        }
        for decode, names in known.items():
            for name, frame in MESSAGES.items():
                if name in names:
                    self.assertEqual(type(decode(frame[:-1])).__name__, name.removeprefix("marked "))
                else:
                    self.assertRaises(UnknownMessage, decode, frame[:-1])

    @UNHURRIED
    @given(ANY_MESSAGES)
    def test_anAnswerIsWhatABaseServerSaysOrExtended(self, message: AnyMessage) -> None:
        frame = frameOf(message)[:-1]
        if isinstance(message, messages.ServerMessage | Extended):
            self.assertEqual(decodeAnswer(frame), message)
        else:
            self.assertRaises(UnknownMessage, decodeAnswer, frame)

    def test_whatHasNoValueIsRefusedWithOne(self) -> None:
        for value in ("0", "1", '""', "[]", "{}", "false", '"Alive"'):
            self.assertMalformed(decodeClientMessage, "Alive", value)
            for decode in (decodeClientMessage, decodeServerMessage):
                self.assertMalformed(decode, "Goodbye", value)

    def test_whatHasFieldsIsRefusedWithoutThem(self) -> None:
        for value in ("null", "0", '"8000"', "[]", "[8000,null]", '[["port",8000]]', "true"):
            self.assertMalformed(decodeClientMessage, "Open", value)
            for name in ("Extended", "Opened", "Refused", "Visitor"):
                self.assertMalformed(decodeServerMessage, name, value)

    def test_everyFieldIsLookedAt(self) -> None:
        self.assertMalformed(decodeClientMessage, "Open", "{}", '{"port":null}', '{"port":65536}', '{"resume":null}')
        self.assertMalformed(decodeClientMessage, "Open", '{"port":1,"resume":1}', '{"port":1,"resume":"short"}')
        self.assertMalformed(decodeServerMessage, "Extended", "{}", '{"version":"1"}', '{"version":-1}')
        self.assertMalformed(decodeServerMessage, "Extended", '{"version":65536}', '{"version":1.0}')
        for lease in ("null", "-1", "-0", "1.5", "true", '"60"', str((1 << 31) + 1), "1e3"):
            self.assertMalformed(decodeServerMessage, "Opened", f'{{"port":1,"resume":null,"lease":{lease}}}')
        for retry in ("null", "0", "1", '"true"', "[]"):
            self.assertMalformed(decodeServerMessage, "Refused", f'{{"code":"","message":"","retry":{retry}}}')
        self.assertMalformed(decodeServerMessage, "Refused", '{"code":1,"message":"","retry":true}')
        self.assertMalformed(decodeServerMessage, "Refused", '{"code":"","message":"\\ud800","retry":true}')
        self.assertMalformed(decodeServerMessage, "Visitor", '{"from":null}', '{"id":"1","from":null}')

    def test_aSourceIsAnAddressAndAPort(self) -> None:
        for source in (
            "[]",
            '["203.0.113.9"]',
            '["203.0.113.9",50123,0]',
            '[50123,"203.0.113.9"]',
            '["203.0.113.9","50123"]',
            '["203.0.113.9",65536]',
            '["203.0.113.9:50123",50123]',
            '["host.example",50123]',
            "[3405803785,50123]",
            '"203.0.113.9"',
            '{"host":"203.0.113.9","port":50123}',
            "false",
        ):
            self.assertMalformed(decodeServerMessage, "Visitor", f'{{"id":"{ID}","from":{source}}}')

    @UNHURRIED
    @given(st.binary(max_size=300) | JUNK | JSON_TEXTS)
    def test_arbitraryBytesAreAMessageOrRefused(self, frame: bytes) -> None:
        for decode in DECODERS:
            try:
                message = decode(frame)
            except MalformedMessage:
                continue
            self.assertEqual(decode(frameOf(message)[:-1]), message)


class TokenTests(SynchronousTestCase):
    """A token is 16 to 64 letters, digits, underscores and dashes."""

    @UNHURRIED
    @given(TOKENS)
    def test_aTokenIsKnownByItsForm(self, token: str) -> None:
        self.assertTrue(isToken(token))

    def test_ourTokensAreTokens(self) -> None:
        self.assertTrue(isToken(newToken()))

    def test_whatIsShorterOrLongerOrHasOtherCharactersIsNone(self) -> None:
        for text in ("", "x" * 15, "x" * 65, "x" * 31 + "\n", " " + "x" * 31, "x" * 31 + "é", "\uff11" * 32, "+/" * 16):
            self.assertFalse(isToken(text), text)


class MarkTests(SynchronousTestCase):
    """A client that knows the extension says so in a way that an original server never notices."""

    def test_theMarkIsOneSpaceBehindHello(self) -> None:
        self.assertEqual(markedHello(8000), b'{"Hello":8000} \0')

    @UNHURRIED
    @given(PORTS)
    def test_anOriginalServerTakesAMarkedHelloForAnyHello(self, port: int) -> None:
        self.assertEqual(messages.decodeClientMessage(markedHello(port)[:-1]), Hello(port))
        self.assertTrue(isMarked(markedHello(port)[:-1]))

    @UNHURRIED
    @given(BASE_MESSAGES)
    def test_whatAnOriginalPeerWritesHasNoMark(self, message: Message) -> None:
        self.assertFalse(isMarked(messages.encode(message)[:-1]))

    def test_otherWhiteSpaceIsNoMark(self) -> None:
        for frame in (b' { "Hello" : 20006 }\n', b'{"Hello":1 }', b' {"Hello":1}', b'{"Hello":1} \n', b'{"Hello":1}\t'):
            self.assertEqual(type(messages.decodeClientMessage(frame)), Hello)
            self.assertFalse(isMarked(frame))
