"""How many tunnels are asked for at the same time, where that takes time, and which session is the next to ask."""

from __future__ import annotations

from typing import Final, Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime

#: How many there are. If thousands were, as at the start of clients with a thousand tunnels each at a node that is
#: busy, the last ones would be late, given up, and asked for again.
AT_ONCE: Final = 64


class Asking(Protocol):
    """A session with tunnels that it has to ask for."""

    def askNext(self) -> bool:
        """Ask for one of them; returns whether there are others."""


class ClaimTurns:
    """
    The turns of all sessions of a server.

    A claim that is answered at once counts for nothing: no other one ever waits for it.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._waiting: dict[Asking, None] = {}
        self._running = 0
        self._call: IDelayedCall | None = None

    def wait(self, session: Asking) -> None:
        """Have a session ask when it is its turn, which may be now."""
        self._waiting.setdefault(session)
        self._next()

    def leave(self, session: Asking) -> None:
        """A session is over."""
        self._waiting.pop(session, None)
        if not self._waiting and self._call is not None:
            self._call.cancel()
            self._call = None

    def begun(self) -> None:
        """A claim was not answered at once."""
        self._running += 1

    def ended(self) -> None:
        """Such a claim has its answer, or was given up."""
        self._running -= 1
        if self._waiting and self._call is None:
            # Not from within an answer: the next one may come at once, and there may be a thousand.
            self._call = self._clock.callLater(0, self._later)

    def _later(self) -> None:
        self._call = None
        self._next()

    def _next(self) -> None:
        while self._waiting and self._running < AT_ONCE:
            session = next(iter(self._waiting))
            del self._waiting[session]
            if session.askNext():
                self._waiting[session] = None
