"""Limits the wrong secrets from each address for each user."""

from __future__ import annotations

from itertools import islice
from typing import Final

from twisted.internet.interfaces import IReactorTime

from bore.timing.ratelimits import TokenBuckets

#: The number of wrong secrets in a row that are checked at once: people mistype, and several share an address.
BURST: Final = 10

#: The interval at which later ones are checked, in seconds.
INTERVAL: Final = 0.5

#: The longest such interval in one of several processes, in seconds: more than one check can wait for its turn.
LONGEST_INTERVAL: Final = 1.0

#: The longest wait for a check, in seconds. Original clients wait for 3.
LONGEST_WAIT: Final = 2.0

#: Twice the burst of wrong secrets is answered at once. The delay of the next answer, in seconds; it doubles each time.
FIRST_DELAY: Final = 0.1

#: The longest delay of an answer, in seconds: together with the wait for the check less than original clients wait.
LONGEST_DELAY: Final = 0.9

#: Of all addresses together, as many times more wrong secrets for one user are answered at once.
_ADDRESSES: Final = 10

#: Wrong secrets are forgotten when there was none for this time, in seconds.
FORGET: Final = 60.0

#: How many counts are kept. Those that were used the longest ago are dropped first.
_MAX_COUNTS: Final = 4096


class Guesses:
    """
    Counts the wrong secrets of each source for each user, and delays checks and answers where there are too many.

    The checks of a source for a user are delayed, a right secret among them, as only the check tells it from a wrong
    one. Wrong secrets for other users, or from other sources, do not delay it. A source that guesses delays the other
    clients of its address and user. It does not lock them out, unless it sends guesses without waiting for the answers.

    The answers to wrong secrets are delayed further: by a time that grows with those of the source for the user, and
    with those of all sources for the user.

    Names that no user has are counted like others. The user without a name is all who hold a shared secret.

    :param burst: the number of wrong secrets that are checked at once; 0: any number.
    """

    def __init__(self, clock: IReactorTime, burst: int = BURST) -> None:
        self._clock = clock
        self._shares = 1
        self._whole = burst
        self._set()
        self._counts: dict[str, tuple[int, float]] = {}  # how many, and when the last one was

    def __len__(self) -> int:
        """The number of sources, users, and pairs of them, that wrong secrets are counted for."""
        return len(self._counts)

    def apply(self, burst: int) -> None:
        """Apply another limit."""
        if burst != self._whole:
            self._whole = burst
            self._set()

    def share(self, processes: int) -> None:
        """
        Apply a part of the limit, rounded up, and check later ones more rarely, as so many processes do the same.

        What they do together is the limit of one process, as long as a check need not wait for too long for that.
        """
        if processes != self._shares:
            self._shares = processes
            self._set()

    def _set(self) -> None:
        self._burst = -(-self._whole // self._shares)
        self._buckets = TokenBuckets(self._clock, self._burst, min(INTERVAL * self._shares, LONGEST_INTERVAL))

    def failed(self, source: str, user: str = "", counted: bool = False) -> float:
        """
        Count a wrong secret.

        :param counted: whether :meth:`turn` has counted its check.
        :returns: how long the answer has to be delayed, in seconds.
        """
        if not self._burst:
            return 0.0
        key = _key(source, user)
        if not counted:
            self._buckets.take(key)
        free = 2 * self._burst
        return max(self._count(key, free), self._count(_key("", user), _ADDRESSES * free) if user else 0.0)

    def limits(self, source: str, user: str = "") -> bool:
        """Whether the next check of a source for a user is delayed."""
        return self._burst > 0 and self._buckets.wait(_key(source, user)) > 0

    def turn(self, source: str, user: str = "") -> float | None:
        """
        Schedule the next check of a source for a user. It is counted as wrong in advance.

        :returns: the delay in seconds; None: too many checks wait already.
        """
        key = _key(source, user)
        wait = self._buckets.wait(key)
        if wait > LONGEST_WAIT:
            return None
        self._buckets.take(key)
        return max(wait, 0.0)

    def _count(self, key: str, free: int) -> float:
        """Count a wrong secret, and return the delay of its answer."""
        now = self._clock.seconds()
        count, last = self._counts.pop(key, (0, now))
        if now - last > FORGET:
            count = 0
        for other in list(islice(self._counts, 2)):
            if len(self._counts) >= _MAX_COUNTS or now - self._counts[other][1] > FORGET:
                del self._counts[other]
        self._counts[key] = count + 1, now
        beyond = count + 1 - free
        return min(FIRST_DELAY * 2.0 ** min(beyond - 1, 10), LONGEST_DELAY) if beyond > 0 else 0.0


def _key(source: str, user: str) -> str:
    """What wrong secrets are counted under. No source and no name has a blank."""
    return f"{source} {user}" if user else source
