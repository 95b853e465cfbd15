"""One interval for many members: few timers, however many they are."""

from __future__ import annotations

from typing import Final, Protocol

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

#: When a beat is later than this, in seconds, the program itself was stopped or starved.
LATE: Final = 0.5

#: After a late beat, the time within which the input of peers may not have been read yet, in seconds.
_PASS: Final = 0.05

#: The part of the interval by which the first beat of a member may be early, so that it shares a timer with others.
_GROUPS: Final = 20


class Stalls:
    """
    The times in which this program was stopped, or starved of CPU time, as far as beats were late.

    :ivar total: the seconds of all of them.
    :ivar end: when the last one ended: since then all beats have been in time.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self.total = 0.0
        self.end = clock.seconds()

    def wasLate(self, due: float, now: float) -> bool:
        """
        A beat has come. If it is late, the time since it was due is a stall, or a part of one.

        :returns: whether this beat or one right before it was late: the input of peers may not have been read since.
        """
        if now - due > LATE and now > self.end:
            self.total += now - max(due, self.end)
            self.end = now
        return now - self.end < _PASS


class Member(Protocol):
    """Something that has a beat at each interval."""

    def beat(self, late: bool) -> None:
        """
        The interval has passed. Must not raise.

        :param late: whether beats are late: the input of peers may not have been read for some time.
        """


class Group:
    """
    The members whose intervals begin at about the same time.

    :ivar due: when the next beat is due.
    """

    _log = Logger()

    def __init__(self, clock: IReactorTime, rhythm: Rhythm, stalls: Stalls) -> None:
        self._clock = clock
        self._rhythm = rhythm
        self._stalls = stalls
        self._members: dict[Member, None] = {}
        self._loop = LoopingCall(self._beat)
        self._loop.clock = clock
        self.due = clock.seconds() + rhythm.interval
        self._loop.start(rhythm.interval, now=False).addErrback(self._failed)

    @property
    def late(self) -> bool:
        """Whether the beat that is due next is late."""
        return self._clock.seconds() > self.due + LATE

    def add(self, member: Member) -> None:
        """Add a member. Its first beat is the next one of the group."""
        self._members[member] = None

    def leave(self, member: Member) -> None:
        """Remove a member."""
        del self._members[member]
        if not self._members:
            self._loop.stop()
            self._rhythm.ended(self)

    def _beat(self) -> None:
        now, interval = self._clock.seconds(), self._rhythm.interval
        late = self._stalls.wasLate(self.due, now)
        self.due += interval * (max(0.0, now - self.due) // interval + 1)
        self._rhythm.latest = self
        members = self._members
        for member in tuple(members):
            if member in members:
                member.beat(late)

    def _failed(self, reason: Failure) -> None:
        self._log.failure("a group of sessions gets no heartbeats any more", reason)


class Rhythm:
    """
    Beats for any number of members, at one interval.

    The members that join within a twentieth of the interval are a group with one LoopingCall. So there are as many
    groups as the interval can be told apart, and what the beats cost is spread over it.

    :param interval: in seconds.
    :ivar latest: the group that has begun its interval last; None if there is no such group.
    """

    def __init__(self, clock: IReactorTime, interval: float, stalls: Stalls) -> None:
        self._clock = clock
        self._stalls = stalls
        self.interval = interval
        self.latest: Group | None = None

    def join(self, member: Member) -> Group:
        """
        Have a member get its first beat after the interval, or up to a twentieth of it earlier.

        :returns: the group that it has joined, which it has to leave.
        """
        group = self.latest
        if group is None or group.due < self._clock.seconds() + self.interval * (1 - 1 / _GROUPS):
            group = self.latest = Group(self._clock, self, self._stalls)
        group.add(member)
        return group

    def ended(self, group: Group) -> None:
        """A group has no members any more."""
        if self.latest is group:
            self.latest = None
