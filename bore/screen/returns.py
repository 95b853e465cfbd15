"""Tunnels that were lost and are back, in words."""

from __future__ import annotations

from typing import Final

from bore.events import Event
from bore.events.client import NodeLost, ServerLost, Stage, TunnelGivenUp, TunnelUp
from bore.screen.lines import Line, Part, Style
from bore.screen.words import duration

#: A line has the names of this number of tunnels.
_NAMED: Final = 3


class Returns:
    """Knows which tunnels are away since when, and says when they are back."""

    def __init__(self) -> None:
        self._up: dict[str, str] = {}  # the server of each tunnel
        self._away: dict[str, float] = {}
        self._back: dict[str, float] = {}  # those that no line was made for yet, and how long they were away

    def happened(self, event: Event, now: float) -> None:
        """
        Take an event into account.

        :param now: the time in seconds.
        """
        match event:
            case TunnelUp(server=server, tunnel=name):
                since = self._away.pop(name, None)
                if since is not None:
                    self._back[name] = now - since
                self._up[name] = server
            case ServerLost(server=server, what=Stage.TUNNEL, tunnel=lost):
                gone = [name for name, at in self._up.items() if name == lost or (at == server and not lost)]
                for name in gone:
                    del self._up[name]
                    self._away.setdefault(name, now)
            case NodeLost(server=server, heir=heir) if heir:
                self._up = {name: heir if at == server else at for name, at in self._up.items()}
            case TunnelGivenUp(tunnel=name):
                self._up.pop(name, None)
                self._away.pop(name, None)

    def line(self) -> Line | None:
        """Return what is to be said of those that are back since the last line; None: nothing."""
        back, self._back = self._back, {}
        if not back:
            return None
        after = f"back after {duration(max(back.values()))}"
        if "" in back:
            return [Part(after, Style.GOOD)]
        names = list(back)
        more = len(names) - _NAMED
        who = ", ".join(names) if more <= 0 else f"{', '.join(names[:_NAMED])} and {more} more"
        return [Part(after, Style.GOOD), Part(f": {who}")]
