"""The tunnels of each user, and the limits that they have together."""

from __future__ import annotations

from typing import Protocol
from weakref import WeakKeyDictionary

from bore.server.tunnel import Tunnel
from bore.server.users import Permits, User
from bore.server.visitorlimits import Allowance
from bore.streams.socketoptions import pace


class SharedVisitors(Protocol):
    """The visitors that users have in all processes of a server."""

    def elsewhere(self, user: User) -> int:
        """How many visitors a user has in other processes."""

    def publish(self, user: User, count: int) -> None:
        """Have other processes know how many visitors a user has in this one."""

    def changed(self, user: User) -> None:
        """The number of visitors of a user in this process is another one, or will be when this turn is over."""


class UserTunnels:
    """
    The tunnels of each user: those that are open, and those that are closed and still serve visitors.

    :ivar permits: what each user may do.
    :ivar shared: the visitors that users have in other processes of the server; None: there are none.
    """

    def __init__(self, permits: Permits) -> None:
        self.permits = permits
        self.shared: SharedVisitors | None = None
        self._tunnels: dict[User, WeakKeyDictionary[Tunnel, None]] = {}
        self._limited: set[User] = set()  # whose lanes may still have the rate of a former limit

    @property
    def users(self) -> list[User]:
        """The users that have, or have had, tunnels."""
        return list(self._tunnels)

    def add(self, tunnel: Tunnel) -> None:
        """Have a new tunnel share in the limits of its user."""
        user = tunnel.user
        self._tunnels.setdefault(user, WeakKeyDictionary())[tunnel] = None
        rate = self.permits.rights(user).bandwidth
        if rate:
            self._limited.add(user)
        tunnel.bandwidth = rate if user in self._limited else None
        limit, shared = (lambda: self.permits.rights(user).maxVisitors), self.shared
        if shared is None:
            tunnel.limits.share(Allowance(limit, lambda: self.visitors(user)))
            return
        tunnel.limits.share(
            Allowance(
                limit,
                lambda: self.visitors(user) + shared.elsewhere(user),
                lambda: shared.publish(user, self.visitors(user) + 1),
            )
        )
        tunnel.limits.changed = lambda: shared.changed(user)

    def of(self, user: User) -> list[Tunnel]:
        """The tunnels of a user, the oldest first."""
        return list(self._tunnels.get(user, ()))

    def open(self, user: User) -> list[Tunnel]:
        """The open tunnels of a user, the oldest first."""
        return [tunnel for tunnel in self.of(user) if not tunnel.closed]

    def visitors(self, user: User) -> int:
        """How many visitors a user has."""
        return sum(len(tunnel.waiting) + len(tunnel.serving) for tunnel in self._tunnels.get(user, ()))

    def limitBandwidth(self, user: User) -> None:
        """Apply the limit of a user to the streams that run, and to those to come."""
        rate = self.permits.rights(user).bandwidth
        if rate:
            self._limited.add(user)
        for tunnel in self.of(user):
            if (tunnel.bandwidth or 0) != rate:
                tunnel.bandwidth = rate
                for visitor, carrier in tunnel.serving.items():
                    pace(visitor.socket, rate)
                    pace(carrier, rate)
