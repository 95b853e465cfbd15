"""What every backend of the relay promises. Each body's test case inherits from this one."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar, cast

from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.interfaces import IReactorFromThreads
from twisted.internet.threads import blockingCallFromThread, deferToThread
from twisted.trial.unittest import TestCase

from bore.relay.interface import Ending, Reason, Relay, Stream
from bore.streams.reactor import IReactor
from tests.support import PATIENCE, digest, pattern, receiveAll, receiveExactly


def inReactor(call: Callable[..., Any], *arguments: Any) -> Any:
    """Call something in the reactor's thread, and wait for its result."""
    return blockingCallFromThread(cast(IReactorFromThreads, reactor), call, *arguments)


def tcpPair(small: bool = False) -> tuple[socket.socket, socket.socket]:
    """Two connected TCP sockets; with small buffers, if wanted."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        if small:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 16)
        near = socket.socket()
        if small:
            near.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
            near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 16)
        near.connect(listener.getsockname())
        far, _ = listener.accept()
    for sock in (near, far):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    near.settimeout(PATIENCE)
    far.setblocking(False)
    return near, far


def reset(sock: socket.socket) -> None:
    """Close a socket by a reset."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


class Joined:
    """
    A visitor's socket, a service's socket, and the relay between them.

    All of it is used from a thread, while the relay runs in the reactor's.
    """

    def __init__(
        self, relay: Relay, earlyLeft: bytes = b"", earlyRight: bytes = b"", small: bool = False, join: bool = True
    ) -> None:
        self._relay = relay
        self._early = earlyLeft, earlyRight
        self.left, self.innerLeft = tcpPair(small)
        self.right, self.innerRight = tcpPair(small)
        self._ended = threading.Event()
        self._ending: Ending | None = None
        if join:
            self.join()

    def join(self) -> None:
        def join() -> None:
            earlyLeft, earlyRight = self._early
            self._relay.join(Stream(self.innerLeft, earlyLeft), Stream(self.innerRight, earlyRight), self._done)

        inReactor(join)

    def _done(self, ending: Ending) -> None:
        assert self._ending is None
        self._ending = ending
        self._ended.set()

    def ending(self) -> Ending:
        """How it ended."""
        assert self._ended.wait(PATIENCE), "the pair has not ended"
        assert self._ending is not None
        return self._ending

    def hasEnded(self) -> bool:
        return self._ended.is_set()

    def close(self) -> None:
        for sock in (self.left, self.right, self.innerLeft, self.innerRight):
            with contextlib.suppress(OSError):
                sock.close()


class HalvedRelay(Relay):
    """
    A relay in two halves, as server and client have them.

    :ivar near: the server's half.
    :ivar far: the client's half.
    """

    near: Relay
    far: Relay

    def relieve(self) -> bool:
        return self.near.relieve() or self.far.relieve()

    def __len__(self) -> int:
        return max(len(self.near), len(self.far))

    def drain(self, seconds: float) -> Deferred[None]:
        both = gatherResults([self.near.drain(seconds), self.far.drain(seconds)])
        return both.addCallback(lambda _: None)

    def collect(self, ended: Callable[[Ending], None], endings: dict[str, Ending]) -> Callable[[str, Ending], None]:
        """
        Have the end of a pair told, as the near half sees it, when both halves are done.

        :param endings: where it is kept what either half, "near" or "far", has said.
        """

        def done(side: str, ending: Ending) -> None:
            endings[side] = ending
            if len(endings) == 2:
                ended(endings["near"])

        return done


class RelayContract(TestCase):
    """The tests. :meth:`makeRelay` gives the backend that is tested."""

    relay: Relay

    #: How long half-open pairs may be silent, in seconds.
    halfOpenTimeout = 600.0

    def makeRelay(self, reactor: IReactor, halfOpenTimeout: float) -> Relay:
        raise NotImplementedError

    def setUp(self) -> None:
        self.relay = self.makeRelay(cast(IReactor, reactor), self.halfOpenTimeout)
        self._joined: list[Joined] = []

    def tearDown(self) -> Deferred[None]:  # type: ignore[override]  # trial waits for it, whatever unittest says
        for joined in self._joined:
            joined.close()
        left = len(self.relay)
        return self.relay.drain(0).addCallback(lambda _: self.assertEqual(left, 0, "pairs were left"))

    def joined(self, **how: Any) -> Joined:
        made = Joined(self.relay, **how)
        self._joined.append(made)
        return made


C = TypeVar("C", bound=RelayContract)


def inThread(test: Callable[[C], None]) -> Callable[[C], Coroutine[Any, Any, None]]:
    """Run a test beside the reactor, so that it may block."""

    async def run(self: C) -> None:
        await deferToThread(test, self)

    run.__name__ = test.__name__
    run.__doc__ = test.__doc__
    return run


class BytesContract(RelayContract):
    """What happens to bytes."""

    @inThread
    def test_smallMessagesPassBothWays(self) -> None:
        pair = self.joined()
        for n in range(50):
            pair.left.sendall(b"question %d" % n)
            self.assertEqual(receiveExactly(pair.right, len(b"question %d" % n)), b"question %d" % n)
            pair.right.sendall(b"answer %d" % n)
            self.assertEqual(receiveExactly(pair.left, len(b"answer %d" % n)), b"answer %d" % n)
        pair.left.close()
        self.assertEqual(receiveAll(pair.right), b"")
        pair.right.close()
        self.assertIs(pair.ending().reason, Reason.FINISHED)

    @inThread
    def test_bulkPassesBothWaysAtTheSameTimeUnaltered(self) -> None:
        pair = self.joined()
        size = 20_000_000
        there, back = pattern(1, size), pattern(2, size)
        senders = [
            threading.Thread(target=lambda s=sock, d=data: (s.sendall(d), s.shutdown(socket.SHUT_WR)))
            for sock, data in ((pair.left, there), (pair.right, back))
        ]
        got: dict[str, bytes] = {}
        readers = [
            threading.Thread(target=lambda n=name, s=sock: got.__setitem__(n, receiveAll(s)))
            for name, sock in (("there", pair.right), ("back", pair.left))
        ]
        for thread in (*senders, *readers):
            thread.start()
        for thread in (*senders, *readers):
            thread.join(60)
        self.assertEqual(digest(got["there"]), digest(there))
        self.assertEqual(digest(got["back"]), digest(back))
        self.assertEqual(pair.ending(), Ending(Reason.FINISHED, size, size))

    @inThread
    def test_bytesThatWereReadBeforeComeFirst(self) -> None:
        pair = self.joined(earlyLeft=b"early from the left, ", earlyRight=b"early from the right, ")
        pair.left.sendall(b"late")
        pair.right.sendall(b"late")
        pair.left.shutdown(socket.SHUT_WR)
        pair.right.shutdown(socket.SHUT_WR)
        self.assertEqual(receiveAll(pair.right), b"early from the left, late")
        self.assertEqual(receiveAll(pair.left), b"early from the right, late")
        self.assertEqual(pair.ending(), Ending(Reason.FINISHED, 25, 26))

    @inThread
    def test_urgentDataDoesNotHoldUpWhatIsBehindIt(self) -> None:
        pair = self.joined()
        pair.left.sendall(b"abc")
        pair.left.send(b"!", socket.MSG_OOB)
        pair.left.sendall(b"def")
        self.assertEqual(receiveExactly(pair.right, 6), b"abcdef")
        bulk = pattern(9, 3_000_000)
        for _ in range(3):
            writer = threading.Thread(target=pair.left.sendall, args=(bulk,))
            writer.start()
            self.assertEqual(digest(receiveExactly(pair.right, len(bulk))), digest(bulk))
            writer.join(PATIENCE)
            pair.left.send(b"!", socket.MSG_OOB)
        pair.left.sendall(bulk[:400_000])
        pair.left.shutdown(socket.SHUT_WR)
        self.assertEqual(digest(receiveAll(pair.right)), digest(bulk[:400_000]))
        pair.right.close()
        self.assertIs(pair.ending().reason, Reason.FINISHED)

    @inThread
    def test_aLotMayHaveBeenReadBefore(self) -> None:
        early = pattern(3, 3_000_000)
        pair = self.joined(earlyLeft=early, small=True)
        pair.left.sendall(b"and more")
        pair.left.shutdown(socket.SHUT_WR)
        self.assertEqual(digest(receiveAll(pair.right)), digest(early + b"and more"))
        pair.right.close()
        self.assertEqual(pair.ending(), Ending(Reason.FINISHED, 3_000_008, 0))

    @inThread
    def test_aSlowReaderSlowsTheWriterAndLosesNothing(self) -> None:
        pair = self.joined(small=True)
        data = pattern(4, 8_000_000)
        pair.left.settimeout(0.5)
        sent = 0
        with contextlib.suppress(TimeoutError):
            while sent < len(data):
                sent += pair.left.send(data[sent : sent + 65536])
        # Two kernel buffers at each end, doubled by Linux, and what the relay itself may hold.
        self.assertLess(sent, 3_000_000, "the writer was not slowed")
        pair.left.settimeout(PATIENCE)

        def write() -> None:
            pair.left.sendall(data[sent:])
            pair.left.shutdown(socket.SHUT_WR)

        writer = threading.Thread(target=write)
        writer.start()
        self.assertEqual(digest(receiveAll(pair.right)), digest(data))
        writer.join(PATIENCE)
        pair.right.close()
        self.assertEqual(pair.ending(), Ending(Reason.FINISHED, len(data), 0))

    @inThread
    def test_aStalledDirectionDoesNotStopTheOtherOne(self) -> None:
        pair = self.joined(small=True)
        pair.left.settimeout(0.3)
        with contextlib.suppress(TimeoutError):
            while True:
                pair.left.send(bytes(65536))
        pair.left.settimeout(PATIENCE)
        answer = pattern(5, 1_000_000)
        writer = threading.Thread(target=pair.right.sendall, args=(answer,))
        writer.start()
        self.assertEqual(digest(receiveExactly(pair.left, len(answer))), digest(answer))
        writer.join(PATIENCE)
        reset(pair.left)
        # The relay cannot see the reset while it does not read: that it is seen is promised once bytes flow again.
        with contextlib.suppress(ConnectionResetError):
            receiveAll(pair.right)
        pair.right.close()
        pair.ending()


class EndingContract(RelayContract):
    """How streams end."""

    @inThread
    def test_theEndOfOneDirectionLeavesTheOtherOneOpen(self) -> None:
        for first, second in (("left", "right"), ("right", "left")):
            pair = self.joined()
            one, other = getattr(pair, first), getattr(pair, second)
            one.sendall(b"that is all")
            one.shutdown(socket.SHUT_WR)
            self.assertEqual(receiveAll(other), b"that is all")
            for n in range(20):
                other.sendall(b"answer %02d" % n)
                self.assertEqual(receiveExactly(one, 9), b"answer %02d" % n)
            self.assertFalse(pair.hasEnded())
            other.shutdown(socket.SHUT_WR)
            self.assertEqual(receiveAll(one), b"")
            self.assertIs(pair.ending().reason, Reason.FINISHED)

    @inThread
    def test_aStreamThatHadEndedBeforeItWasJoinedIsServed(self) -> None:
        pair = self.joined(join=False)
        pair.left.sendall(b"request")
        pair.left.shutdown(socket.SHUT_WR)
        time.sleep(0.1)
        pair.join()
        self.assertEqual(receiveAll(pair.right), b"request")
        pair.right.sendall(b"answer")
        pair.right.close()
        self.assertEqual(receiveAll(pair.left), b"answer")
        self.assertEqual(pair.ending(), Ending(Reason.FINISHED, 7, 6))

    @inThread
    def test_aResetIsPassedOnAsAReset(self) -> None:
        for first, second, reason in (("left", "right", Reason.LEFT_CUT), ("right", "left", Reason.RIGHT_CUT)):
            pair = self.joined()
            one, other = getattr(pair, first), getattr(pair, second)
            one.sendall(b"before")
            self.assertEqual(receiveExactly(other, 6), b"before")
            reset(one)
            with self.assertRaises(ConnectionResetError):
                other.recv(1)
            self.assertIs(pair.ending().reason, reason)

    @inThread
    def test_aStreamThatWasResetBeforeItWasJoinedResetsTheOther(self) -> None:
        pair = self.joined(join=False)
        reset(pair.left)
        time.sleep(0.1)
        pair.join()
        with self.assertRaises(ConnectionResetError):
            pair.right.recv(1)
        self.assertIs(pair.ending().reason, Reason.LEFT_CUT)

    @inThread
    def test_aResetBehindAHalfCloseIsPassedOn(self) -> None:
        pair = self.joined()
        pair.left.shutdown(socket.SHUT_WR)
        self.assertEqual(receiveAll(pair.right), b"")
        reset(pair.right)
        with self.assertRaises(ConnectionResetError):
            pair.left.recv(1)
        self.assertIs(pair.ending().reason, Reason.RIGHT_CUT)

    @inThread
    def test_whoKeepsWritingToAStreamThatIsGoneIsReset(self) -> None:
        pair = self.joined()
        pair.right.shutdown(socket.SHUT_WR)
        self.assertEqual(receiveAll(pair.left), b"")
        pair.right.close()
        with self.assertRaises((ConnectionResetError, BrokenPipeError)):
            for _ in range(500):
                pair.left.sendall(bytes(1000))
                time.sleep(0.005)
        self.assertIs(pair.ending().reason, Reason.RIGHT_CUT)

    @inThread
    def test_bothSocketsAreClosedWhenThePairHasEnded(self) -> None:
        pair = self.joined()
        pair.left.close()
        self.assertEqual(receiveAll(pair.right), b"")
        pair.right.close()
        pair.ending()
        self.assertEqual((pair.innerLeft.fileno(), pair.innerRight.fileno()), (-1, -1))
        self.assertEqual(len(self.relay), 0)

    @inThread
    def test_manyPairsRunBesideEachOther(self) -> None:
        pairs = [self.joined() for _ in range(100)]
        self.assertEqual(len(self.relay), 100)
        for n, pair in enumerate(pairs):
            pair.left.sendall(b"to %d" % n)
        for n, pair in enumerate(pairs):
            pair.left.shutdown(socket.SHUT_WR)
            self.assertEqual(receiveAll(pair.right), b"to %d" % n)
            pair.right.close()
            self.assertIs(pair.ending().reason, Reason.FINISHED)


class DrainContract(RelayContract):
    """How the relay as a whole ends."""

    @inThread
    def test_drainingIsDoneAtOnceWhenNothingRuns(self) -> None:
        inReactor(self.relay.drain, 60)

    @inThread
    def test_drainingWaitsForRunningPairs(self) -> None:
        pair = self.joined()
        done = threading.Event()
        inReactor(lambda: bool(self.relay.drain(60).addCallback(lambda _: done.set())))
        pair.left.sendall(b"still here")
        self.assertEqual(receiveExactly(pair.right, 10), b"still here")
        self.assertFalse(done.is_set())
        pair.left.close()
        pair.right.close()
        self.assertTrue(done.wait(PATIENCE))
        self.assertIs(pair.ending().reason, Reason.FINISHED)

    @inThread
    def test_drainingCutsWhatDoesNotEndInTime(self) -> None:
        pair = self.joined()
        inReactor(self.relay.drain, 0.1)
        self.assertEqual(pair.ending(), Ending(Reason.STOPPED, 0, 0))
        for sock in (pair.left, pair.right):
            with self.assertRaises(ConnectionResetError):
                sock.recv(1)


class HalfOpenContract(RelayContract):
    """Pairs of which one direction has ended."""

    halfOpenTimeout = 0.8

    @inThread
    def test_oneThatFallsSilentIsCut(self) -> None:
        for first, second in (("left", "right"), ("right", "left")):
            pair = self.joined()
            one, other = getattr(pair, first), getattr(pair, second)
            one.shutdown(socket.SHUT_WR)
            self.assertEqual(receiveAll(other), b"")
            begin = time.monotonic()
            with self.assertRaises(ConnectionResetError):
                one.recv(1)
            self.assertTrue(0.6 < time.monotonic() - begin < 3, time.monotonic() - begin)
            reasons = {Reason.HALF_OPEN}
            if isinstance(self.relay, HalvedRelay):  # the time of the other half may be over first, and cuts this one
                reasons |= {Reason.LEFT_CUT, Reason.RIGHT_CUT}
            self.assertIn(pair.ending().reason, reasons)

    @inThread
    def test_oneThatIsBusyLivesOn(self) -> None:
        pair = self.joined()
        pair.left.shutdown(socket.SHUT_WR)
        self.assertEqual(receiveAll(pair.right), b"")
        for _ in range(8):
            time.sleep(0.3)
            pair.right.sendall(b"still here")
            self.assertEqual(receiveExactly(pair.left, 10), b"still here")
        pair.right.close()
        self.assertEqual(receiveAll(pair.left), b"")
        self.assertIs(pair.ending().reason, Reason.FINISHED)

    @inThread
    def test_aFullyOpenOneMayBeSilentForEver(self) -> None:
        pair = self.joined()
        time.sleep(2.4)
        pair.left.sendall(b"hello again")
        self.assertEqual(receiveExactly(pair.right, 11), b"hello again")
        pair.left.close()
        pair.right.close()
        self.assertIs(pair.ending().reason, Reason.FINISHED)


class ChurnContract(RelayContract):
    """Descriptors that are closed and used again at once."""

    @inThread
    def test_pairsMayBeJoinedWhileOthersEnd(self) -> None:
        done = threading.Event()
        heard: list[bytes] = []

        def again(number: int) -> None:
            """In the reactor: join a pair over fresh sockets, which have the descriptors of those just closed."""
            if number == 300:
                done.set()
                return
            left, innerLeft = tcpPair()
            right, innerRight = tcpPair()
            left.sendall(b"%d" % number)
            left.shutdown(socket.SHUT_WR)
            right.shutdown(socket.SHUT_WR)

            def ended(ending: Ending) -> None:
                heard.append(receiveAll(right))
                left.close()
                right.close()
                again(number + 1)

            self.relay.join(Stream(innerLeft), Stream(innerRight), ended)

        inReactor(again, 0)
        self.assertTrue(done.wait(PATIENCE), f"stuck after {len(heard)}")
        self.assertEqual(heard, [b"%d" % n for n in range(300)])
