"""Messages become frames, and frames become messages or are refused."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import FrozenInstanceError, fields
from typing import Final
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bore.wire.errors import FrameTooLong, MalformedMessage
from bore.wire.messages import (
    Accept,
    Authenticate,
    Challenge,
    ClientMessage,
    Connection,
    Error,
    Heartbeat,
    Hello,
    Message,
    ServerMessage,
    decodeServerMessage,
    encode,
)
from tests.wire.strategies import (
    CLIENT_MESSAGES,
    MESSAGES,
    SERVER_MESSAGES,
    UNHURRIED,
    decodeClientMessage,
    spelledOut,
)

ID: Final = UUID("e4a5288b-95cd-4e87-b945-492a30b38528")
PROOF: Final = "2689b476701a21e26f25bdd038fddf59e59eb32616f1442ee206043efc9ee518"

DECODERS: Final[tuple[Callable[[bytes], Message], ...]] = (decodeClientMessage, decodeServerMessage)


class MessageTestCase(SynchronousTestCase):
    """What the tests of messages have in common."""

    def assertRefused(self, frames: Iterable[bytes], *decoders: Callable[[bytes], Message]) -> None:
        """None of these frames is a message for these decoders, by default for neither side."""
        for frame in frames:
            for decode in decoders or DECODERS:
                try:
                    message = decode(frame)
                except MalformedMessage:
                    continue
                self.fail(f"{decode.__name__} takes {frame[:100]!r} for {message}")

    def assertUnderstood(
        self, frames: Iterable[bytes], message: Message, *decoders: Callable[[bytes], Message]
    ) -> None:
        """Each of these frames means this message."""
        for frame in frames:
            for decode in decoders:
                self.assertEqual(decode(frame), message, f"{decode.__name__} of {frame!r}")


class EncodingTests(MessageTestCase):
    """Messages are written byte for byte as the original writes them."""

    def test_everyMessageHasTheBytesOfTheOriginal(self) -> None:
        expected: list[tuple[Message, bytes]] = [
            (Challenge(ID), b'{"Challenge":"e4a5288b-95cd-4e87-b945-492a30b38528"}\0'),
            (Authenticate(PROOF), b'{"Authenticate":"' + PROOF.encode() + b'"}\0'),
            (Hello(8000), b'{"Hello":8000}\0'),
            (Heartbeat(), b'"Heartbeat"\0'),
            (Connection(ID), b'{"Connection":"e4a5288b-95cd-4e87-b945-492a30b38528"}\0'),
            (Accept(ID), b'{"Accept":"e4a5288b-95cd-4e87-b945-492a30b38528"}\0'),
            (Error("port already in use"), b'{"Error":"port already in use"}\0'),
        ]
        for message, frame in expected:
            self.assertEqual(encode(message), frame)

    def test_portsAreWrittenInDecimal(self) -> None:
        self.assertEqual(encode(Hello(0)), b'{"Hello":0}\0')
        self.assertEqual(encode(Hello(65535)), b'{"Hello":65535}\0')

    def test_textsAreEscapedAsLittleAsJsonAllows(self) -> None:
        self.assertEqual(
            encode(Error('"\\/\n\t\x00\x1f\x7fé😀')),
            b'{"Error":"\\"\\\\/\\n\\t\\u0000\\u001f\x7f\xc3\xa9\xf0\x9f\x98\x80"}\0',
        )

    def test_noFrameHasANulBeforeItsEnd(self) -> None:
        self.assertEqual(encode(Error("a\0b")).index(b"\0"), len(encode(Error("a\0b"))) - 1)

    def test_aTextThatFitsNoFrameIsNotWritten(self) -> None:
        longest = "x" * (256 - len('{"Error":""}'))
        self.assertEqual(len(encode(Error(longest))), 257)
        self.assertRaises(FrameTooLong, encode, Error(longest + "x"))
        self.assertRaises(FrameTooLong, encode, Authenticate("x" * 257))

    @UNHURRIED
    @given(CLIENT_MESSAGES)
    def test_whatAClientSendsIsWhatAServerReceives(self, message: ClientMessage) -> None:
        self.assertEqual(decodeClientMessage(encode(message)[:-1]), message)

    @UNHURRIED
    @given(SERVER_MESSAGES)
    def test_whatAServerSendsIsWhatAClientReceives(self, message: ServerMessage) -> None:
        self.assertEqual(decodeServerMessage(encode(message)[:-1]), message)

    @UNHURRIED
    @given(MESSAGES)
    def test_everyMessageIsOneFrameOfPlainJson(self, message: Message) -> None:
        frame = encode(message)
        self.assertEqual(frame.find(b"\0"), len(frame) - 1)
        self.assertEqual(
            json.dumps(json.loads(frame[:-1]), ensure_ascii=False, separators=(",", ":")).encode(), frame[:-1]
        )

    def test_messagesDoNotChangeAndMayBeKeptInSets(self) -> None:
        sent: list[Message] = [Challenge(ID), Authenticate(""), Hello(1), Connection(ID), Accept(ID), Error("")]
        for message in sent:
            (name,) = (each.name for each in fields(message))
            self.assertRaises(FrozenInstanceError, setattr, message, name, getattr(message, name))
        self.assertEqual(len({*sent, *sent, Heartbeat(), Heartbeat()}), 7)


class UnderstandingTests(MessageTestCase):
    """Every JSON spelling of a message is that message, as for the original."""

    def test_whiteSpaceAroundTokensMeansNothing(self) -> None:
        self.assertUnderstood(
            [b' \t\r\n{ \t\r\n"Hello" \t\r\n: \t\r\n8000 \t\r\n} \t\r\n', b'{"Hello":8000} '], Hello(8000), *DECODERS
        )

    def test_onlyJsonsOwnFourAreWhiteSpace(self) -> None:
        for space in ("\x0b", "\x0c", "\xa0", "\u2003", "\u2028", "\ufeff"):
            self.assertRefused(
                text.encode() for text in (space + '{"Hello":1}', '{"Hello":1}' + space, '{"Hello":' + space + "1}")
            )

    def test_aNameAloneMayBeWrittenWithNullAsItsValue(self) -> None:
        self.assertUnderstood([b'"Heartbeat"', b'{"Heartbeat":null}'], Heartbeat(), decodeServerMessage)

    def test_namesMayBeWrittenWithEscapes(self) -> None:
        self.assertUnderstood([b'{"\\u0048ello":1}'], Hello(1), *DECODERS)
        self.assertUnderstood([b'"Heart\\u0062eat"'], Heartbeat(), decodeServerMessage)

    def test_aUuidMayBeWrittenInFourFormsAndEitherCase(self) -> None:
        for text in (
            "e4a5288b-95cd-4e87-b945-492a30b38528",
            "E4A5288B-95CD-4E87-B945-492A30B38528",
            "e4a5288B-95Cd-4e87-b945-492a30b38528",
            "e4a5288b95cd4e87b945492a30b38528",
            "urn:uuid:e4a5288b-95cd-4e87-b945-492a30b38528",
            "urn:uuid:E4A5288B-95CD-4E87-B945-492A30B38528",
            "{e4a5288b-95cd-4e87-b945-492a30b38528}",
        ):
            self.assertUnderstood([f'{{"Accept":"{text}"}}'.encode()], Accept(ID), decodeClientMessage)
            self.assertUnderstood([f'{{"Challenge":"{text}"}}'.encode()], Challenge(ID), decodeServerMessage)
            self.assertUnderstood([f'{{"Connection":"{text}"}}'.encode()], Connection(ID), decodeServerMessage)

    def test_everyPortIsUnderstood(self) -> None:
        for port in range(65536):
            self.assertEqual(decodeClientMessage(b'{"Hello":%d}' % port), Hello(port))

    def test_aPairOfSurrogateEscapesIsOneCharacter(self) -> None:
        self.assertUnderstood([b'{"Error":"\\ud83d\\ude00"}'], Error("😀"), decodeServerMessage)

    def test_aTextMayBeEmptyAndMayHoldANulAsAnEscape(self) -> None:
        self.assertUnderstood([b'{"Error":""}'], Error(""), decodeServerMessage)
        self.assertUnderstood([b'{"Error":"a\\u0000b"}'], Error("a\0b"), decodeServerMessage)

    def test_theProofIsATextThatIsNotCheckedYet(self) -> None:
        self.assertUnderstood([b'{"Authenticate":"no hex"}'], Authenticate("no hex"), decodeClientMessage)

    @UNHURRIED
    @given(CLIENT_MESSAGES.flatmap(lambda message: st.tuples(st.just(message), spelledOut(message))))
    def test_aServerUnderstandsEverySpellingOfAClientsMessage(self, spelled: tuple[ClientMessage, bytes]) -> None:
        message, frame = spelled
        self.assertEqual(decodeClientMessage(frame), message)

    @UNHURRIED
    @given(SERVER_MESSAGES.flatmap(lambda message: st.tuples(st.just(message), spelledOut(message))))
    def test_aClientUnderstandsEverySpellingOfAServersMessage(self, spelled: tuple[ServerMessage, bytes]) -> None:
        message, frame = spelled
        self.assertEqual(decodeServerMessage(frame), message)


class SidesTests(MessageTestCase):
    """A client's messages and a server's are two different sets."""

    def test_aServerRefusesWhatOnlyAServerSends(self) -> None:
        sent: list[ServerMessage] = [Challenge(ID), Heartbeat(), Connection(ID), Error("no")]
        self.assertRefused([encode(message)[:-1] for message in sent], decodeClientMessage)
        self.assertRefused([b'{"Heartbeat":null}'], decodeClientMessage)

    def test_aClientRefusesWhatOnlyAClientSends(self) -> None:
        sent: list[ClientMessage] = [Authenticate(PROOF), Accept(ID)]
        self.assertRefused([encode(message)[:-1] for message in sent], decodeServerMessage)

    def test_bothSendHello(self) -> None:
        self.assertUnderstood([b'{"Hello":1}'], Hello(1), *DECODERS)
