"""When a client that has lost its server tries again, at which server, and when it gives up."""

from __future__ import annotations

from random import Random
from typing import Final, NamedTuple

from twisted.internet.interfaces import IReactorTime

from bore.client.advice import NO_ADVICE, Advice
from bore.client.reasons import CheckFailed, ExtensionNeeded, ServerUnreachable
from bore.client.settings import ClientSettings
from bore.client.verdicts import isBlip
from bore.events.client import Verdict
from bore.tls.errors import ServerNotTrusted
from bore.wire.errors import ClusterAway, ClusterRecovering, ProtocolViolation, Refusal

#: Seconds for which a client with several servers comes back to the one that it has lost, if that one keeps the port. A
#: blip of the network is mostly over by then; behind a server that is dead, the client is soon at the next one.
RETURN: Final = 3.0

#: A client whose session was given away begins the next one within this time, in seconds, unless the server knows
#: better.
MOVE: Final = 1.0

#: A session that is given away within this time, in seconds, has gone back and forth.
_MOVED_SOON: Final = 1.0

#: The first delay between two attempts, in seconds, and the factor by which it grows.
_FIRST_DELAY: Final = 1.0
_GROWTH: Final = 2.0

#: The longest delay before an attempt at a server that is not known to be away, in seconds.
_FRESH_DELAY: Final = 0.5

#: The longest delay before a cluster is asked again that grants nothing for the time being, in seconds.
_CLUSTER_DELAY: Final = 10.0

#: A session that is lost within this time counts as an attempt that has failed, in seconds.
_SETTLED: Final = 60.0

#: After this number of such sessions in a row the client does not come back to their server.
_LOST_SOON: Final = 2

#: The failures that have exit codes or texts of their own, and are reasons to give up as they are.
_REASONS: Final = (Refusal, ProtocolViolation, ServerNotTrusted, ExtensionNeeded)


class Failed(NamedTuple):
    """
    An attempt that led to no tunnel, or a session that was lost.

    :ivar text: what has happened, for people.
    :ivar lost: whether there was a tunnel.
    :ivar advice: what the user can do about it.
    """

    why: BaseException | None
    verdict: Verdict
    text: str
    lost: bool
    advice: Advice = NO_ADVICE


class Again(NamedTuple):
    """
    There is another attempt.

    :ivar delay: seconds until then.
    :ivar elsewhere: whether it is at the next server.
    """

    delay: float
    elsewhere: bool


class RetryPolicy:
    """
    Decides what follows when there is no connection.

    The delay doubles from attempt to attempt, up to a limit, until there is a tunnel; then the client begins anew. The
    actual delay is between half of it and all of it, at random, so that clients that have lost their server together do
    not come back together. A server that was not tried since the last tunnel was lost, or that may keep the port, is
    tried in the first half second.

    :param clock: only its time is used.
    :param random: spreads the delays.
    :param longest: the longest delay, in seconds.
    :param exitAfter: the number of failures in a row after which the client gives up; 0: none.
    :param reconnect: whether there are further attempts at all.
    :param failFast: see :class:`bore.client.settings.ClientSettings`.
    :ivar returning: whether the client comes back to the server that it has lost, for RETURN seconds.
    """

    def __init__(
        self,
        clock: IReactorTime,
        random: Random,
        longest: float,
        exitAfter: int = 0,
        reconnect: bool = True,
        failFast: bool = False,
    ) -> None:
        self._clock = clock
        self._random = random
        self._longest = longest
        self._exitAfter = exitAfter
        self._reconnect = reconnect
        self._failFast = failFast
        self._delay = min(_FIRST_DELAY, longest)
        self._attempts = 0  # since there was a tunnel
        self._openedAt = 0.0
        self._failures = self._checkFailures = self._lostSoon = 0
        self._longestMove = MOVE
        self._movedAt = float("-inf")  # when the session began behind the last move
        self.returning = False

    def apply(self, settings: ClientSettings) -> None:
        """Have other limits."""
        self._longest = settings.maxReconnectDelay
        self._exitAfter = settings.exitAfterFailures
        self._reconnect = settings.reconnect
        self._failFast = settings.failFast
        self._delay = min(self._delay, self._longest)

    def opened(self) -> None:
        """There is a tunnel."""
        self._delay = min(_FIRST_DELAY, self._longest)
        self._attempts = 0
        self._openedAt = self._clock.seconds()
        self.returning = False

    def checked(self) -> None:
        """A check has shown that visitors come through the tunnel."""
        self._checkFailures = 0

    def lost(self, why: BaseException | None, keepsPort: bool, servers: int) -> None:
        """
        A session with a tunnel has ended.

        :param keepsPort: whether the server keeps the public port for a while.
        :param servers: the number of servers that are tried.
        """
        settled = self._clock.seconds() - self._openedAt >= _SETTLED
        self._failures = 0 if settled else self._failures + 1
        self._lostSoon = 0 if settled else self._lostSoon + 1
        worthIt = self._lostSoon <= _LOST_SOON and servers > 1 and self._reconnect
        self.returning = worthIt and keepsPort and isBlip(why)

    @property
    def failures(self) -> int:
        """The number of failures in a row."""
        return self._failures

    def isHopeless(self, advice: Advice) -> bool:
        """Whether a failure is final because of --fail-fast."""
        return self._failFast and not advice.mends

    def moved(self, within: float | None = None) -> float:
        """
        The server has given the session away: return the delay before the next one begins, in seconds.

        It is drawn at random, so that all clients of a server do not come at once; and up to twice as long each time
        that this happens soon after the last time.

        :param within: the longest one, in seconds; None: MOVE.
        """
        now = self._clock.seconds()
        soon = now - self._movedAt < _MOVED_SOON
        longest = max(MOVE, self._longest)
        if soon:
            self._longestMove = min(max(self._longestMove * _GROWTH, MOVE), longest)
        else:
            self._longestMove = MOVE if within is None else within
        self.returning = False
        delay = self._random.uniform(0.0, self._longestMove)
        self._movedAt = now + delay
        return delay

    def next(self, failed: Failed, servers: int) -> Again | Exception:
        """
        Decide what follows.

        :param servers: the number of servers that are still tried.
        :returns: the next attempt, or the reason to make none.
        """
        returns = self.returning and isBlip(failed.why)
        self._failures += not failed.lost and not returns
        self._checkFailures += isinstance(failed.why, CheckFailed)
        reason = self._reasonToEnd(failed, servers)
        if reason is not None:
            self.returning = False
            return reason
        if failed.verdict in (Verdict.LATER, Verdict.UNPROVEN):
            self._delay = self._longest
        if isinstance(failed.why, ClusterAway | ClusterRecovering):
            self._delay = min(self._delay, _CLUSTER_DELAY)
        if not returns:
            self.returning = False
            self._attempts += 1
        return Again(self._spread(returns or self._attempts % servers != 0), not returns)

    def _reasonToEnd(self, failed: Failed, servers: int) -> Exception | None:
        why = failed.why
        if not servers:
            return _explained(why, failed) if isinstance(why, _REASONS) else ServerUnreachable(failed.text)
        if not self._reconnect:
            if isinstance(why, Refusal | ProtocolViolation):
                return _explained(why, failed)
            return ServerUnreachable(failed.text)
        failures = max(self._failures, self._checkFailures)
        if 0 < self._exitAfter <= failures:
            return ServerUnreachable(f"failures in a row: {failures}, the last one: {failed.text}")
        return None

    def _spread(self, fresh: bool) -> float:
        """The delay before the next attempt."""
        if fresh:
            return self._random.uniform(0.0, _FRESH_DELAY)
        delay = self._random.uniform(0.5, 1.0) * self._delay
        self._delay = min(self._delay * _GROWTH, self._longest)
        return delay


def _explained(why: Exception, failed: Failed) -> Exception:
    """Return a reason to give up, with what the user can do about it."""
    if failed.advice.text:
        why.add_note(failed.advice.text)
    return why
