"""What the screen shows, as values: taken from a report of the client (:mod:`bore.status`)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class TunnelFigures:
    """
    A tunnel.

    :ivar name: its name.
    :ivar local: the local service.
    :ivar public: the public address where it is up, or was last; empty: it was never up.
    :ivar isUp: whether it is up.
    :ivar why: why it is not up; empty: that is not known yet.
    :ivar isServiceDown: whether its local service could not be reached last.
    """

    name: str
    local: str
    public: str
    isUp: bool
    why: str = ""
    isServiceDown: bool = False


@dataclass(frozen=True)
class ServerFigures:
    """
    A server.

    :ivar name: the server, as ``HOST:PORT``.
    :ivar isUp: whether there is a session with it.
    :ivar away: for how many seconds there is none.
    :ivar retryIn: seconds until the next attempt; None: one is under way.
    :ivar why: why there is no session; empty: no attempt has failed.
    """

    name: str
    isUp: bool
    away: float = 0.0
    retryIn: float | None = None
    why: str = ""


@dataclass(frozen=True)
class Figures:
    """
    A client.

    :ivar now: the time, in the user's time zone.
    :ivar since: since when all of its tunnels that are up are; None: none is up.
    :ivar servers: its servers.
    :ivar tunnels: its tunnels.
    :ivar open: visitors that are there.
    :ivar total: visitors that have come.
    :ivar fromVisitors: bytes from them.
    :ivar toVisitors: bytes to them.
    :ivar roundTrip: the round trip to the server in seconds; None: it is not known.
    """

    now: datetime
    since: datetime | None
    servers: tuple[ServerFigures, ...]
    tunnels: tuple[TunnelFigures, ...]
    open: int = 0
    total: int = 0
    fromVisitors: int = 0
    toVisitors: int = 0
    roundTrip: float | None = None

    @property
    def up(self) -> int:
        """How many tunnels are up."""
        return sum(tunnel.isUp for tunnel in self.tunnels)
