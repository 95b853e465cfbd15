"""Rights that change while the server runs: what users may not have any more is taken from them at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from bore.events import Sink
from bore.events.server import UserAdded, UserChanged, UserExpired, UserRemoved
from bore.server.server import Server
from bore.server.userlist import UserList
from bore.server.users import User
from bore.users.entry import SHARED, UserEntry, Users
from bore.users.rights import rightsText
from bore.wire.secret import Secret

#: The longest time between two looks at the wall clock while a user or a secret has an end, in seconds: it may be set.
_LOOK: Final = 1.0


class Enforcement:
    """
    Applies new versions of a users file, and ends what expires.

    A session is ended if its user may not connect any more, a tunnel is closed if its user may not have its port any
    more, and the newest tunnels above the limit of their user are. In each case the streams of their visitors are cut.

    :param users: the authenticator of the server.
    :param wallClock: returns the seconds since the epoch.
    """

    def __init__(
        self,
        clock: IReactorTime,
        sink: Sink,
        server: Server,
        users: UserList,
        wallClock: Callable[[], float] = time.time,
    ) -> None:
        self._clock = clock
        self._sink = sink
        self._server = server
        self._users = users
        self._wallClock = wallClock
        self._expired: set[str] = set()
        self._next: float | None = None
        self._timer: IDelayedCall | None = None

    def start(self) -> None:
        """Look at the wall clock from now on, as far as a user or a secret has an end."""
        self._expired = {name for name, entry in self._users.entries.items() if self._isOver(entry)}
        self._lookLater()

    def stop(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def apply(self, users: Users, secrets: Sequence[Secret] | None = None) -> None:
        """
        Apply another version of the users file.

        :param secrets: other shared secrets; None: they stay.
        """
        before = self._users.entries
        self._users.apply(users, self._users.secrets if secrets is None else secrets)
        self._report(before, self._users.entries)
        self._lookLater()  # first: what ends while the others are reviewed is not over yet then
        self._review([User(name) for name, entry in self._users.entries.items() if before.get(name, entry) != entry])

    def applySecrets(self, secrets: Sequence[Secret]) -> None:
        """Apply other shared secrets."""
        self.apply(self._users.users, secrets)

    def _lookLater(self) -> None:
        self.stop()
        self._next = self._users.nextEnd()
        if self._next is not None:
            seconds = min(max(self._next - self._wallClock(), 0.0), _LOOK)
            self._timer = self._clock.callLater(seconds, self._look)

    def _look(self) -> None:
        self._timer = None
        due = self._next is not None and self._next <= self._wallClock()
        self._lookLater()
        if due:
            self._review()

    def _isOver(self, entry: UserEntry) -> bool:
        return entry.rights.expires is not None and entry.rights.expires <= self._wallClock()

    def _review(self, changed: Sequence[User] = ()) -> None:
        """
        Take from all users what they may not have any more.

        :param changed: further users, of whom other processes may have tunnels.
        """
        for name, entry in self._users.entries.items():
            if not self._isOver(entry):
                self._expired.discard(name)
            elif name not in self._expired:
                self._expired.add(name)
                self._sink.emit(UserExpired(name or SHARED))
        server = self._server
        assert server.users is not None
        server.endSessions(self._users.objection)
        for user in dict.fromkeys((*server.users.users, *changed)):
            self._reviewTunnels(user)

    def _reviewTunnels(self, user: User) -> None:
        server, permits = self._server, self._users
        assert server.users is not None
        mine = server.users.of(user)  # also those that its clients have given back, for their streams
        server.withdraw([each for each in mine if permits.objection(each.login) or permits.refuses(user, each.address)])
        limit = permits.rights(user).maxTunnels
        if limit:
            server.tunnels.custody.limit(user, limit)
        server.users.limitBandwidth(user)

    def _report(self, before: dict[str, UserEntry], after: dict[str, UserEntry]) -> None:
        """Emit how users have changed."""
        for name, entry in after.items():
            old = before.get(name)
            if old is None:
                rights = ", ".join(f"{key} {text}" for key, text in rightsText(entry.rights))
                self._sink.emit(UserAdded(name, rights or "no limits but those of the server"))
            elif old != entry:
                self._sink.emit(UserChanged(name or SHARED, ", ".join(_changes(old, entry))))
        for name in before.keys() - after.keys():
            self._sink.emit(UserRemoved(name))


def _changes(old: UserEntry, new: UserEntry) -> list[str]:
    """What has changed of a user, for people."""
    before, after = dict(rightsText(old.rights)), dict(rightsText(new.rights))
    changes = [
        f"{key} {after.get(key, 'unset')}"
        for key in (*after, *(key for key in before if key not in after))
        if before.get(key) != after.get(key)
    ]
    if old.keys != new.keys:
        changes.append("another secret")
    return changes
