"""Everything that is not a message of the extension is refused, and nothing else happens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bore.wire import messages
from bore.wire.binding import BindingChallenge
from bore.wire.errors import MalformedMessage, UnknownMessage
from bore.wire.extension import (
    Extended,
    Lane,
    Nodes,
    decodeAnswer,
    decodeClientMessage,
    decodeRequest,
    decodeServerMessage,
)
from tests.wire.bindings import challengeFrame
from tests.wire.sessions import ID, KEY, MESSAGES
from tests.wire.strategies import (
    ANY_MESSAGES,
    JSON_TEXTS,
    JUNK,
    UNHURRIED,
    AnyMessage,
    frameOf,
)

DECODERS: Final[tuple[Callable[[bytes], AnyMessage | BindingChallenge], ...]] = (
    decodeClientMessage,
    decodeServerMessage,
    decodeAnswer,
    decodeRequest,
)


class RefusingTests(SynchronousTestCase):
    """Every side takes its own messages, with values that they can have."""

    def assertMalformed(
        self, decode: Callable[[bytes], AnyMessage | BindingChallenge], name: str, *values: str
    ) -> None:
        """The message of this name cannot have these values."""
        for value in values:
            error = self.assertRaises(MalformedMessage, decode, f'{{"{name}":{value}}}'.encode())
            self.assertNotIsInstance(error, UnknownMessage)

    def test_everySideKnowsItsOwnMessagesOnly(self) -> None:
        known = {
            decodeClientMessage: {"Rules", "Open", "Close", "Alive", "Goodbye"},
            decodeServerMessage: {
                *("Extended", "Opened", "Refused", "Closed", "Visitor", "Heartbeat"),
                *("Moved", "NextKey", "Nodes", "Goodbye"),
            },
            decodeAnswer: {
                *("Challenge", "BindingChallenge", "Hello", "marked Hello"),
                *("Heartbeat", "Connection", "Error", "Extended"),
            },
            decodeRequest: {"Authenticate", "Hello", "marked Hello", "Accept", "Lane"},
        }
        for decode, names in known.items():
            for name, frame in MESSAGES.items():
                if name in names:
                    self.assertEqual(
                        type(decode(frame[:-1])).__name__.removeprefix("Marked"), name.removeprefix("marked ")
                    )
                else:
                    self.assertRaises(UnknownMessage, decode, frame[:-1])

    @UNHURRIED
    @given(ANY_MESSAGES)
    def test_anAnswerIsWhatABaseServerSendsOrExtended(self, message: AnyMessage) -> None:
        frame = frameOf(message)[:-1]
        if isinstance(message, messages.ServerMessage | Extended):
            self.assertEqual(decodeAnswer(frame), message)
        else:
            self.assertRaises(UnknownMessage, decodeAnswer, frame)

    @UNHURRIED
    @given(ANY_MESSAGES)
    def test_aRequestIsWhatABaseClientSendsOrLane(self, message: AnyMessage) -> None:
        frame = frameOf(message)[:-1]
        if isinstance(message, messages.ClientMessage | Lane):
            self.assertEqual(decodeRequest(frame), message)
        else:
            self.assertRaises(UnknownMessage, decodeRequest, frame)

    def test_whatHasNoValueIsRefusedWithOne(self) -> None:
        for value in ("0", "1", '""', "[]", "{}", "false", '"Alive"'):
            self.assertMalformed(decodeClientMessage, "Alive", value)
            for decode in (decodeClientMessage, decodeServerMessage):
                self.assertMalformed(decode, "Goodbye", value)

    def test_aUserOfExtendedHasAName(self) -> None:
        for user in ('""', "1", '"a b"', '"\\u00e9"', f'"{"a" * 65}"', "[]", "true"):
            self.assertMalformed(decodeServerMessage, "Extended", f'{{"version":1,"user":{user}}}')
        self.assertMalformed(decodeServerMessage, "Extended", '{"version":1,"user":"alice","rights":1}')
        self.assertEqual(decodeServerMessage(b'{"Extended":{"version":1,"user":"a"}}'), Extended(1, user="a"))

    def test_aKeyIsAFingerprint(self) -> None:
        for value in ("null", "0", '""', '"authority"', f'"{KEY[7:]}"', f'"{KEY[:-1]}"', f'["{KEY}"]', f'"{KEY}="'):
            self.assertMalformed(decodeServerMessage, "NextKey", value)

    def test_nodesAreAShortListOfAddresses(self) -> None:
        most = ",".join(['"tls://a"'] * 64)
        self.assertEqual(decodeServerMessage(f'{{"Nodes":[{most}]}}'.encode()), Nodes(("tls://a",) * 64))
        for value in ("null", "{}", '{"a":"b"}', '"tls://a"', '[""]', "[1]", '[["tls://a"]]', f'["a",{most}]'):
            self.assertMalformed(decodeServerMessage, "Nodes", value)
        self.assertMalformed(decodeServerMessage, "Nodes", f'["{"a" * 266}"]', '["\\ud800"]')
        for here in ('""', "1", "[]", f'"{"a" * 266}"'):
            self.assertMalformed(decodeServerMessage, "Extended", f'{{"version":1,"here":{here}}}')

    def test_whatHasFieldsIsRefusedWithoutThem(self) -> None:
        for value in ("null", "0", '"8000"', "[]", "[8000,null]", '[["port",8000]]', "true"):
            self.assertMalformed(decodeClientMessage, "Open", value)
            self.assertMalformed(decodeClientMessage, "Rules", value)
            self.assertMalformed(decodeClientMessage, "Close", value)
            for name in ("Extended", "Opened", "Refused", "Closed", "Visitor", "Moved"):
                self.assertMalformed(decodeServerMessage, name, value)

    def test_everyFieldIsLookedAt(self) -> None:
        self.assertMalformed(decodeClientMessage, "Open", "{}", '{"tunnel":1}', '{"tunnel":1,"port":65536}')
        self.assertMalformed(decodeClientMessage, "Open", '{"tunnel":1,"resume":null}', '{"port":1}')
        for resume in ("1", '"short"'):
            self.assertMalformed(decodeClientMessage, "Open", f'{{"tunnel":1,"port":1,"resume":{resume}}}')
            self.assertMalformed(decodeClientMessage, "Open", f'{{"tunnel":1,"port":1,"key":{resume}}}')
        for number in ("null", "0", "-1", "1.5", "true", '"1"', str((1 << 31) + 1)):
            self.assertMalformed(decodeClientMessage, "Open", f'{{"tunnel":{number},"port":1}}')
            self.assertMalformed(decodeClientMessage, "Close", f'{{"tunnel":{number}}}')
            self.assertMalformed(decodeServerMessage, "Closed", f'{{"tunnel":{number}}}')
            self.assertMalformed(decodeServerMessage, "Visitor", f'{{"tunnel":{number},"id":"{ID}"}}')
            self.assertMalformed(decodeServerMessage, "Opened", f'{{"tunnel":{number},"port":1,"lease":1}}')
        for seconds in ("0", "-1", "true", '"1"', "[]", "NaN", "Infinity", "1e99"):
            for key in ("heartbeat", "idleHeartbeat"):
                self.assertMalformed(decodeServerMessage, "Extended", f'{{"version":1,"{key}":{seconds}}}')
        self.assertMalformed(decodeServerMessage, "Extended", '{"version":1,"maxLanes":-1}')
        self.assertMalformed(decodeServerMessage, "Closed", '{"tunnel":1,"code":"c"}', '{"tunnel":1,"code":1}')
        self.assertMalformed(
            decodeClientMessage, "Rules", "{}", '{"allow":[]}', '{"allow":{}}', '{"deny":{"a":"::/0"}}'
        )
        self.assertMalformed(
            decodeClientMessage, "Rules", '{"allow":[1]}', '{"deny":["192.0.2.1/24"]}', '{"deny":"::"}'
        )
        self.assertMalformed(decodeServerMessage, "Extended", "{}", '{"version":"1"}', '{"version":-1}')
        self.assertMalformed(decodeServerMessage, "Extended", '{"version":65536}', '{"version":1.0}')
        for lease in ("null", "-1", "-0", "1.5", "true", '"60"', str((1 << 31) + 1), "1e3"):
            self.assertMalformed(decodeServerMessage, "Opened", f'{{"tunnel":1,"port":1,"lease":{lease}}}')
        for token in (
            "1",
            '""',
            '"short"',
            '["' + "x" * 32 + '"]',
            "false",
            '"' + "x" * 65 + '"',
            '"' + "+" * 32 + '"',
        ):
            self.assertMalformed(decodeServerMessage, "Opened", f'{{"tunnel":1,"port":1,"lease":1,"resume":{token}}}')
            self.assertMalformed(decodeServerMessage, "Extended", f'{{"version":1,"lane":{token}}}')
            self.assertMalformed(decodeRequest, "Lane", token, f'{{"token":{token}}}')
        self.assertMalformed(decodeRequest, "Lane", "null", "{}", '{"token":"' + "x" * 32 + '"}')
        for retry in ("null", "0", "1", '"true"', "[]"):
            self.assertMalformed(decodeServerMessage, "Refused", f'{{"code":"","message":"","retry":{retry}}}')
            self.assertMalformed(
                decodeServerMessage, "Closed", f'{{"tunnel":1,"code":"","message":"","retry":{retry}}}'
            )
        self.assertMalformed(decodeServerMessage, "Refused", '{"code":1,"message":"","retry":true}')
        for ports in ("7", "[]", "[1]", "[1,2,3]", '["1",2]', "[3,2]", "[1,65536]", "[-1,2]", "[1.5,2]", "[true,2]"):
            refused = f'{{"code":"","message":"","retry":true,"range":{ports}}}'
            self.assertMalformed(decodeServerMessage, "Refused", refused)
        self.assertMalformed(decodeServerMessage, "Refused", '{"code":"","message":"\\ud800","retry":true}')
        self.assertMalformed(decodeServerMessage, "Visitor", '{"tunnel":1,"from":null}', '{"tunnel":1,"id":"1"}')

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
            self.assertMalformed(decodeServerMessage, "Visitor", f'{{"tunnel":1,"id":"{ID}","from":{source}}}')

    @UNHURRIED
    @given(st.binary(max_size=300) | JUNK | JSON_TEXTS)
    def test_arbitraryBytesAreAMessageOrRefused(self, frame: bytes) -> None:
        for decode in DECODERS:
            try:
                message = decode(frame)
            except MalformedMessage:
                continue
            match message:
                case BindingChallenge(nonce):
                    again = challengeFrame(bytes.fromhex(nonce))
                case _:
                    again = frameOf(message)
            self.assertEqual(decode(again[:-1]), message)
