"""How long lanes may take: to show that they are alive, and to answer a reset."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from twisted.internet.interfaces import IDelayedCall

from bore.relay.carriedpair import CarriedPair
from bore.relay.interface import PROOF_TIMEOUT
from bore.streams.reactor import IReactor
from bore.timing.deadlines import Deadlines
from bore.wire.lane import RESET_TIMEOUT

#: Seconds between two checks of a lane that may be dead, while the stream on it has sent much and must wait.
_LOOK: Final = 0.03


class Unanswered(Protocol):
    """A lane that waits for the other side's last frame."""

    def unanswered(self) -> None:
        """The frame has not come within RESET_TIMEOUT seconds."""


class LaneDeadlines:
    """
    The deadlines of all lanes of a relay.

    :param failed: called with a pair when a check raises an exception, while it is being handled.
    :ivar unproven: the pairs whose lanes have not shown yet that they are alive.
    :ivar unanswered: the lanes that wait for the other side's last frame.
    """

    def __init__(self, reactor: IReactor, failed: Callable[[CarriedPair], None]) -> None:
        self._reactor = reactor
        self._failed = failed
        self.unproven: Deadlines[CarriedPair, None] = Deadlines(
            reactor, PROOF_TIMEOUT, lambda pair, _: self._safely(pair.check, pair)
        )
        self.unanswered: Deadlines[Unanswered, None] = Deadlines(
            reactor, RESET_TIMEOUT, lambda lane, _: lane.unanswered()
        )

    def lookSoon(self, pair: CarriedPair) -> IDelayedCall:
        """Have a pair look soon whether its stream has to wait any longer."""
        return self._reactor.callLater(_LOOK, self._safely, pair.look, pair)

    def close(self) -> None:
        """Forget all deadlines."""
        self.unproven.takeAll()
        self.unanswered.takeAll()

    def _safely(self, do: Callable[[], None], pair: CarriedPair) -> None:
        try:
            do()
        except Exception:
            self._failed(pair)
