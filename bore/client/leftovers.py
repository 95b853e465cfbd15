"""Tunnels that are not wanted any more, and that a server could not be sent that for: it was lost."""

from __future__ import annotations

from collections.abc import Iterator

from bore.client.settings import ServerAddress
from bore.client.tunnel import Tunnel
from bore.wire.limits import MAX_TUNNELS
from bore.wire.publicaddress import PublicAddress


class Leftovers:
    """
    Keeps tunnels that have to be given back in the next session: the servers reserve their ports meanwhile.

    The oldest ones are forgotten beyond the number that a session can have; their leases end by themselves.
    """

    def __init__(self) -> None:
        self._tunnels: dict[Tunnel, None] = {}

    def __len__(self) -> int:
        return len(self._tunnels)

    def __iter__(self) -> Iterator[Tunnel]:
        return iter(self._tunnels)

    def add(self, tunnel: Tunnel) -> None:
        """A tunnel is not wanted any more, and there is no session in which it could be given back."""
        if any(port.resume is not None for port in tunnel.ports.values()):
            self._tunnels[tunnel] = None
            if len(self._tunnels) > MAX_TUNNELS:
                del self._tunnels[next(iter(self._tunnels))]

    def discard(self, tunnel: Tunnel) -> None:
        """A tunnel is wanted again."""
        self._tunnels.pop(tunnel, None)

    def take(self, server: ServerAddress) -> list[tuple[PublicAddress, str]]:
        """Remove and return the public addresses that this server may reserve, with the tokens for them."""
        taken = []
        for tunnel in list(self._tunnels):
            port = tunnel.ports.get(server)
            if port is not None and port.resume is not None:
                taken.append((port.had, port.resume))
                port.resume = None
            if all(port.resume is None for port in tunnel.ports.values()):
                del self._tunnels[tunnel]
        return taken
