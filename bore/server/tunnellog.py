"""The log of tunnels that are opened, lost and closed. Without a secret anyone can cause that, any number of times."""

from __future__ import annotations

from typing import Final

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from bore.timing.ratelimits import TokenBuckets
from bore.timing.tally import Tally
from bore.wire.publicaddress import PublicAddress

#: Lines about the tunnels of one network: enough for all tunnels that it may have, each lost and back several times in
#: a row. Then one line at this interval, in seconds.
_BURST: Final = 500
_INTERVAL: Final = 2.0

#: The same for all networks together.
_BURST_OF_ALL: Final = 10_000
_INTERVAL_OF_ALL: Final = 0.05

_ALL: Final = ""


def at(address: PublicAddress, text: str) -> str:
    """The text of a line about a tunnel, with its public address in front: see :func:`bore.events.fieldsOf`."""
    return ("port {port}: " if isinstance(address, int) else "unix:{path}: ") + text


class TunnelLog:
    """Has a line for each step of a tunnel, and sums for networks whose tunnels come and go too fast."""

    def __init__(self, clock: IReactorTime, log: Logger) -> None:
        self._log = log
        self._buckets = TokenBuckets(clock, _BURST, _INTERVAL)
        self._allBuckets = TokenBuckets(clock, _BURST_OF_ALL, _INTERVAL_OF_ALL)
        self._tally = Tally(clock)

    def info(self, network: str, text: str, /, **fields: object) -> None:
        """
        Log a step.

        :param network: under what limits count the client's address.
        """
        if self._buckets.wait(network) > 0 or self._allBuckets.wait(_ALL) > 0:
            self._tally.happened(network, "tunnels of {network} come and go too fast for the log", network=network)
            return
        self._buckets.take(network)
        self._allBuckets.take(_ALL)
        self._log.info(text, **fields)

    def stop(self) -> None:
        """Log the sums that were not logged yet."""
        self._tally.stop()
