"""How often an address may be wrong about the secret."""

from __future__ import annotations

from typing import Final

from twisted.internet.interfaces import IReactorTime

from bore.timing.accounts import Accounts

#: So many wrong secrets in a row cost an address nothing: people mistype, and several of them share one address.
BURST: Final = 10

#: After that one is checked at this interval, in seconds.
INTERVAL: Final = 0.5

#: The longest wait for a check, in seconds. Original clients have a patience of 3.
LONGEST_WAIT: Final = 2.0


class Guesses:
    """
    Counts wrong secrets per source, and has a source that was wrong too often wait for its turn.

    What is right and what is wrong is only known when it was checked: so both wait. An address that guesses can slow
    down other clients behind it, and does not keep them out as long as it waits for answers itself.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self._accounts = Accounts(clock, BURST, INTERVAL)

    def failed(self, source: str) -> None:
        """A source was wrong about the secret."""
        self._accounts.charge(source)

    def limits(self, source: str) -> bool:
        """Whether a source has to wait for the next check."""
        return self._accounts.debt(source) > 0

    def turn(self, source: str) -> float | None:
        """
        Put a source's next check in line. It counts as a wrong one already.

        :returns: in how many seconds it is due; None: too many wait already.
        """
        wait = self._accounts.debt(source)
        if wait > LONGEST_WAIT:
            return None
        self._accounts.charge(source)
        return max(wait, 0.0)
