"""What the log says of tunnels that come and go."""

from __future__ import annotations

from typing import Final

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from bore.timing.accounts import Accounts
from bore.timing.tally import Tally

#: Lines about the tunnels of one address: enough for all that it may have, lost and back several times in a row; then
#: one at this interval, in seconds.
_BURST: Final = 500
_INTERVAL: Final = 2.0

#: The same for all addresses together.
_BURST_OF_ALL: Final = 10_000
_INTERVAL_OF_ALL: Final = 0.05

_ALL: Final = ""


class TunnelLog:
    """
    Has a line for each step in a tunnel's life, and sums where an address opens and closes tunnels without end: without
    a secret anybody can.
    """

    _log = Logger()

    def __init__(self, clock: IReactorTime) -> None:
        self._accounts = Accounts(clock, _BURST, _INTERVAL)
        self._allAccounts = Accounts(clock, _BURST_OF_ALL, _INTERVAL_OF_ALL)
        self._tally = Tally(clock)

    def info(self, network: str, text: str, /, **fields: object) -> None:
        """
        Log a step.

        :param network: whom the client's address belongs to.
        """
        if self._accounts.debt(network) > 0 or self._allAccounts.debt(_ALL) > 0:
            self._tally.happened(network, "tunnels of {network} come and go too fast for the log", network=network)
            return
        self._accounts.charge(network)
        self._allAccounts.charge(_ALL)
        self._log.info(text, **fields)

    def stop(self) -> None:
        """Log what has not been logged yet."""
        self._tally.stop()
