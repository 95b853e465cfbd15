"""The end of a process whose tunnels another one has."""

from __future__ import annotations

from typing import Final

from bore.client.service import ClientService
from bore.startup import IProgramReactor
from bore.system.signals import stop

#: How long the visitors of a process may go on whose tunnels another one has, in seconds.
DRAIN: Final = 3600.0

#: How often it is looked, in seconds, whether the last one has left.
_LOOK: Final = 1.0

#: In seconds, at least: until then the sessions are there, on which visitors may be on their way.
_LEAST: Final = 2.0


class Retirement:
    """
    Ends the process when its last visitor has left, or after DRAIN seconds.

    The process has the usual time to end then: visitors that are still there are cut DRAIN_TIMEOUT seconds later.
    """

    def __init__(self, reactor: IProgramReactor, client: ClientService) -> None:
        self._reactor = reactor
        self._client = client
        self._until = reactor.seconds() + DRAIN
        reactor.callLater(_LEAST, self._look)

    def _look(self) -> None:
        if self._client.isIdle or self._reactor.seconds() >= self._until:
            self.end()
        else:
            self._reactor.callLater(_LOOK, self._look)

    def end(self) -> None:
        """End the process in order."""
        stop(self._reactor)
