"""A subscriber that checks what bore/events/server.py promises: each beginning has exactly one end."""

from __future__ import annotations

from collections import Counter

from bore.events import Event
from bore.events import server as facts
from bore.wire.publicaddress import PublicAddress


class Balance:
    """
    Follows the events of a server.

    :ivar sessions: how many sessions of each peer are open.
    :ivar tunnels: the ports of the tunnels that are open, and whether each of them has a session.
    :ivar visitors: the visitors that have not left, and whether each of them is served.
    """

    def __init__(self) -> None:
        self.sessions: Counter[str] = Counter()
        self.tunnels: dict[PublicAddress, bool] = {}
        self.visitors: dict[str, bool] = {}

    def __call__(self, event: Event) -> None:
        match event:
            case facts.SessionOpened(peer=peer):
                self.sessions[peer] += 1
            case facts.SessionClosed(peer=peer) | facts.SessionLost(peer=peer):
                assert self.sessions[peer] > 0, event
                self.sessions[peer] -= 1
            case facts.TunnelOpened(address=port):
                assert port not in self.tunnels, event
                self.tunnels[port] = True
            case facts.TunnelLost(address=port):
                assert self.tunnels[port], event
                self.tunnels[port] = False
            case facts.TunnelBack(address=port):
                assert port in self.tunnels, event
                self.tunnels[port] = True
            case facts.TunnelClosed(address=port):
                assert port in self.tunnels, event
                del self.tunnels[port]
            case _:
                self._followVisitor(event)

    def _followVisitor(self, event: Event) -> None:
        match event:
            case facts.VisitorCame(id=id, address=port):
                assert id not in self.visitors and port in self.tunnels, event
                self.visitors[id] = False
            case facts.VisitorServed(id=id):
                assert not self.visitors[id], event
                self.visitors[id] = True
            case facts.VisitorOffLane(id=id):
                assert self.visitors[id], event
                self.visitors[id] = False
            case facts.VisitorLeft(id=id):
                assert id in self.visitors, event
                del self.visitors[id]

    def assertEnded(self) -> None:
        """The server has stopped: only visitors that are served are left."""
        assert not +self.sessions, self.sessions
        assert not self.tunnels, self.tunnels
        assert all(self.visitors.values()), self.visitors
