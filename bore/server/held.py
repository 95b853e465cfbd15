"""The public addresses that are granted and listened at."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import TypeVar

from bore.server.asks import Ask
from bore.server.custody import OpenPlace, Waiting
from bore.server.registry import Grant
from bore.server.shares import Share
from bore.server.users import NODES, User
from bore.wire.publicaddress import PublicAddress

K = TypeVar("K")


class Held:
    """
    A public address that is granted and listened at.

    :ivar grant: the right to the address.
    :ivar place: where the server listens.
    :ivar share: the custody of the holder that serves the tunnel; None: none does.
    :ivar since: the epoch with which the server began to hold the address without a break.
    :ivar source: the key of limits per source.
    :ivar lasting: see :attr:`bore.server.custody.Wish.lasting`.
    :ivar leaving: the question to the former holder, which has not answered yet.
    :ivar waiting: visitors that wait for the next holder, the oldest first.
    :ivar vacant: whether the tunnel has no session, as far as that was reported.
    """

    __slots__ = ("grant", "lasting", "leaving", "place", "share", "since", "source", "vacant", "waiting")

    def __init__(self, grant: Grant, place: OpenPlace, share: Share | None, source: str, lasting: bool) -> None:
        self.grant = grant
        self.since = grant.epoch
        self.place = place
        self.share = share
        self.source = source
        self.lasting = lasting
        self.leaving: Ask[Sequence[Waiting]] | None = None
        self.waiting: list[Waiting] = []
        self.vacant = False

    @property
    def address(self) -> PublicAddress:
        """The public address."""
        return self.grant.address

    @property
    def user(self) -> User:
        """Whose address it is."""
        return self.grant.user

    def close(self) -> None:
        """
        Give the address back. It is free at once, even if another process has a copy of the listening socket, unless
        that one goes on listening.
        """
        self.place.leave()
        sock = self.place.socket
        if sock.fileno() >= 0:
            if not self.place.goesOn:
                with suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)
            sock.close()
        closeAll(self.waiting)
        self.waiting = []


def closeAll(waiting: Iterable[Waiting]) -> None:
    """Close visitors that no holder gets."""
    for visitor in waiting:
        visitor.socket.close()


class HeldAddresses:
    """All addresses of a server, the oldest first."""

    def __init__(self) -> None:
        self._byAddress: dict[PublicAddress, Held] = {}
        self._bySource: dict[str, dict[Held, None]] = {}
        self._byUser: dict[User, dict[Held, None]] = {}

    def __len__(self) -> int:
        return len(self._byAddress)

    @property
    def lent(self) -> int:
        """How many of them are passed on to other nodes of a cluster."""
        return len(self._byUser.get(NODES, ()))

    def __iter__(self) -> Iterator[Held]:
        return iter(self._byAddress.values())

    def get(self, address: PublicAddress) -> Held | None:
        """What is held at an address; None: nothing."""
        return self._byAddress.get(address)

    def valid(self, grant: Grant) -> Held | None:
        """What is held with a grant; None: the grant is void."""
        held = self._byAddress.get(grant.address)
        return held if held is not None and held.grant.epoch == grant.epoch else None

    def of(self, source: str) -> list[Held]:
        """Those of a source."""
        return list(self._bySource.get(source, ()))

    def ofUser(self, user: User) -> list[Held]:
        """Those of a user."""
        return list(self._byUser.get(user, ()))

    def add(self, held: Held) -> None:
        """Add one; its address must not be held."""
        assert held.address not in self._byAddress
        self._byAddress[held.address] = held
        self._bySource.setdefault(held.source, {})[held] = None
        self._byUser.setdefault(held.user, {})[held] = None

    def move(self, held: Held, grant: Grant, source: str) -> None:
        """One is granted anew: its client may have another source, and in a cluster it may be of another user."""
        _discard(self._bySource, held.source, held)
        held.source = source
        self._bySource.setdefault(source, {})[held] = None
        former, held.grant = held.user, grant
        if held.user != former:  # else it keeps its place: the newest ones of a user have to go first
            _discard(self._byUser, former, held)
            self._byUser.setdefault(held.user, {})[held] = None

    def remove(self, held: Held) -> None:
        """Remove one."""
        del self._byAddress[held.address]
        _discard(self._bySource, held.source, held)
        _discard(self._byUser, held.user, held)


def _discard(lists: dict[K, dict[Held, None]], key: K, held: Held) -> None:
    del lists[key][held]
    if not lists[key]:
        del lists[key]
