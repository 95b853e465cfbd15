"""What a membership has happen, as events: each once, and not for an engine that is only slow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from bore.cluster.engine import EngineAway, EngineRefuses
from bore.events import Event
from bore.events.server import (
    ClusterJoined,
    ClusterTtlDiffers,
    EngineAnswers,
    EngineRefused,
    EngineUnanswered,
    NodeNameTaken,
    OwnershipBack,
    OwnershipLapsed,
)

#: An engine that has not answered for this time is reported, in seconds: longer than one call that is lost.
_REPORTED: Final = 5.0

#: Errors are only of single calls if the beats before and after them were answered within this time, in seconds.
_STEADY: Final = 2.5

#: An error of a single call is reported once within this time, in seconds.
_AGAIN: Final = 600.0

#: How many errors are kept, in an outage or within _AGAIN.
_KEPT: Final = 8


class Reports:
    """
    Reports whether the engine answers, and whether the node acts as owner.

    :param name: the name of the node.
    :param now: the clock of the membership.
    :ivar joined: whether it has ever acted as owner.
    :ivar emit: gets the events.
    """

    def __init__(self, name: str, now: Callable[[], float]) -> None:
        self._name = name
        self._now = now
        self._answered = self._complete = now()
        self._unanswered = False
        self._errors: set[str] = set()  # those that were reported since then
        self._refusals: set[str] = set()  # errors of single calls since the last beat was answered
        self._refused: dict[str, float] = {}  # when each was reported
        self._another = self._otherTtl = False
        self.joined = False
        self.emit: Callable[[Event], None] = lambda event: None

    @property
    def away(self) -> float | None:
        """For how many seconds the engine has not answered; None: it answers."""
        return self._now() - self._answered if self._unanswered else None

    def answered(self) -> None:
        """The engine has answered."""
        now = self._now()
        refusals, self._refusals = self._refusals, set()
        for error in sorted(refusals) if now - self._answered < _STEADY else ():
            self._tell(error, now)
        if self._unanswered:
            self.emit(EngineAnswers(now - self._answered))
            self._unanswered = False
            self._errors.clear()
        self._answered = now

    def completed(self) -> None:
        """All calls of a turn have succeeded."""
        self._complete = self._now()

    def failed(self, error: str, until: float) -> None:
        """
        The engine has not answered. Each error is reported once until it does.

        :param until: when the node ceases to act as owner.
        """
        now = self._now()
        if now - self._answered >= _REPORTED and error not in self._errors and len(self._errors) < _KEPT:
            self._unanswered = True
            self._errors.add(error)
            self.emit(EngineUnanswered(error or "the engine of the cluster has not answered", max(0.0, until - now)))

    def refused(self, error: EngineAway) -> None:
        """
        A call has failed that is none of a turn. That is reported if the engine says why, and answers the next beat.
        """
        if isinstance(error, EngineRefuses) and len(self._refusals) < _KEPT:
            self._refusals.add(str(error))

    def incomplete(self, error: EngineAway) -> None:
        """
        A call of a turn has failed whose beat was answered. That is reported if the engine says why, or it is so for a
        while.
        """
        now = self._now()
        if isinstance(error, EngineRefuses) or now - self._complete >= _REPORTED:
            self._tell(str(error), now)

    def _tell(self, error: str, now: float) -> None:
        """Report the error of a single call, once."""
        self._refused = {each: since for each, since in self._refused.items() if now - since < _AGAIN}
        if error not in self._refused and len(self._refused) < _KEPT:
            self._refused[error] = now
            self.emit(EngineRefused(error))

    def sees(self, another: bool, otherTtl: bool) -> None:
        """
        The engine has told of the other nodes.

        :param another: whether one that runs has the same name or address.
        :param otherTtl: whether one has another time to live.
        """
        if another and not self._another:
            self.emit(NodeNameTaken(self._name))
        if otherTtl and not self._otherTtl:
            self.emit(ClusterTtlDiffers())
        self._another, self._otherTtl = another, otherTtl

    def acts(self, acting: bool, tunnels: int, others: int) -> None:
        """The node acts as owner from now on, or does not any more."""
        if not acting:
            self.emit(OwnershipLapsed(tunnels))
        elif self.joined:
            self.emit(OwnershipBack())
        else:
            self.joined = True
            self.emit(ClusterJoined(self._name, others))
