"""
A lot over lanes, in one process: both halves of the relay, their visitors and their services.

``make test`` runs a short form; BORE_STRESS=1 the whole: a gigabyte, and 100 000 visitors. What passes through whole
programs is in :mod:`tests.processes.test_stress`.
"""

from __future__ import annotations

import os
import random
import socket
import sys
import threading
from typing import Any, Final

if sys.platform != "linux":
    from twisted.trial.unittest import SkipTest

    raise SkipTest("there are no lanes on this system")

from twisted.trial.unittest import SynchronousTestCase

from bore.relay.interface import Ending, Reason, Relay
from bore.streams.reactor import IReactor
from bore.wire.lane import RAW_THRESHOLD
from tests.processes.test_stress import Sender, receive
from tests.relay.lanedrelay import LanedRelay
from tests.relay.laneworld import World
from tests.relay.relaycase import RelayContract, inReactor, inThread
from tests.support import eventually

STRESS: Final = bool(os.environ.get("BORE_STRESS"))

#: How many bytes go through in all, both ways together.
TOTAL: Final = 1_000_000_000 if STRESS else 64_000_000

#: How many visitors come in all, a thousand for each world of four kinds.
WORLDS: Final = 25 if STRESS else 3

_BORDER: Final = RAW_THRESHOLD


class LanedStress(RelayContract):
    """Streams over lanes, with real time."""

    relay: LanedRelay

    def makeRelay(self, reactor: IReactor, halfOpenTimeout: float) -> Relay:
        return LanedRelay(reactor, halfOpenTimeout)

    def run_(self, sizes: list[tuple[int, int]], cuts: set[int] = frozenset()) -> list[Ending]:  # type: ignore[assignment]
        """
        Have so many bytes go each way in as many streams, at once, and compare them.

        :param cuts: the streams that the visitor resets when it has sent everything.
        """
        pairs = [self.joined(join=False) for _ in sizes]
        got: dict[tuple[int, str], Any] = {}
        senders: dict[tuple[int, str], Sender] = {}
        for pair in pairs:
            pair.join()
            pair.left.settimeout(120)
            pair.right.settimeout(120)

        def hear(n: int, name: str, sock: socket.socket) -> None:
            try:
                got[n, name] = receive(sock)
            except ConnectionResetError:
                got[n, name] = None

        threads: list[threading.Thread] = []
        for n, (pair, (up, down)) in enumerate(zip(pairs, sizes, strict=True)):
            senders[n, "up"] = Sender(pair.left, 2 * n, up, n in cuts)
            senders[n, "down"] = Sender(pair.right, 2 * n + 1, down)
            threads += (senders[n, "up"], senders[n, "down"])
            threads.append(threading.Thread(target=hear, args=(n, "up", pair.right), daemon=True))
            if n not in cuts:
                threads.append(threading.Thread(target=hear, args=(n, "down", pair.left), daemon=True))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(200)
        for n, (up, down) in enumerate(sizes):
            if n in cuts:
                heard = got[n, "up"]
                self.assertTrue(heard is None or senders[n, "down"].error, f"{n}: a cut that is an end")
                continue
            self.assertEqual(got[n, "up"], (senders[n, "up"].hash.hexdigest(), up), f"up, stream {n}")
            self.assertEqual(got[n, "down"], (senders[n, "down"].hash.hexdigest(), down), f"down, stream {n}")
        return [pair.ending() for pair in pairs]

    @inThread
    def test_oneStream(self) -> None:
        size = TOTAL // 2
        self.assertEqual(self.run_([(size, size)]), [Ending(Reason.FINISHED, size, size)])

    @inThread
    def test_sixtyFourStreams(self) -> None:
        size = TOTAL // 128
        endings = self.run_([(size, size)] * 64, set(range(7, 64, 8)))
        for n, ending in enumerate(endings):
            self.assertIs(ending.reason, Reason.FINISHED if n % 8 != 7 else Reason.LEFT_CUT)

    @inThread
    def test_streamsAtTheBorder(self) -> None:
        sizes = [_BORDER + n for n in (-65536, -1, 0, 1, 65536)]
        every = [(up, down) for up in (0, 1, *sizes) for down in (0, 1, *sizes)]
        for _ in range(10 if STRESS else 1):
            self.assertEqual(self.run_(every), [Ending(Reason.FINISHED, up, down) for up, down in every])
            self.run_(every, set(range(len(every))))

    @inThread
    def test_lanesAreUsedAgainAfterStreamsThatAreShort(self) -> None:
        for n in range(20):
            self.run_([(random.Random(n).randrange(30_000), 1000)] * 8)
        self.assertLess(self.relay.made, 20 * 8 / 2)  # those on which much is still under way are not

    @inThread
    def test_descriptorsAreAsBefore(self) -> None:
        def ends() -> int:
            return inReactor(lambda: len(self.relay.near.loop._halves) + len(self.relay.far.loop._halves))  # type: ignore[no-any-return]

        self.run_([(1000, 1000)] * 8)
        before = len(os.listdir("/proc/self/fd"))
        for n in range(20 if STRESS else 3):
            self.run_([(1000 * n, 300_000)] * 8, {1, 5})
        for joined in self._joined:
            joined.close()
        eventually(lambda: ends() <= 16, "lanes that are over are gone")
        self.assertLessEqual(len(os.listdir("/proc/self/fd")), before)


class WorldStress(SynchronousTestCase):
    """Visitors over eight lanes, with everything that can happen; see :class:`World`."""

    def _worlds(self, seed: int, **how: Any) -> None:
        for n in range(seed, seed + WORLDS):
            world = World(n, 1000 if STRESS else 250, lanes=8, **how)
            try:
                world.run()
            except AssertionError as e:
                raise AssertionError(f"seed {n}, {how}: {e}") from e
            finally:
                world.close()

    def test_visitorsThatAreCut(self) -> None:
        self._worlds(1000, cuts=0.6)

    def test_lanesThatDie(self) -> None:
        self._worlds(2000, kills=0.004)

    def test_muchToSay(self) -> None:
        self._worlds(3000, bulk=0.3, cuts=0.2, kills=0.001)

    def test_fewLanesAndManyWhoWait(self) -> None:
        self._worlds(4000, cuts=0.4, bulk=0.01)
