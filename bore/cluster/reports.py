"""What a membership has happen, as events: each once, and not for an engine that is only slow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from bore.events import Event
from bore.events.server import (
    ClusterJoined,
    ClusterTtlDiffers,
    EngineAnswers,
    EngineUnanswered,
    NodeNameTaken,
    OwnershipBack,
    OwnershipLapsed,
)

#: An engine that has not answered for this time is reported, in seconds: longer than one call that is lost.
_REPORTED: Final = 5.0


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
        self._answered = now()
        self._unanswered = False
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
        if self._unanswered:
            self.emit(EngineAnswers(now - self._answered))
            self._unanswered = False
        self._answered = now

    def failed(self, error: str, until: float) -> None:
        """
        The engine has not answered.

        :param until: when the node ceases to act as owner.
        """
        now = self._now()
        if not self._unanswered and now - self._answered >= _REPORTED:
            self._unanswered = True
            self.emit(EngineUnanswered(error or "the engine of the cluster has not answered", max(0.0, until - now)))

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
