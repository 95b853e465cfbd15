"""What each backend of the relay promises about answers to requests that were not read to their end."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

from twisted.internet import reactor
from twisted.internet.interfaces import IReactorFromThreads

from bore.relay.interface import Reason
from bore.streams.tcpinfo import unacknowledged
from tests.relay.relaycase import RelayContract, inReactor, inThread
from tests.support import PATIENCE, eventually, pattern, receiveAll


class Upload:
    """
    Sends much to a peer that does not read it, and reads what comes back meanwhile.

    :ivar answer: what has come back.
    :ivar wasReset: whether the kernel has reported a reset, which it does once, to a read or to a write.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self.answer = b""
        self.wasReset = False
        self._writer = threading.Thread(target=self._write)
        self._writer.start()

    def _write(self) -> None:
        try:
            for _ in range(80):
                self._sock.sendall(bytes(100_000))
        except ConnectionResetError:
            self.wasReset = True
        except BrokenPipeError:
            pass

    def finish(self, size: int = 1 << 16, pause: float = 0.0) -> None:
        """
        Read to the end.

        :param size: the most bytes of a read.
        :param pause: seconds between two reads.
        """
        try:
            while part := self._sock.recv(size):
                self.answer += part
                time.sleep(pause)
        except ConnectionResetError:
            self.wasReset = True
        self._writer.join(PATIENCE)
        assert not self._writer.is_alive(), "the upload is stuck"


def finishAll(uploads: Sequence[Upload], size: int = 1 << 16, pause: float = 0.0) -> None:
    """As :meth:`Upload.finish`, all at the same time: the reset behind an answer comes after a while."""
    with ThreadPoolExecutor(len(uploads)) as threads:
        for finished in [threads.submit(upload.finish, size, pause) for upload in uploads]:
            finished.result()


def fill(sock: socket.socket, data: bytes) -> None:
    """Send as much as is taken when nobody reads at the other end of the tunnel."""
    sent, silent = 0, 0
    while silent < 20:
        try:
            sent += sock.send(data[sent : sent + 50_000])
            silent = 0
        except BlockingIOError:
            time.sleep(0.01)
            silent += 1


def _pause(begun: threading.Event, over: threading.Event) -> None:
    """Have the reactor do nothing until something is over."""
    begun.set()
    over.wait(PATIENCE)


def untilTaken(sock: socket.socket) -> None:
    """Wait until everything that was sent is with the peer's kernel."""
    eventually(lambda: not unacknowledged(sock.fileno()), "an answer is taken")


class EarlyAnswerContract(RelayContract):
    """Answers from peers that do not read the rest of the request, and close: that is a reset."""

    def _upload(
        self, answers: Callable[[socket.socket], None], answer: bytes, times: int = 4, cut: bool = True, **how: Any
    ) -> None:
        for first, second in (("left", "right"), ("right", "left")):
            pairs = [self.joined() for _ in range(times)]
            uploads = [Upload(getattr(pair, first)) for pair in pairs]
            for pair in pairs:
                answers(getattr(pair, second))
            finishAll(uploads, **how)
            for number, (pair, upload) in enumerate(zip(pairs, uploads, strict=True)):
                self.assertEqual(len(upload.answer), len(answer), f"to the {first}, {number}")
                self.assertEqual(upload.answer, answer)
                if cut and (first == "left" or self.rightResets):
                    self.assertTrue(upload.wasReset, f"to the {first}, {number}: it looks as if it had ended")
                if cut:
                    self.assertIs(pair.ending().reason, Reason.RIGHT_CUT if second == "right" else Reason.LEFT_CUT)
                getattr(pair, first).close()
                pair.ending()

    @inThread
    def test_itArrivesWholeThenTheReset(self) -> None:
        answer = pattern(21, 20_000)

        def answers(sock: socket.socket) -> None:
            sock.recv(1000)
            sock.sendall(answer)
            sock.close()

        self._upload(answers, answer)

    @inThread
    def test_theGreetingOfABusyServerArrives(self) -> None:
        def answers(sock: socket.socket) -> None:
            sock.sendall(b"421 busy\r\n")
            sock.close()

        # Nothing may have come that was not read, which is an end; and a reset then, when it comes.
        self._upload(answers, b"421 busy\r\n", cut=False)

    @inThread
    def test_itArrivesWholeWhereItIsLongAndTheReaderSlow(self) -> None:
        answer = pattern(22, 700_000)

        def answers(sock: socket.socket) -> None:
            sock.recv(1000)

            def send() -> None:
                sock.sendall(answer)
                untilTaken(sock)
                sock.close()

            threading.Thread(target=send).start()

        self._upload(answers, answer, 2, size=20_000, pause=0.005)

    @inThread
    def test_anEndBeforeTheResetIsAnEnd(self) -> None:
        """A peer that has answered, and ended in order, receives nothing more either: its answer must not look cut."""
        for first, second in (("left", "right"), ("right", "left")):
            pair = self.joined()
            one, other = getattr(pair, first), getattr(pair, second)
            other.sendall(b"all of it")
            other.close()
            self.assertEqual(receiveAll(one), b"all of it")
            with self.assertRaises((ConnectionResetError, BrokenPipeError)):
                for _ in range(500):
                    one.sendall(bytes(1000))
                    time.sleep(0.005)
            pair.ending()

    @inThread
    def test_whatIsWrittenBeforeTheResetIsSeenDoesNotHideIt(self) -> None:
        """The write fails, and a Unix socket does not say to it that it was reset."""
        answer = pattern(23, 8_000_000)
        for first, second in (("left", "right"), ("right", "left")):
            pair = self.joined(small=True)
            one, other = getattr(pair, first), getattr(pair, second)
            one.sendall(b"never read")
            eventually(lambda: other.recv(1, socket.MSG_PEEK), "it is there")  # noqa: B023
            other.setblocking(False)
            fill(other, answer)
            stopped, goesOn = threading.Event(), threading.Event()
            cast(IReactorFromThreads, reactor).callFromThread(_pause, stopped, goesOn)
            stopped.wait(PATIENCE)
            one.sendall(b"more")
            other.close()
            goesOn.set()
            upload = Upload(one)
            upload.finish()
            self.assertTrue(answer.startswith(upload.answer))  # what the kernel still has to send is lost by the reset
            if first == "left" or self.rightResets:
                self.assertTrue(upload.wasReset, f"to the {first}: it looks as if it had ended")
            self.assertIs(pair.ending().reason, Reason.RIGHT_CUT if second == "right" else Reason.LEFT_CUT)

    @inThread
    def test_nothingIsLeftOfThoseWhoNeverReadTheAnswer(self) -> None:
        """The relay ends meanwhile."""
        pair = self.joined(small=True)
        upload = threading.Thread(target=self._flood, args=(pair.left,))
        upload.start()
        pair.right.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                pair.right.send(bytes(100_000))
        pair.right.close()
        upload.join(PATIENCE)
        self.assertFalse(upload.is_alive(), "the upload is read and thrown away, or ends")
        inReactor(self.relay.drain, 0.1)
        pair.ending()

    def _flood(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError):
            sock.sendall(bytes(3_000_000))
