"""A system that has splice, and refuses it: bulk goes on by read and write."""

from __future__ import annotations

import errno
import os
import stat
import sys
from typing import Any

if sys.platform != "linux":
    from twisted.trial.unittest import SkipTest

    raise SkipTest("there is no splice on this system")

from bore.relay.interface import Relay
from bore.relay.lanes import LaneRelay
from bore.relay.splice import SpliceRelay
from bore.streams.reactor import IReactor
from tests.fakes import captureLog
from tests.relay import bytescontract
from tests.relay.lanedrelay import LanedRelay
from tests.relay.relaycase import RelayContract, inThread
from tests.support import receiveAll


class _Refused(RelayContract):
    """
    Has os.splice fail.

    :cvar error: its error.
    :cvar outOfPipes: whether it is refused out of pipes only; else into them.
    :cvar calls: how many calls are served first.
    """

    error = errno.EINVAL
    outOfPipes = False
    calls = 0

    def setUp(self) -> None:
        real = os.splice
        self.refused = 0

        def splice(source: int, sink: int, count: int, **flags: Any) -> int:
            if stat.S_ISFIFO(os.fstat(source).st_mode) == self.outOfPipes:
                if not self.calls:
                    self.refused += 1
                    raise OSError(self.error, os.strerror(self.error))
                self.calls -= 1
            return real(source, sink, count, **flags)

        self.patch(os, "splice", splice)
        self.logged = captureLog(self)
        super().setUp()

    def tearDown(self) -> Any:
        if self.refused:
            warnings = [event["log_format"] for event in self.logged if event["log_level"].name == "warn"]
            relays = 2 if isinstance(self.relay, LanedRelay) else 1
            self.assertIn(len(warnings), range(1, relays + 1), f"{self.refused} refusals")
            self.assertIn("refuses splice", warnings[0])
        return super().tearDown()


class _Splice:
    def makeRelay(self, reactor: IReactor, halfOpenTimeout: float) -> Relay:
        return SpliceRelay(reactor, halfOpenTimeout)


class _Laned:
    def makeRelay(self, reactor: IReactor, halfOpenTimeout: float) -> Relay:
        return LanedRelay(reactor, halfOpenTimeout)


class IntoPipesTests(_Splice, _Refused, bytescontract.BytesContract):
    """It is refused at the first call."""


class OutOfPipesTests(_Splice, _Refused, bytescontract.BytesContract):
    """It is refused when bytes are in a pipe."""

    error = errno.ENOSYS
    outOfPipes = True


class AfterAWhileTests(_Splice, _Refused, bytescontract.BytesContract):
    """It is refused in the middle of streams, as when a filter is installed."""

    error = errno.EPERM
    outOfPipes = True
    calls = 7


class LaneIntoPipesTests(_Laned, _Refused, bytescontract.BytesContract):
    """It is refused at the first call, on lanes."""

    error = errno.EOPNOTSUPP


class LaneOutOfPipesTests(_Laned, _Refused, bytescontract.BytesContract):
    """It is refused when bytes are in a pipe, on lanes."""

    outOfPipes = True
    calls = 3


class OnceTests(_Refused):
    """What one stream has found out is known to all."""

    def makeRelay(self, reactor: IReactor, halfOpenTimeout: float) -> Relay:
        return LaneRelay(reactor, halfOpenTimeout)

    @inThread
    def test_spliceIsNotTriedAgain(self) -> None:
        for _ in range(5):
            pair = self.joined()
            pair.left.sendall(bytes(300_000))
            pair.left.close()
            self.assertEqual(len(receiveAll(pair.right)), 300_000)
            pair.right.close()
            pair.ending()
        self.assertEqual(self.refused, 1)
