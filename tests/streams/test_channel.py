"""The channel between two processes: frames and descriptors over a Unix socket."""
# Longer than 300 lines: what arrives, what must not, and what is left at the end are tests of one class.

from __future__ import annotations

import errno
import os
import resource
import socket
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, cast

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import DataObject
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionLost
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase

from bore.streams import channel
from bore.streams.channel import MAX_BYTES, MAX_DESCRIPTORS, Channel, Remains
from bore.streams.descriptorframes import LOST
from bore.streams.reactor import IReactor
from bore.timing.turns import Turns
from tests.fakes import FakeReactor
from tests.wire.strategies import UNHURRIED

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_LONGEST = 1 << 17


def _open() -> int:
    """How many descriptors are open."""
    return len(os.listdir("/proc/self/fd"))


def _thing() -> int:
    """A descriptor of something new."""
    return os.memfd_create("thing")


def _which(descriptor: int) -> int:
    """What a descriptor is of; LOST: nothing."""
    return LOST if descriptor == LOST else os.fstat(descriptor).st_ino


class End:
    """One end of a channel, and what it has received. The test does what the reactor would do."""

    def __init__(self, sock: socket.socket, remains: Remains | None = None) -> None:
        self.frames: list[bytes] = []
        self.things: list[list[int]] = []
        self.reasons: list[str | None] = []
        self.drained = 0
        self.reactor = FakeReactor()
        self.turns = Turns(self.reactor)
        self.channel = Channel(
            cast(IReactor, self.reactor),
            sock,
            self._received,
            self.reasons.append,
            _LONGEST,
            self._drained,
            self.turns,
            remains,
        )

    def _received(self, frame: bytes, descriptors: Sequence[int]) -> None:
        self.frames.append(frame)
        self.things.append([_which(each) for each in descriptors])
        for each in descriptors:
            if each != LOST:
                os.close(each)

    def _drained(self) -> None:
        self.drained += 1

    def read(self) -> None:
        """Read all that has come."""
        before = None
        while before != (
            before := (len(self.frames), self.channel._arriving.count, len(self.reactor.getDelayedCalls()))
        ):
            self.reactor.advance(0)
            self.readOnce()

    def readOnce(self) -> None:
        """Read, if the reactor would do so."""
        if self.channel in self.reactor.getReaders():
            self.channel.doRead()

    def write(self) -> None:
        """Write what the system takes."""
        if self.channel in self.reactor.getWriters():
            self.channel.doWrite()


class Case(SynchronousTestCase):
    """Two ends in one process."""

    def setUp(self) -> None:
        self.before = _open()
        self.pair = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self.left, self.right = End(self.pair[0]), End(self.pair[1])

    def tearDown(self) -> None:
        self.left.channel.close()
        self.right.channel.close()
        self.assertEqual(_open(), self.before, "descriptors are left open")

    def pump(self) -> None:
        """Move everything that can move."""
        for _ in range(1000):
            before = (
                len(self.right.frames),
                len(self.left.frames),
                self.right.channel._arriving.count,
                self.left.channel._arriving.count,
            )
            for end in self.left, self.right:
                end.write()
            for end in self.left, self.right:
                end.read()
            if before == (
                len(self.right.frames),
                len(self.left.frames),
                self.right.channel._arriving.count,
                self.left.channel._arriving.count,
            ):
                return
        self.fail("it does not end")


class Transfer(Case):
    def test_framesArriveInOrderWithTheirDescriptors(self) -> None:
        things = [_thing() for _ in range(4)]
        which = [_which(each) for each in things]
        self.left.channel.send(b'{"a":1}')
        self.left.channel.send(b'{"b":1}', things[:1])
        self.left.channel.send(b'{"c":1}', things[1:3])
        self.left.channel.send(b'"d"', things[3:])
        self.right.channel.send(b'{"e":1}')
        self.pump()
        self.assertEqual(self.right.frames, [b'{"a":1}', b'{"b":1}', b'{"c":1}', b'"d"'])
        self.assertEqual(self.right.things, [[], which[:1], which[1:3], which[3:]])
        self.assertEqual(self.left.frames, [b'{"e":1}'])
        self.assertEqual((self.left.reasons, self.right.reasons), ([], []))

    def test_whatIsSentInOneTurnIsOneSystemCall(self) -> None:
        for _ in range(100):
            self.left.channel.send(b"{}", [_thing()])
        self.left.write()
        data, ancillary, _, _ = self.pair[1].recvmsg(1 << 16, socket.CMSG_SPACE(1012))
        self.assertTrue(data.startswith(b"100:1{}\x001{}\0"), data[:20])
        self.assertEqual(data.count(b"\0"), 100)
        descriptors = memoryview(ancillary[0][2]).cast("i")
        self.assertEqual(len(descriptors), 100)
        for each in descriptors:
            os.close(each)

    def test_moreDescriptorsThanTheSystemTakesAtOnce(self) -> None:
        things = [_thing() for _ in range(400)]
        which = [_which(each) for each in things]
        for each in things:
            self.left.channel.send(b"{}", [each])
        self.pump()
        self.assertEqual(self.right.things, [[each] for each in which])

    def test_descriptorsThatWereSentAreClosedHere(self) -> None:
        before = _open()
        self.left.channel.send(b"{}", [_thing() for _ in range(5)])
        self.left.write()
        self.assertEqual(_open(), before)

    def test_receivedDescriptorsDoNotReachOtherPrograms(self) -> None:
        inherited: list[bool] = []

        def note(frame: bytes, descriptors: Sequence[int]) -> None:
            inherited.extend(map(os.get_inheritable, descriptors))
            self.right._received(frame, descriptors)

        self.right.channel._received = note
        self.left.channel.send(b"{}", [_thing()])
        self.pump()
        self.assertEqual(inherited, [False])

    def test_aFrameLongerThanTheSystemTakesAtOnce(self) -> None:
        frames = [b'{"%s":%d}' % (b"x" * 120_000, each) for each in range(10)]
        for each in frames:
            self.left.channel.send(each, [_thing()])
        self.pump()
        self.assertEqual(self.right.frames, frames)

    def test_theOrderHoldsWhenTheReceiverIsSlow(self) -> None:
        frames = [b'{"%s":%d}' % (b"x" * (each * 997 % 9000), each) for each in range(300)]
        which: list[list[int]] = []
        for number, each in enumerate(frames):
            things = [_thing() for _ in range(number % 3)]
            which.append([_which(thing) for thing in things])
            self.left.channel.send(each, things)
            self.left.write()
            if number % 7 == 0:
                self.right.readOnce()
        self.pump()
        self.assertTrue(self.right.frames == frames)
        self.assertEqual(self.right.things, which)

    def test_anErrorOfTheReceiverCostsOneMessage(self) -> None:
        def fail(frame: bytes, descriptors: Sequence[int]) -> None:
            self.right._received(frame, descriptors)
            raise ZeroDivisionError

        self.right.channel._received = fail
        self.left.channel.send(b'{"a":1}')
        self.left.channel.send(b'{"b":1}')
        self.pump()
        self.assertEqual(self.right.frames, [b'{"a":1}', b'{"b":1}'])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)

    @UNHURRIED
    @given(st.data())
    def test_anyCutOfAnyFrames(self, data: DataObject) -> None:
        """Whatever the sizes of reads and writes are, and however descriptors lie between the bytes."""
        pair = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        left, right = Short(pair[0], data), Short(pair[1], data)
        sender, receiver = End(left), End(right)
        try:
            self._anyCut(data, sender, receiver)
        finally:
            sender.channel.close()
            receiver.channel.close()

    def _anyCut(self, data: DataObject, sender: End, receiver: End) -> None:
        shape = data.draw(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 3)), max_size=12))
        frames, which = [], []
        for number, (size, count) in enumerate(shape):
            things = [_thing() for _ in range(count)]
            frames.append(b'{"%s":%d}' % (b"x" * size, number))
            which.append([_which(each) for each in things])
            sender.channel.send(frames[-1], things)
            if data.draw(st.booleans()):
                sender.write()
            if data.draw(st.booleans()):
                receiver.readOnce()
        while sender.channel in sender.reactor.getWriters():
            sender.write()
        receiver.read()
        self.assertEqual((receiver.frames, receiver.things, receiver.reasons), (frames, which, []))


class Short(socket.socket):
    """A socket that takes and gives less than it could."""

    def __init__(self, sock: socket.socket, data: DataObject) -> None:
        super().__init__(sock.family, sock.type, 0, sock.detach())
        self._data = data

    def send(self, data: ReadableBuffer, flags: int = 0) -> int:
        view = memoryview(data)
        return super().send(view[: self._data.draw(st.integers(1, len(view)))], flags)

    def sendmsg(
        self,
        buffers: Iterable[ReadableBuffer],
        ancillary: Iterable[tuple[int, int, ReadableBuffer]] = (),
        flags: int = 0,
        address: object = None,
    ) -> int:
        view = memoryview(b"".join(bytes(each) for each in buffers))
        return super().sendmsg([view[: self._data.draw(st.integers(1, len(view)))]], ancillary, flags)

    def recvmsg(
        self, size: int, room: int = 0, flags: int = 0
    ) -> tuple[bytes, list[tuple[int, int, bytes]], int, object]:
        return super().recvmsg(self._data.draw(st.integers(1, 30)), room, flags)


class Hostile(Case):
    """The other end breaks the rules: the channel is over, and no descriptor is left open."""

    def send(self, *parts: tuple[bytes, int]) -> str | None:
        """Send these bytes with so many descriptors each; return why the channel is over."""
        for data, count in parts:
            things = [_thing() for _ in range(count)]
            if things:
                socket.send_fds(self.pair[0], [data], things)
            else:
                self.pair[0].send(data)
            for each in things:
                os.close(each)
        self.right.read()
        self.assertEqual(len(self.right.reasons), 1, "the channel goes on")
        return self.right.reasons[0]

    def test_descriptorsThatAreMissing(self) -> None:
        self.assertEqual(self.send((b"1:1{}\0", 0)), "descriptors are missing")

    def test_descriptorsThatWereNotAnnounced(self) -> None:
        self.assertEqual(self.send((b"1{}\0", 0)), "descriptors are missing")

    def test_fewerThanAnnounced(self) -> None:
        self.assertEqual(self.send((b"3:3{}\0", 2)), "descriptors: 2 in the place of 3")

    def test_moreThanAnnounced(self) -> None:
        self.assertEqual(self.send((b"1:1{}\0", 2)), "descriptors: 2 in the place of 1")

    def test_moreThanTheFramesTake(self) -> None:
        self.assertEqual(self.send((b"2:1{}\0", 2), (b"1:1{}\0", 1)), "descriptors that no frame has taken")

    def test_descriptorsWithFramesThatHaveNone(self) -> None:
        self.assertEqual(self.send((b"{}\0", 1)), "descriptors that no frame has announced")

    def test_descriptorsWithinAFrame(self) -> None:
        self.assertEqual(self.send((b"1:1{", 1), (b'"a":', 1)), "descriptors within a frame")

    def test_descriptorsWithinAFrameBehindOthersThatWereAnnounced(self) -> None:
        self.assertEqual(self.send((b"2:1{", 2), (b"}\x001{}\0", 1)), "descriptors that no frame has announced")

    def test_aFrameWithoutAnEnd(self) -> None:
        self.left.channel.close()
        self.pair = socket.socketpair()
        self.right.channel.close()
        self.right = End(self.pair[1])
        for _ in range(3):
            self.pair[0].send(b"x" * 60_000)
            self.right.read()
        self.assertEqual(len(self.right.reasons), 1)
        self.assertIn("without an end", str(self.right.reasons[0]))
        self.pair[0].close()

    def test_junk(self) -> None:
        self.assertEqual(self.send((b"junk\0", 0)), "a frame that is not a JSON text")

    def test_framesBeforeTheBrokenOneAreProcessed(self) -> None:
        self.send((b'1:1{"a":1}\x00{"b":1}\x001{}\0', 1))
        self.assertEqual(self.right.frames, [b'{"a":1}', b'{"b":1}'])

    @UNHURRIED
    @given(
        st.lists(
            st.tuples(
                st.one_of(
                    st.binary(max_size=12),
                    st.sampled_from([b"1:1{}\0", b"{}\0", b"2:{}\0", b"1{}\0", b"2:1{", b'"x"', b"}\0", b"3:3[]\0"]),
                ),
                st.integers(0, 3),
            ),
            max_size=6,
        )
    )
    def test_anythingElse(self, parts: list[tuple[bytes, int]]) -> None:
        before = _open()
        pair = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        end = End(pair[1])
        for data, count in parts:
            if end.reasons:
                break
            things = [_thing() for _ in range(count)]
            if data:
                socket.send_fds(pair[0], [data], things)
            for each in things:
                os.close(each)
            end.read()
        pair[0].close()
        end.read()
        self.assertEqual(len(end.reasons), 1)
        self.assertEqual(_open(), before)


class Limits(Case):
    def test_descriptorsForWhichThereIsNoRoomCostTheirMessages(self) -> None:
        """The kernel delivers some of them: those of later messages are not taken for those of earlier ones."""
        things = [_thing() for _ in range(6)]
        which = [_which(each) for each in things]
        self.left.channel.send(b'{"a":1}', things[:1])
        self.left.channel.send(b'{"b":1}', things[1:3])
        self.left.channel.send(b'{"c":1}', things[3:4])
        self.left.write()
        self.left.channel.send(b'{"d":1}', things[4:5])
        self.left.write()
        self.left.channel.send(b'{"e":1}', things[5:])
        self.left.write()
        with Room(2):
            self.right.readOnce()
        self.right.read()
        self.assertEqual(len(self.right.frames), 5)
        self.assertEqual(self.right.things[:3], [which[:1], [which[1], LOST], [LOST]])
        self.assertEqual(self.right.things[4], which[5:])
        self.assertEqual(self.right.reasons, [])

    def test_withoutAnyRoomAllAreLost(self) -> None:
        self.left.channel.send(b'{"a":1}', [_thing()])
        self.left.write()
        with Room(0):
            self.right.readOnce()
        self.assertEqual((self.right.frames, self.right.things), ([b'{"a":1}'], [[LOST]]))

    def test_tooManyOnTheirWayWait(self) -> None:
        sock = Refusing(self.pair[0])
        self.left.channel._socket = sock
        self.left.channel.send(b"{}", [_thing()])
        self.left.write()
        self.assertNotIn(self.left.channel, self.left.reactor.getWriters(), "it would spin")
        self.left.channel.send(b'{"a":1}')
        self.assertNotIn(self.left.channel, self.left.reactor.getWriters())
        self.left.reactor.advance(1)
        self.pump()
        self.assertEqual(self.right.frames, [b"{}", b'{"a":1}'])

    def test_itIsFullAndDrained(self) -> None:
        frame = b'{"%s":1}' % (b"x" * 100_000)
        count = 0
        while not self.left.channel.full:
            self.left.channel.send(frame)
            count += 1
        self.assertLess(abs(count * len(frame) - MAX_BYTES), 2 * len(frame))
        self.left.write()
        self.assertEqual(self.left.drained, 0)
        self.pump()
        self.assertEqual((self.left.drained, self.left.channel.full, len(self.right.frames)), (1, False, count))

    def test_descriptorsCountToo(self) -> None:
        for _ in range(MAX_DESCRIPTORS):
            self.assertFalse(self.left.channel.full)
            self.left.channel.send(b"{}", [_thing()])
        self.assertTrue(self.left.channel.full)
        self.pump()
        self.assertEqual((self.left.drained, self.left.channel.full), (1, False))

    def test_manyDescriptorsThatCannotBeHeldBackArrive(self) -> None:
        self.patch(channel, "MAX_DESCRIPTORS", 10)
        for _ in range(100):
            self.left.channel.send(b"{}", [_thing()])
        self.assertTrue(self.left.channel.full)
        self.pump()
        self.assertEqual((self.left.reasons, len(self.right.frames)), ([], 100))

    def test_anEndThatDoesNotReadIsGivenUp(self) -> None:
        self.patch(channel, "MOST_DESCRIPTORS", 2 * MAX_DESCRIPTORS)
        while not self.left.reasons:
            self.left.channel.send(b"{}", [_thing(), _thing(), _thing()])
            self.left.write()
        self.assertEqual(self.left.reasons, ["the other end does not read"])

    def test_aBusyPeerGetsItsShareOnly(self) -> None:
        for number in range(3000):
            self.left.channel.send(b'{"a":%d}' % number)
        self.left.write()
        self.right.readOnce()
        self.assertLess(len(self.right.frames), 300, "all in one turn")
        self.assertNotIn(self.right.channel, self.right.reactor.getReaders(), "more is read meanwhile")
        self.right.reactor.advance(0)
        self.assertGreater(len(self.right.frames), 30)
        for _ in range(300):
            self.left.write()
            self.right.reactor.advance(0.001)
            self.right.read()
        self.assertEqual(self.right.frames, [b'{"a":%d}' % number for number in range(3000)])


class Room:
    """There is room for so many descriptors only."""

    def __init__(self, count: int) -> None:
        self._count = count

    def __enter__(self) -> None:
        self._limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        highest = max(map(int, os.listdir("/proc/self/fd")))
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 2 + self._count, self._limits[1]))
        self._fill: list[int] = []
        try:
            while True:
                self._fill.append(os.dup(0))
        except OSError:
            for _ in range(self._count):
                os.close(self._fill.pop())

    def __exit__(self, *error: object) -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, self._limits)
        for each in self._fill:
            os.close(each)


class Refusing(socket.socket):
    """A socket that refuses descriptors once."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock.family, sock.type, 0, sock.detach())
        self._refused = False

    def sendmsg(
        self,
        buffers: Iterable[ReadableBuffer],
        ancillary: Iterable[tuple[int, int, ReadableBuffer]] = (),
        flags: int = 0,
        address: object = None,
    ) -> int:
        if not self._refused:
            self._refused = True
            raise OSError(errno.ETOOMANYREFS, "too many references")
        return super().sendmsg(buffers, ancillary, flags)


class Ends(Case):
    def test_theOtherEndIsClosed(self) -> None:
        self.left.channel.send(b'{"a":1}', [_thing()])
        self.left.write()
        self.left.channel.close()
        self.right.read()
        self.assertEqual((self.right.frames, self.right.reasons), ([b'{"a":1}'], [None]))
        self.right.channel.close()
        self.assertEqual(self.right.reasons, [None])

    def test_theOtherEndIsClosedWithinAFrame(self) -> None:
        self.pair[0].send(b'{"a"')
        self.left.channel.close()
        self.right.read()
        self.assertEqual(self.right.reasons, ["it has ended within a frame"])

    def test_whatWasSentBeforeTheEndIsReadAlthoughNothingCanBeSent(self) -> None:
        self.left.channel.send(b'{"a":1}')
        self.left.write()
        self.left.channel.close()
        self.right.channel.send(b"{}", [_thing()])
        self.right.write()
        self.assertEqual(self.right.reasons, [])
        self.right.read()
        self.assertEqual((self.right.frames, self.right.reasons), ([b'{"a":1}'], [None]))

    def test_theReactorFindsTheEndBeforeAllIsRead(self) -> None:
        """It does so when it was asked for room to write alone, and forgets the channel then."""
        self._hangUp(3)

    def test_soItDoesWhileOthersHaveTheirTurn(self) -> None:
        self._hangUp(500)

    def _hangUp(self, count: int) -> None:
        for number in range(count):
            self.left.channel.send(b'{"a":%d}' % number)
        self.left.write()
        self.left.channel.close()
        if count > 100:
            self.right.readOnce()
            self.assertLess(len(self.right.frames), count)
        self.right.channel.send(b"{}", [_thing()])
        self.right.reactor.removeReader(self.right.channel)
        self.right.reactor.removeWriter(self.right.channel)
        self.right.channel.connectionLost(Failure(ConnectionLost()))
        for _ in range(200):
            self.right.reactor.advance(0.001)
            self.right.read()
        self.assertEqual((len(self.right.frames), self.right.reasons), (count, [None]))

    def test_whatIsSentToALostChannelIsClosed(self) -> None:
        self.left.channel.close()
        before = _open()
        self.left.channel.send(b"{}", [_thing()])
        self.assertEqual(_open(), before)

    def test_whatWaitsIsClosedWithTheChannel(self) -> None:
        before = _open()
        self.left.channel.send(b"{}", [_thing()])
        self.left.channel.close()
        self.assertEqual(_open(), before - 1, "and the socket")

    def test_closedWhileAFrameIsProcessed(self) -> None:
        self.right.channel._received = lambda frame, descriptors: self.right.channel.close()
        self.left.channel.send(b'{"a":1}')
        self.left.channel.send(b'{"b":1}')
        self.pump()
        self.assertEqual(self.right.reasons, [])

    def test_flushed(self) -> None:
        self.assertEqual(self.successResultOf(self.left.channel.flush(1)), None)
        self.left.channel.send(b"{}")
        flushed = self.left.channel.flush(1)
        self.assertNoResult(flushed)
        self.left.write()
        self.successResultOf(flushed)
        self.assertEqual(self.left.reactor.getDelayedCalls(), [])

    def test_notFlushedInTime(self) -> None:
        self._fill()
        flushed = self.left.channel.flush(1)
        self.left.write()
        self.assertNoResult(flushed)
        self.left.reactor.advance(1)
        self.successResultOf(flushed)

    def test_flushedByTheEnd(self) -> None:
        self._fill()
        flushed = self.left.channel.flush(1)
        self.left.channel.close()
        self.successResultOf(flushed)
        self.assertEqual(self.left.reactor.getDelayedCalls(), [])

    def _fill(self) -> None:
        for _ in range(40):
            self.left.channel.send(b'{"%s":1}' % (b"x" * 60_000))


class Successors(Case):
    """A channel goes on in another process."""

    def succeed(self, seconds: float = 1.0) -> Remains:
        quiet = self.right.channel.quiesce(seconds)
        self.right.write()
        self.right.reactor.advance(seconds)
        self.successResultOf(quiet)
        remains = self.right.channel.leave()
        self.assertEqual(self.right.reactor.getReaders() + self.right.reactor.getWriters(), [])
        self.right.frames.clear()
        self.right.things.clear()
        self.right = End(self.pair[1], remains)
        return remains

    def test_nothingIsLeft(self) -> None:
        self.right.channel.send(b'{"a":1}', [_thing()])
        self.assertEqual(self.succeed(), Remains())
        self.right.channel.send(b'{"b":1}')
        self.left.channel.send(b'{"c":1}')
        self.pump()
        self.assertEqual((self.left.frames, self.right.frames), ([b'{"a":1}', b'{"b":1}'], [b'{"c":1}']))

    def test_aFrameInTheMiddle(self) -> None:
        thing = _thing()
        which = _which(thing)
        socket.send_fds(self.pair[0], [b'1:1{"a"'], [thing])
        os.close(thing)
        self.right.read()
        remains = self.succeed()
        self.assertEqual((remains.received, len(remains.batches)), (b'1:1{"a"', 1))
        self.pair[0].send(b":1}\0")
        self.right.read()
        self.assertEqual((self.right.frames, self.right.things), ([b'{"a":1}'], [[which]]))

    def test_aFrameInTheMiddleBehindOthers(self) -> None:
        """It is still known which descriptors came with which bytes."""
        self.left.channel.send(b'{"a":1}')
        self.left.write()
        thing = _thing()
        socket.send_fds(self.pair[0], [b'1:1{"a"'], [thing])
        os.close(thing)
        self.right.read()
        remains = self.succeed()
        self.assertEqual([end for end, _, _ in remains.batches], [len(remains.received)])
        self.pair[0].send(b":1}\0")
        self.right.read()
        self.assertEqual(len(self.right.things), 1)

    def test_framesThatWereNotProcessed(self) -> None:
        things = [_thing() for _ in range(3)]
        which = [_which(each) for each in things]
        end = self.right

        def stop(frame: bytes, descriptors: Sequence[int]) -> None:
            end._received(frame, descriptors)
            self.successResultOf(end.channel.quiesce(1.0))
            left.append(end.channel.leave())

        left: list[Remains] = []
        end.channel._received = stop
        for number, each in enumerate(things):
            self.left.channel.send(b'{"a":%d}' % number, [each])
        self.left.write()
        end.channel.doRead()
        self.assertEqual(end.frames, [b'{"a":0}'], "it has stopped behind that frame")
        self.right = End(self.pair[1], left[0])
        self.right.reactor.advance(0)
        self.assertEqual((self.right.frames, self.right.things), ([b'{"a":1}', b'{"a":2}'], [which[1:2], which[2:]]))
        self.left.channel.send(b'{"a":3}')
        self.pump()
        self.assertEqual(self.right.frames[2:], [b'{"a":3}'])

    def test_whatIsSentBehindItsRestIsSentOrLeft(self) -> None:
        """Others may not be at rest yet."""
        self.successResultOf(self.right.channel.quiesce(1.0))
        self.right.channel.send(b'{"a":1}')
        self.right.write()
        self.right.channel.send(b'{"b":1}')
        remains = self.right.channel.leave()
        self.assertEqual(remains.unsent, ((b'{"b":1}', ()),))
        self.right = End(self.pair[1], remains)
        self.pump()
        self.assertEqual(self.left.frames, [b'{"a":1}', b'{"b":1}'])

    def test_whatCouldNotBeSent(self) -> None:
        frames = [b'{"%s":%d}' % (b"x" * 60_000, number) for number in range(30)]
        things = [_thing() for _ in frames]
        which = [[_which(each)] for each in things]
        for frame, thing in zip(frames, things, strict=True):
            self.right.channel.send(frame, [thing])
        remains = self.succeed()
        self.assertTrue(remains.begun)
        self.assertTrue(remains.unsent)
        self.pump()
        self.assertEqual((self.left.frames, self.left.things), (frames, which))

    @UNHURRIED
    @given(st.data())
    def test_atAnyPlace(self, data: DataObject) -> None:
        pair = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        ends = [End(pair[0]), End(Short(pair[1], data))]
        try:
            self._atAnyPlace(data, ends)
        finally:
            for each in ends:
                each.channel.close()

    def _atAnyPlace(self, data: DataObject, ends: list[End]) -> None:
        shape = data.draw(st.lists(st.integers(0, 2), min_size=1, max_size=8))
        sender, receiver = ends
        which, frames, found, things = [], [], [], []
        for number, count in enumerate(shape):
            mine = [_thing() for _ in range(count)]
            which.append([_which(each) for each in mine])
            frames.append(b'{"a":%d}' % number)
            sender.channel.send(frames[-1], mine)
            if data.draw(st.booleans()):
                sender.write()
        sender.write()
        for _ in range(data.draw(st.integers(0, 6))):
            receiver.readOnce()
            self.successResultOf(receiver.channel.quiesce(1.0))
            remains = receiver.channel.leave()
            found += receiver.frames
            things += receiver.things
            receiver = ends[1] = End(receiver.channel._socket, remains)
            receiver.reactor.advance(0)
        receiver.read()
        self.assertEqual((found + receiver.frames, things + receiver.things), (frames, which))

    def test_ofAClosedChannelNothingIsLeft(self) -> None:
        self.right.channel.close()
        self.successResultOf(self.right.channel.quiesce(1.0))
        self.assertEqual(self.right.channel.leave(), Remains())


class InTheReactor(TestCase):
    """With the reactor that the program has."""

    async def test_anEndThatIsPausedAndHungUpIsReadToItsEnd(self) -> None:
        from twisted.internet import reactor

        theReactor = cast(IReactor, reactor)
        left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        frames: list[bytes] = []
        over: Deferred[str | None] = Deferred()
        sender = Channel(theReactor, left, lambda frame, fds: None, lambda reason: None, _LONGEST)
        for number in range(2000):
            sender.send(b'{"a":%d}' % number)
        await sender.flush(10)
        receiver = Channel(theReactor, right, lambda frame, fds: frames.append(frame), over.callback, _LONGEST)
        receiver.send(b'{"b":1}')
        sender.close()
        over.addTimeout(30, theReactor)
        self.assertIn(await over, (None, "Connection reset by peer"))
        self.assertEqual(len(frames), 2000)
