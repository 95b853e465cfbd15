"""The messages of the extension become frames, and frames become messages."""

from __future__ import annotations

import json
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bore.wire import messages
from bore.wire.addressrules import AddressRules, parseNetwork
from bore.wire.errors import FrameTooLong, MalformedMessage
from bore.wire.extension import (
    Alive,
    Close,
    Closed,
    Extended,
    ExtendedClientMessage,
    ExtendedServerMessage,
    Goodbye,
    Lane,
    MarkedHello,
    Moved,
    NextKey,
    Nodes,
    Open,
    Opened,
    Refused,
    Visitor,
    decodeAnswer,
    decodeClientMessage,
    decodeRequest,
    decodeServerMessage,
    encode,
    isToken,
    markedHello,
)
from bore.wire.limits import MAX_FRAME
from bore.wire.messages import Heartbeat, Hello
from bore.wire.publicaddress import OtherKind, UnixPath
from bore.wire.rulesmessage import Rules
from bore.wire.token import newToken
from tests.wire import strategies
from tests.wire.sessions import ID, KEY, SOURCE
from tests.wire.strategies import CLIENT_MESSAGES as BASE_REQUESTS
from tests.wire.strategies import (
    EXTENDED_CLIENT_MESSAGES,
    EXTENDED_SERVER_MESSAGES,
    PORTS,
    TOKENS,
    UNHURRIED,
    spelledOut,
)


class EncodingTests(SynchronousTestCase):
    """Messages are written as serde would write them."""

    def test_everyMessageHasItsBytes(self) -> None:
        expected: list[tuple[ExtendedClientMessage | ExtendedServerMessage, bytes]] = [
            (
                Extended(1, "B" * 16, 0.5, 3, 256),
                b'{"Extended":{"version":1,"lane":"BBBBBBBBBBBBBBBB","heartbeat":0.5,"idleHeartbeat":3,'
                b'"maxLanes":256}}\0',
            ),
            (
                Rules(AddressRules((parseNetwork("192.0.2.0/24"), parseNetwork("2001:db8::/32")))),
                b'{"Rules":{"allow":["192.0.2.0/24","2001:db8::/32"],"deny":[]}}\0',
            ),
            (
                Rules(AddressRules((), (parseNetwork("192.0.2.7"),))),
                b'{"Rules":{"allow":[],"deny":["192.0.2.7/32"]}}\0',
            ),
            (
                Extended(1, here="tls://a.example"),
                b'{"Extended":{"version":1,"lane":null,"maxLanes":0,"here":"tls://a.example"}}\0',
            ),
            (
                Extended(1, None, 0.5, 4, here="tls://a.example"),
                b'{"Extended":{"version":1,"lane":null,"heartbeat":0.5,"idleHeartbeat":4,"maxLanes":0,'
                b'"here":"tls://a.example"}}\0',
            ),
            (Nodes(()), b'{"Nodes":[]}\0'),
            (Nodes(("tls://b.example:7836", "tls://[::1]")), b'{"Nodes":["tls://b.example:7836","tls://[::1]"]}\0'),
            (
                Open(1, 8000, key="K" * 16),
                b'{"Open":{"tunnel":1,"port":8000,"resume":null,"key":"KKKKKKKKKKKKKKKK"}}\0',
            ),
            (Open(1, 8000), b'{"Open":{"tunnel":1,"port":8000,"resume":null}}\0'),
            (Open(1, 0, "_-" * 8), b'{"Open":{"tunnel":1,"port":0,"resume":"_-_-_-_-_-_-_-_-"}}\0'),
            (
                Open(1, UnixPath("/run/bore/web.sock")),
                b'{"Open":{"tunnel":1,"kind":"unix","path":"/run/bore/web.sock","resume":null}}\0',
            ),
            (Open(1, OtherKind("udp")), b'{"Open":{"tunnel":1,"kind":"udp","resume":null}}\0'),
            (
                Opened(1, UnixPath("/run/ä"), "A" * 16, 60),
                '{"Opened":{"tunnel":1,"kind":"unix","path":"/run/ä","resume":"AAAAAAAAAAAAAAAA","lease":60}}\0'.encode(),
            ),
            (
                Opened(1, 8000, "A" * 16, 60),
                b'{"Opened":{"tunnel":1,"port":8000,"resume":"AAAAAAAAAAAAAAAA","lease":60}}\0',
            ),
            (
                Opened(1 << 31, 1, None, 1 << 31),
                b'{"Opened":{"tunnel":2147483648,"port":1,"resume":null,"lease":2147483648}}\0',
            ),
            (Close(7), b'{"Close":{"tunnel":7}}\0'),
            (Closed(7), b'{"Closed":{"tunnel":7}}\0'),
            (
                Closed(7, "c", "why", True),
                b'{"Closed":{"tunnel":7,"code":"c","message":"why","retry":true}}\0',
            ),
            (
                Refused("c", "no", False, 7),
                b'{"Refused":{"tunnel":7,"code":"c","message":"no","retry":false}}\0',
            ),
            (
                Refused("c", "no", False, 7, (20000, 20999)),
                b'{"Refused":{"tunnel":7,"code":"c","message":"no","retry":false,"range":[20000,20999]}}\0',
            ),
            (Refused("c", 'send "no"', True), b'{"Refused":{"code":"c","message":"send \\"no\\"","retry":true}}\0'),
            (Refused("c", "\0", False), b'{"Refused":{"code":"c","message":"\\u0000","retry":false}}\0'),
            (Alive(), b'"Alive"\0'),
            (Heartbeat(), b'"Heartbeat"\0'),
            (Moved("tls://example.com"), b'{"Moved":{"to":"tls://example.com"}}\0'),
            (Moved(None), b'{"Moved":{"to":null}}\0'),
            (Moved(None, 0.05), b'{"Moved":{"to":null,"within":0.05}}\0'),
            (NextKey(KEY), b'{"NextKey":"SHA256:%s"}\0' % (b"k" * 43)),
            (Goodbye(), b'"Goodbye"\0'),
            (
                Visitor(1, ID, SOURCE),
                b'{"Visitor":{"tunnel":1,"id":"00000000-0000-4000-8000-000000000001","from":["203.0.113.9",50123]}}\0',
            ),
            (
                Visitor(1, ID, None),
                b'{"Visitor":{"tunnel":1,"id":"00000000-0000-4000-8000-000000000001","from":null}}\0',
            ),
        ]
        for message, frame in expected:
            self.assertEqual(encode(message), frame)
            decode = decodeClientMessage if isinstance(message, ExtendedClientMessage) else decodeServerMessage
            self.assertEqual(decode(frame[:-1]), message)

    def test_aLaneIsAskedForWithItsTokenInAFrameThatEveryServerCanRead(self) -> None:
        self.assertEqual(encode(Lane("B" * 16)), b'{"Lane":"BBBBBBBBBBBBBBBB"}\0')
        self.assertLessEqual(len(encode(Lane("x" * 64))), MAX_FRAME + 1)

    def test_aFrameHasUpTo4096Bytes(self) -> None:
        longest = "x" * (4096 - len('{"Refused":{"code":"","message":"","retry":true}}'))
        self.assertEqual(len(encode(Refused("", longest, True))), 4097)
        self.assertRaises(FrameTooLong, encode, Refused("", longest + "x", True))

    @UNHURRIED
    @given(EXTENDED_CLIENT_MESSAGES)
    def test_whatAClientSendsIsWhatAServerReceives(self, message: ExtendedClientMessage) -> None:
        self.assertEqual(decodeClientMessage(encode(message)[:-1]), message)

    @UNHURRIED
    @given(EXTENDED_SERVER_MESSAGES)
    def test_whatAServerSendsIsWhatAClientReceives(self, message: ExtendedServerMessage) -> None:
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
    """Every JSON spelling of a message is that message, with further keys, too."""

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

    @UNHURRIED
    @given(st.builds(Lane, TOKENS).flatmap(lambda message: st.tuples(st.just(message), spelledOut(message))))
    def test_aServerUnderstandsEverySpellingOfLane(self, spelled: tuple[Lane, bytes]) -> None:
        message, frame = spelled
        self.assertEqual(decodeRequest(frame), message)

    def test_unknownKeysAreIgnoredEvenTwice(self) -> None:
        frame = b'{"Open":{"tunnel":1,"quota":1,"port":8000,"quota":{"a":[1]},"resume":null,"Port":1}}'
        self.assertEqual(decodeClientMessage(frame), Open(1, 8000))
        frame = b'{"Opened":{"tunnel":1,"port":8000,"quota":{"bytes":[1]},"resume":null,"lease":60,"quota":null}}'
        self.assertEqual(decodeServerMessage(frame), Opened(1, 8000, None, 60))

    def test_aKnownKeyTwiceIsRefused(self) -> None:
        twice: list[tuple[Callable[[bytes], object], bytes]] = [
            (decodeClientMessage, b'{"Open":{"tunnel":1,"port":1,"port":1,"resume":null}}'),
            (decodeClientMessage, b'{"Open":{"tunnel":1,"port":1,"\\u0070ort":2}}'),
            (decodeClientMessage, b'{"Open":{"tunnel":1,"port":1,"resume":null,"resume":null}}'),
            (decodeClientMessage, b'{"Open":{"tunnel":1,"kind":"tcp","port":1,"kind":"udp"}}'),
            (decodeClientMessage, b'{"Open":{"tunnel":1,"kind":"unix","path":"/a","path":"/b"}}'),
            (decodeClientMessage, b'{"Open":{"tunnel":1,"port":1,"key":null,"key":null}}'),
            (decodeServerMessage, b'{"Extended":{"version":1,"version":2}}'),
            (decodeAnswer, b'{"Extended":{"version":1,"version":2}}'),
            (decodeServerMessage, b'{"Opened":{"tunnel":1,"port":1,"lease":1,"resume":null,"lease":1}}'),
            (decodeServerMessage, b'{"Opened":{"tunnel":1,"port":1,"lease":1,"tunnel":1}}'),
            (decodeServerMessage, b'{"Extended":{"version":1,"lane":null,"lane":null}}'),
            (decodeClientMessage, b'{"Close":{"tunnel":1,"tunnel":1}}'),
            (decodeServerMessage, b'{"Refused":{"code":"","code":"","message":"","retry":true}}'),
            (decodeServerMessage, b'{"Visitor":{"tunnel":1,"id":"%s","from":null,"from":null}}' % str(ID).encode()),
        ]
        for decode, frame in twice:
            self.assertRaises(MalformedMessage, decode, frame)

    def test_theKindOfAPortMayBeWritten(self) -> None:
        self.assertEqual(decodeClientMessage(b'{"Open":{"tunnel":1,"kind":"tcp","port":1}}'), Open(1, 1))
        self.assertEqual(decodeClientMessage(b'{"Open":{"tunnel":1,"kind":null,"port":1}}'), Open(1, 1))

    def test_aPathHasOneForm(self) -> None:
        frame = b'{"Open":{"tunnel":1,"kind":"unix","path":"//run/./bore/x/..//web.sock"}}'
        self.assertEqual(decodeClientMessage(frame), Open(1, UnixPath("/run/bore/web.sock")))

    def test_whatAKindNeedsHasToBeThere(self) -> None:
        for words in (
            b'"path":"/run/a"',
            b'"kind":"tcp","path":"/run/a"',
            b'"kind":"unix","port":1',
            b'"kind":"unix","path":null',
            b'"kind":"unix","path":"run/a"',
            b'"kind":"unix","path":"/run/a\\u0000b"',
            b'"kind":"unix","path":"/%s"' % (b"a" * 107),
            b'"kind":7,"port":1',
        ):
            self.assertRaises(MalformedMessage, decodeClientMessage, b'{"Open":{"tunnel":1,%s}}' % words)

    def test_aNullMayBeLeftOut(self) -> None:
        self.assertEqual(decodeClientMessage(b'{"Open":{"tunnel":1,"port":1}}'), Open(1, 1))
        self.assertEqual(decodeServerMessage(b'{"Opened":{"tunnel":1,"port":1,"lease":2}}'), Opened(1, 1, None, 2))
        self.assertEqual(decodeServerMessage(b'{"Extended":{"version":1}}'), Extended(1))
        self.assertEqual(decodeServerMessage(b'{"Closed":{"tunnel":7,"message":"x"}}'), Closed(7))
        self.assertEqual(
            decodeServerMessage(b'{"Visitor":{"tunnel":1,"id":"%s"}}' % str(ID).encode()), Visitor(1, ID, None)
        )

    def test_aVisitorsAddressIsReadInItsShortestForm(self) -> None:
        frame = b'{"Visitor":{"tunnel":1,"id":"%s","from":["2001:0DB8:0000::0001",1]}}' % str(ID).encode()
        self.assertEqual(decodeServerMessage(frame), Visitor(1, ID, ("2001:db8::1", 1)))


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
    """A client that knows the extension marks its Hello in a way that an original server never notices."""

    def test_theMarkIsOneSpaceBehindHello(self) -> None:
        self.assertEqual(markedHello(8000), b'{"Hello":8000} \0')
        self.assertEqual(encode(MarkedHello(8000)), markedHello(8000))

    @UNHURRIED
    @given(PORTS)
    def test_anOriginalServerTakesAMarkedHelloForAnyHello(self, port: int) -> None:
        self.assertEqual(strategies.decodeClientMessage(markedHello(port)[:-1]), Hello(port))
        self.assertEqual(decodeRequest(markedHello(port)[:-1]), MarkedHello(port))

    @UNHURRIED
    @given(BASE_REQUESTS)
    def test_whatAnOriginalPeerWritesHasNoMark(self, message: messages.ClientMessage) -> None:
        self.assertEqual(decodeRequest(messages.encode(message)[:-1]), message)

    def test_otherWhiteSpaceIsNoMark(self) -> None:
        for frame in (b' { "Hello" : 20006 }\n', b'{"Hello":1 }', b' {"Hello":1}', b'{"Hello":1} \n', b'{"Hello":1}\t'):
            self.assertIs(type(decodeRequest(frame)), Hello)
