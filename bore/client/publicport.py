"""Which public port to ask a server for."""

from __future__ import annotations

from typing import Final

from twisted.internet.interfaces import IReactorTime

from bore.client.state import Memory, Remembered
from bore.wire.errors import BindFailed, PortForbidden, PortInUse, PortNotAllowed, Refusal, TakenOver

#: How long a client insists on the random port that it had when it is told that the port is in use, in seconds. The
#: one who uses it may be our own lost session: a server needs about ten seconds to notice that.
INSIST: Final = 10.0


class PublicPort:
    """
    Remembers the public port at one server, so that the tunnel comes back where it was.

    A port that the user has asked for is asked for always. One that the server chose is asked for again, and given
    up when the server will not have it.

    :param asked: what the user has asked for; 0 for any port.
    :param memory: what is remembered beyond the end of the process.
    :ivar resume: the token of the tunnel that we had, or None.
    """

    def __init__(self, clock: IReactorTime, asked: int, memory: Memory) -> None:
        self._clock = clock
        self._asked = asked
        self._memory = memory
        self._had = 0
        self._loaded = False
        self._refusedSince: float | None = None
        self.resume: str | None = None

    @property
    def wanted(self) -> int:
        """The port to ask for now; 0 for any."""
        return self._asked or self._had

    def recall(self) -> None:
        """Read what is remembered, before the server is asked, as long as there was no tunnel."""
        if self._loaded:
            return
        tunnel = self._memory.load()
        if tunnel is not None:
            self._loaded = True
            self._had = tunnel.port
            self.resume = tunnel.resume  # of use for another port, too: the one that we had need not be kept

    def close(self) -> None:
        """Let another client use what remembers the port."""
        self._memory.close()

    def opened(self, port: int, resume: str | None) -> None:
        """The tunnel is up on this port."""
        self._loaded = True
        self._had = port
        self.resume = resume
        self._refusedSince = None
        self._memory.save(Remembered(port, resume))

    def interrupted(self) -> None:
        """The server could not be asked: how long the port has been refused is unknown again."""
        self._refusedSince = None

    def refused(self, refusal: Refusal) -> bool:
        """
        The server has refused.

        :returns: whether the port that we had was given up, so that asking again at once makes sense.
        """
        if isinstance(refusal, TakenOver):
            self.resume = None  # whoever has taken it would only be driven out by us again, and we by it
        if self._asked or not self._had:
            return False
        match refusal:
            case PortInUse():
                now = self._clock.seconds()
                if self._refusedSince is None:
                    self._refusedSince = now
                if now - self._refusedSince < INSIST:
                    return False
            case PortNotAllowed() | PortForbidden() | BindFailed():
                pass
            case _:
                return False
        self._had = 0
        self.resume = None
        self._refusedSince = None
        return True
