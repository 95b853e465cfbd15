"""The users of a server: identified by their secrets, and what they may do now."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from secrets import token_bytes
from typing import Final

from bore.server.users import Login, User
from bore.streams.addresses import hostOf
from bore.users.entry import UserEntry, UserKey, Users
from bore.users.ports import ALL_PORTS, NO_PORTS, Ports, ports
from bore.users.rights import Rights, rightsText
from bore.wire.addressrules import AddressFilter, AddressRules
from bore.wire.errors import AccessWithdrawn, PathNotAllowed, PortNotAllowed, Refusal, RightsExpired, SourceNotAllowed
from bore.wire.publicaddress import PublicAddress
from bore.wire.secret import Secret
from bore.wire.serverproof import NO_NAME, Identity, OwnerOf, ServerProof, serverProof

#: Those of a user that does not exist any more.
_NO_RIGHTS: Final = Rights(ports=NO_PORTS)

#: How many secrets that nobody has are tried for names that no user has, at least.
_LEAST: Final = 64

#: How many ranges of ports a refusal names at most.
_MAX_RANGES: Final = 8


class UserList:
    """
    An :class:`~bore.server.users.Authenticator` and :class:`~bore.server.users.Permits` for the users of a file.

    :param users: the content of the file.
    :param secrets: shared secrets. Without one, only users come in.
    :param wallClock: returns the seconds since the epoch.
    :ivar users: the content of the file.
    :ivar secrets: the shared secrets.
    """

    def __init__(
        self, users: Users, secrets: Sequence[Secret] = (), wallClock: Callable[[], float] = time.time
    ) -> None:
        self.asks = True
        self._wallClock = wallClock
        self.apply(users, secrets)

    def apply(self, users: Users, secrets: Sequence[Secret]) -> None:
        """Use another version of the file, and other shared secrets."""
        self.users = users
        self.secrets = secrets
        shared = UserEntry(NO_NAME, tuple(map(UserKey, secrets)), users.shared)
        self._entries = {**users.entries, NO_NAME: shared}
        most = max(1, *(len(entry.keys) for entry in self._entries.values()))
        # As many as there are users: the memory of a single one would be in the caches of the processor, and faster.
        self._nobodys = [
            tuple(Secret.fromKey(token_bytes(32)) for _ in range(most)) for _ in range(max(_LEAST, len(self._entries)))
        ]
        self._prepare()
        self._originals = [entry for entry in users.entries.values() if entry.rights.original]
        self._exclusive = ports(each for entry in users.entries.values() for each in entry.rights.exclusive.ranges)
        self._rights: dict[str, Rights] = {}
        self._filters: dict[str, AddressFilter] = {}

    @property
    def permits(self) -> UserList:
        """See :meth:`~bore.server.users.Authenticator.permits`."""
        return self

    @property
    def entries(self) -> dict[str, UserEntry]:
        """The users by name; the holders of shared secrets have an empty one."""
        return self._entries

    def proof(self, channelBinding: bytes, ownerOf: OwnerOf, names: Sequence[str] = ()) -> ServerProof | None:
        """
        See :meth:`~bore.server.users.Authenticator.proof`.

        A user whom a certificate names proves its own secret as well, if it has one.
        """
        certified = self._certified(names)
        if certified is None:
            return serverProof(self, channelBinding, ownerOf if self._originals else None)
        return serverProof(_Certified(self, certified.name), channelBinding) if certified.keys else None

    def user(self, identity: Identity | None, names: Sequence[str] = ()) -> User:
        """See :meth:`~bore.server.users.Authenticator.user`."""
        certified = self._certified(names)
        if certified is not None:
            return User(certified.name)
        return User(NO_NAME if identity is None else identity.user)

    def _certified(self, names: Sequence[str]) -> UserEntry | None:
        """The user whom a certificate with these names belongs to; None: it belongs to none."""
        return next((self._entries[name] for name in names if name and name in self._entries), None)

    def of(self, user: str) -> Sequence[Secret]:
        """See :meth:`~bore.wire.serverproof.KnownSecrets.of`."""
        if self._preparedUntil is not None and self._preparedUntil <= self._wallClock():
            self._prepare()
        return self._tried.get(user, self.ofNobody(user))  # nothing more: the time must not depend on the name

    def ofNobody(self, user: str) -> Sequence[Secret]:
        """Secrets that no one has, as many as are tried for a user."""
        return self._nobodys[hash(user) % len(self._nobodys)]

    def nameless(self) -> Sequence[Identity]:
        """See :meth:`~bore.wire.serverproof.KnownSecrets.nameless`."""
        names = [NO_NAME, *(entry.name for entry in self._originals)]
        return [Identity(name, secret) for name in names for secret in self._valid(name)]

    def nextEnd(self) -> float | None:
        """When the next key or user expires, in seconds since the epoch; None: none does."""
        now = self._wallClock()
        ends = [
            end
            for entry in self._entries.values()
            for end in (entry.rights.expires, *(key.until for key in entry.keys))
            if end is not None and end > now
        ]
        return min(ends, default=None)

    def objection(self, login: Login) -> Refusal | None:
        """See :meth:`~bore.server.users.Authenticator.objection`."""
        name = login.user.name
        entry = self._entries.get(name)
        if entry is None:
            return AccessWithdrawn()
        if login.secret is not None:
            if login.secret not in self._valid(name):
                return AccessWithdrawn()
        elif name == NO_NAME or entry.keys:  # only a certificate stands for a secret, and it names its user
            return AccessWithdrawn()
        if not login.encrypted and name != NO_NAME and not entry.rights.original:
            return AccessWithdrawn("the server demands TLS of this user now")
        if entry.rights.expires is not None and entry.rights.expires <= self._wallClock():
            return RightsExpired()
        if entry.rights.sources and not self._filter(entry).allows(hostOf(login.peer)):
            return SourceNotAllowed()
        return None

    def refuses(self, user: User, address: PublicAddress) -> bool:
        """Whether a user may not have a public address."""
        return self.addressRefusal(user, address) is not None

    def rights(self, user: User) -> Rights:
        """See :meth:`~bore.server.users.Permits.rights`."""
        rights = self._rights.get(user.name)
        if rights is None:
            entry = self._entries.get(user.name)
            own = _NO_RIGHTS if entry is None else entry.rights
            allowed = (own.ports | own.exclusive) - (self._exclusive - own.exclusive)
            rights = self._rights[user.name] = replace(own, ports=allowed)
        return rights

    def summary(self, user: User) -> str:
        """See :meth:`~bore.server.users.Permits.summary`."""
        rights = self.rights(user)
        few = replace(
            rights, ports=Ports(rights.ports.ranges[:_MAX_RANGES]), exclusive=NO_PORTS, sources=(), original=False
        )
        more = ", ..." if few.ports != rights.ports else ""
        return ", ".join(f"{key} {text}{more if key == 'ports' else ''}" for key, text in rightsText(few))

    def addressRefusal(self, user: User, address: PublicAddress) -> Refusal | None:
        """See :meth:`~bore.server.users.Permits.addressRefusal`."""
        rights = self.rights(user)
        if isinstance(address, int):
            return self._portRefusal(rights, address)
        if rights.ports | self._exclusive == ALL_PORTS:
            return None
        return PathNotAllowed(f"{address} is not among the public addresses that you may have, which are ports")

    def _portRefusal(self, rights: Rights, port: int) -> Refusal | None:
        if port in rights.ports:
            return None
        if port in self._exclusive:
            return PortNotAllowed(f"port {port} belongs to another user")
        few = Ports(rights.ports.ranges[:_MAX_RANGES])
        more = ", ..." if len(few) < len(rights.ports) else ""
        return PortNotAllowed(f"port {port} is not among the ports that you may have: {few or 'none'}{more}")

    def _prepare(self) -> None:
        """Make the lists of secrets to try, until the next of them expires."""
        now = self._wallClock()
        self._tried = {}
        for name in self._entries:
            valid = self._valid(name)
            self._tried[name] = (*valid, *self.ofNobody(name)[len(valid) :])
        ends = [key.until for entry in self._entries.values() for key in entry.keys if key.until is not None]
        self._preparedUntil = min((end for end in ends if end > now), default=None)

    def _valid(self, name: str) -> list[Secret]:
        """The secrets of a user that are valid now."""
        entry = self._entries.get(name)
        keys = () if entry is None else entry.keys
        return [key.secret for key in keys if key.until is None or key.until > self._wallClock()]

    def _filter(self, entry: UserEntry) -> AddressFilter:
        found = self._filters.get(entry.name)
        if found is None:
            found = self._filters[entry.name] = AddressFilter(AddressRules(entry.rights.sources))
        return found


class _Certified:
    """
    Secrets of the user whom a certificate names. The client need not send that name again, and cannot be another user.
    """

    def __init__(self, known: UserList, name: str) -> None:
        self._known = known
        self._name = name

    def of(self, user: str) -> Sequence[Secret]:
        """See :meth:`~bore.wire.serverproof.KnownSecrets.of`."""
        return self._known.of(self._name) if user in (NO_NAME, self._name) else self._known.ofNobody(user)

    def nameless(self) -> Sequence[Identity]:
        """See :meth:`~bore.wire.serverproof.KnownSecrets.nameless`: a certificate is only shown inside TLS."""
        return ()
