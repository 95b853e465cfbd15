"""What the header is about: the public addresses, and what is trusted; and when it is shown."""

from __future__ import annotations

from typing import Final

from bore.events import Event
from bore.events.client import ServerTrusted, TunnelUp
from bore.screen.figures import Figures, TunnelFigures
from bore.screen.header import addressOf, headerLines
from bore.screen.lines import Painter, Part, Style
from bore.screen.qr import qrLines

#: Seconds that the header waits for further tunnels after the first one is up.
_COLLECT: Final = 1.0

#: Changes of addresses that have lines of their own; for more of them the header is shown again.
_FEW: Final = 3

#: What the service of a tunnel sends first, if it speaks HTTP.
_HTTP: Final = b"HTTP/"


class Heading:
    """
    Makes the header, and lines for what changes in it later.

    :ivar shown: the addresses that were shown last, by the names of tunnels.
    """

    def __init__(self, painter: Painter) -> None:
        self._painter = painter
        self._speaksHttp: dict[str, bool] = {}
        self._trust: dict[str, str] = {}
        self._due: float | None = None
        self._nextCode = 0
        self.shown: dict[str, str] = {}

    def happened(self, event: Event, now: float) -> None:
        """
        Take an event into account.

        :param now: the time in seconds.
        """
        match event:
            case ServerTrusted(server, key, why):
                self._trust[server] = f"TLS with {server}: key {key}, {why}"
            case TunnelUp(server=server):
                address = _withoutUser(server)
                self._trust.setdefault(address, f"no TLS with {address}: traffic to it is not encrypted")
                if self._due is None:
                    self._due = now + _COLLECT

    def firstBytes(self, name: str, data: bytes, now: float) -> None:
        """
        Take into account what the service of a tunnel has sent first.

        :param name: the name of the tunnel.
        """
        self._speaksHttp[name] = data.startswith(_HTTP)
        if self._due is None:
            self._due = now

    def lines(self, figures: Figures, width: int, height: int, now: float) -> list[str]:
        """Return the header, or what has changed in it, if it is time for that."""
        isComplete = figures.up == len(figures.tunnels)
        if self._due is None or not figures.up or not (isComplete or now >= self._due):
            return []
        self._due = None
        up = [tunnel for tunnel in figures.tunnels if tunnel.isUp]
        former, self.shown = self.shown, {each.name: addressOf(each, self._speaksHttp) for each in up}
        changed = [each for each in up if former.get(each.name) != self.shown[each.name]]
        if former and len(changed) <= _FEW:
            return [line for each in changed for line in self._changed(each, len(figures.tunnels) > 1, width)]
        used = {_withoutUser(each.name) for each in figures.servers}
        trust = [text for server, text in self._trust.items() if server in used]
        return headerLines(figures.tunnels, self._speaksHttp, trust, self._painter, width, height)

    def code(self, figures: Figures, width: int) -> list[str]:
        """Return the QR code of a tunnel that is up: of the next one each time."""
        up = [tunnel for tunnel in figures.tunnels if tunnel.isUp and not tunnel.public.startswith("unix:")]
        if not up:
            text = "no tunnel with a port is up: there is no address for a QR code"
            return self._painter.wrapped(text, Style.WARN, width)
        tunnel = up[self._nextCode % len(up)]
        self._nextCode += 1
        # A telephone opens a URL; what is not known to be something else may be a page.
        url = addressOf(tunnel, {tunnel.name: self._speaksHttp.get(tunnel.name, True)})
        try:
            code = qrLines(url, self._painter, width)
        except ValueError as e:
            code = self._painter.wrapped(str(e), Style.WARN, width)
        name = [Part(f"{tunnel.name}: ")] if len(figures.tunnels) > 1 else []
        return [*code, self._painter.paint([*name, Part(url, Style.ADDRESS)], width)]

    def _changed(self, tunnel: TunnelFigures, isNamed: bool, width: int) -> list[str]:
        name = f"{tunnel.name}: " if isNamed else ""
        return self._painter.wrapped(name + self.shown[tunnel.name], Style.ADDRESS, width, indent=0)


def _withoutUser(server: str) -> str:
    """A server as events name it, without the user."""
    return server.rpartition("@")[2]
