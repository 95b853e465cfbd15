"""What a member gives back, until the engine has answered."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Final

#: How many claims whose outcome is unknown are given back once more, later.
_DOUBTFUL: Final = 4096


class Leaving:
    """
    The addresses that a member gives back, each with the number of the last claim that is given back.

    A claim whose outcome is unknown may be carried out after it was given back: it is given back once more.

    :param later: after how many seconds.
    """

    def __init__(self, later: float) -> None:
        self._later = later
        self._claims: dict[int, int] = {}
        self._doubtful: deque[tuple[float, int, int]] = deque(maxlen=_DOUBTFUL)

    def add(self, address: int, claim: int) -> None:
        """An address is given back."""
        self._claims[address] = max(claim, self._claims.get(address, 0))

    def doubt(self, address: int, claim: int, now: float) -> None:
        """The outcome of a claim is unknown."""
        self.add(address, claim)
        self._doubtful.append((now + self._later, address, claim))

    def take(self, now: float) -> Iterable[tuple[int, int]]:
        """Take out what is to be given back now."""
        while self._doubtful and self._doubtful[0][0] <= now:
            _, address, claim = self._doubtful.popleft()
            self.add(address, claim)
        claims, self._claims = self._claims, {}
        return claims.items()

    def clear(self) -> None:
        """The member has ended, with all that it had."""
        self._claims.clear()
        self._doubtful.clear()
