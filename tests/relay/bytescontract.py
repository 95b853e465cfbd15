"""What each backend of the relay promises about bytes."""

from __future__ import annotations

import contextlib
import socket
import threading

from bore.relay.interface import Ending, Reason
from tests.relay.plugs import reset
from tests.relay.relaycase import RelayContract, inReactor, inThread
from tests.support import PATIENCE, digest, pattern, receiveAll, receiveExactly


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
    def test_urgentDataInFrontOfTheEndCostsNoBytes(self) -> None:
        pair = self.joined()

        def send() -> None:
            pair.left.sendall(b"abc")
            pair.left.send(b"!", socket.MSG_OOB)
            pair.left.sendall(b"def")
            pair.left.shutdown(socket.SHUT_WR)

        inReactor(send)  # so that the relay is notified of all of it at the same time
        self.assertEqual(receiveAll(pair.right), b"abcdef")
        pair.right.close()
        self.assertEqual(pair.ending(), Ending(Reason.FINISHED, 6, 0))

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
