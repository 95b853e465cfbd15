"""The messages between the supervisor and a worker."""

from __future__ import annotations

import json
from typing import get_args

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bore.wire.errors import FrameTooLong, MalformedMessage, UnknownMessage, WireError
from bore.wire.publicaddress import OtherKind, UnixPath
from bore.wire.workermessages import (
    MAX_PART,
    MAX_WORKER_FRAME,
    Bye,
    ChannelMessage,
    Claim,
    Connection,
    Expired,
    Granted,
    Load,
    Reported,
    SupervisorMessage,
    Waiting,
    WorkerMessage,
    decodeSupervisorMessage,
    decodeWorkerMessage,
    descriptorsOf,
    encode,
)
from tests.wire.strategies import JUNK, UNHURRIED
from tests.wire.workers import EXAMPLES, SUPERVISOR_MESSAGES, WORKER_MESSAGES


class Vocabulary(SynchronousTestCase):
    @UNHURRIED
    @given(WORKER_MESSAGES)
    def test_whatAWorkerSendsIsRead(self, message: WorkerMessage) -> None:
        self.assertEqual(decodeWorkerMessage(encode(message)), message)

    @UNHURRIED
    @given(SUPERVISOR_MESSAGES)
    def test_whatASupervisorSendsIsRead(self, message: SupervisorMessage) -> None:
        self.assertEqual(decodeSupervisorMessage(encode(message)), message)

    @UNHURRIED
    @given(WORKER_MESSAGES | SUPERVISOR_MESSAGES)
    def test_aFrameHasNoNul(self, message: ChannelMessage) -> None:
        self.assertNotIn(b"\0", encode(message))

    @UNHURRIED
    @given(JUNK)
    def test_junkIsAnErrorOfTheProtocol(self, frame: bytes) -> None:
        for decode in decodeWorkerMessage, decodeSupervisorMessage:
            try:
                decode(frame)
            except WireError as e:
                self.assertIsInstance(e, MalformedMessage)

    @UNHURRIED
    @given(
        st.sampled_from(EXAMPLES), st.dictionaries(st.text("xyz", min_size=1), st.none() | st.integers(), max_size=3)
    )
    def test_unknownKeysAreIgnored(self, message: ChannelMessage, more: dict[str, int | None]) -> None:
        """The next version may send them."""
        ((name, content),) = json.loads(encode(message)).items()
        frame = json.dumps({name: {**more, **content}}).encode()
        decode = decodeWorkerMessage if isinstance(message, WorkerMessage) else decodeSupervisorMessage
        self.assertEqual(decode(frame), message)

    def test_thereIsAnExampleOfEachMessage(self) -> None:
        kinds = {*get_args(WorkerMessage), *get_args(SupervisorMessage)}
        self.assertEqual({type(each) for each in EXAMPLES}, kinds)
        self.assertEqual(len(EXAMPLES), len(kinds))

    def test_unknownMessagesAreToldFromMalformedOnes(self) -> None:
        for decode in decodeWorkerMessage, decodeSupervisorMessage:
            self.assertRaises(UnknownMessage, decode, b'{"Sing":{"song":1}}')
            self.assertRaises(UnknownMessage, decode, b'"Sing"')
            error = self.assertRaises(MalformedMessage, decode, b'{"Waiting":{"id":1}}')
            self.assertNotIsInstance(error, UnknownMessage)

    def test_eachSideHasItsOwnMessages(self) -> None:
        self.assertRaises(UnknownMessage, decodeWorkerMessage, encode(Expired(8000, 1)))
        self.assertRaises(UnknownMessage, decodeSupervisorMessage, encode(Bye()))

    def test_publicAddressesOfAllKindsStayApart(self) -> None:
        """The kind of an address that a client asks for may look like the path of a socket."""
        for address in 8000, UnixPath("/run/bore/a.sock"), OtherKind("udp"), OtherKind("/run/bore/a.sock"):
            claim = Claim(1, address, None, "", "unix", True, None)
            self.assertEqual(decodeWorkerMessage(encode(claim)), claim)

    def test_numbersThatMeanNothingAreRefused(self) -> None:
        for cpu in "true", '"1"', "-1", "NaN", "Infinity", "null":
            frame = f'{{"Load":{{"sessions":0,"visitors":0,"cpu":{cpu}}}}}'
            self.assertRaises(MalformedMessage, decodeWorkerMessage, frame.encode())

    def test_peersThatAreNoAddressesAreRefused(self) -> None:
        for peer in (
            '"192.0.2.1"',
            '["192.0.2.1"]',
            '["example.com",1]',
            '["192.0.2.1",70000]',
            '["::1",1,0,0,0]',
            "null",
        ):
            frame = f'{{"Connection":{{"encrypted":false,"peer":{peer},"early":""}}}}'
            self.assertRaises(MalformedMessage, decodeSupervisorMessage, frame.encode())

    def test_aPeerOfAUnixSocketHasNoAddress(self) -> None:
        frame = encode(Waiting(1, ("/run/visitor.sock",), b"", 0.0))
        self.assertEqual(decodeWorkerMessage(frame), Waiting(1, (), b"", 0.0))

    def test_orTheOneThatAProxyHasAnnouncedWhichHasThreeParts(self) -> None:
        message = Connection(False, ("192.0.2.1", 5, 0), b"", None)
        self.assertEqual(decodeSupervisorMessage(encode(message)), message)

    def test_addressesOfOneInterfaceHaveTheirScope(self) -> None:
        message = Connection(False, ("fe80::1%eth0", 5, 0, 2), b"", None)
        self.assertEqual(decodeSupervisorMessage(encode(message)), message)

    def test_mappedAddressesStayAsTheKernelWritesThem(self) -> None:
        """Python versions differ in how they write them."""
        message = Connection(False, ("::ffff:192.0.2.1", 5, 0, 0), b"", None)
        self.assertEqual(decodeSupervisorMessage(encode(message)), message)

    def test_bytesThatAreNotBase64AreRefused(self) -> None:
        frame = b'{"Reported":{"id":1,"part":"%s","last":true}}'
        self.assertEqual(decodeWorkerMessage(frame % b"eA=="), Reported(1, b"x", True))
        for part in b"e", b"e=", b"\\u00e9", b"eA==!":
            self.assertRaises(MalformedMessage, decodeWorkerMessage, frame % part)


class Bounds(SynchronousTestCase):
    def test_whatHasAlreadyBeenReadOfAVisitorFits(self) -> None:
        self.assertLess(len(encode(Waiting(1 << 53, ("2001:db8::1", 65535, 0, 0), b"x" * (1 << 16), 9.5))), 1 << 17)

    def test_aPartOfAReportFits(self) -> None:
        self.assertLess(len(encode(Reported(1 << 53, b"x" * MAX_PART, False))), MAX_WORKER_FRAME)

    def test_moreThanAFrameIsNotWritten(self) -> None:
        self.assertRaises(FrameTooLong, encode, Reported(1, b"x" * MAX_WORKER_FRAME, False))


class DescriptorsOfMessages(SynchronousTestCase):
    def test_messagesThatMoveASocketHaveOne(self) -> None:
        having = {type(each).__name__ for each in EXAMPLES if descriptorsOf(each)}
        self.assertEqual(having, {"Welcome", "Connection", "Waiting", "Late", "HandOn", "BaseSession", "Granted"})
        self.assertEqual({descriptorsOf(each) for each in EXAMPLES}, {0, 1})

    def test_aTunnelThatTheWorkerHasNeedsNone(self) -> None:
        self.assertEqual(descriptorsOf(Granted(1, 8000, "", "0123456789abcdef", 1, True, False)), 0)

    def test_theLoadOfAWorkerHasNone(self) -> None:
        self.assertEqual(descriptorsOf(Load(0, 0, 0.0)), 0)
