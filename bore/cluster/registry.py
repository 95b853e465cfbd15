"""Who owns which public address in a cluster, as a node knows it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil
from typing import Final

from twisted.internet.defer import Deferred, fail

from bore.cluster.engine import EngineAway, Record, Recovering, Taken, UserLimit, Voided
from bore.cluster.estate import Claimed
from bore.cluster.membership import Membership
from bore.events.server import AddressesLost
from bore.server.registry import Grant, LocalRegistry
from bore.server.users import User
from bore.timing.deadlines import Deadlines
from bore.wire.errors import ClusterAway, ClusterRecovering, PortInUse, TooManyTunnelsOfUser
from bore.wire.publicaddress import PublicAddress
from bore.wire.token import digest, newToken
from bore.wire.values import value

#: Clients are told in steps of this how long a recovery takes, in seconds.
_STEP: Final = 5


@value
class Owned:
    """
    A public port that this node owns, alone or with others.

    :ivar epoch: see :attr:`bore.cluster.engine.Record.epoch`.
    :ivar key: see :attr:`bore.cluster.engine.Record.key`.
    :ivar user: whose it is.
    :ivar claim: see :attr:`bore.cluster.engine.Wanted.claim`.
    """

    epoch: int
    key: str
    user: User
    claim: int


class ClusterRegistry:
    """
    The registry of a node: see :class:`bore.server.registry.Registry`.

    The membership asks the engine for public ports. All else is decided here: tokens, leases, and addresses that are no
    public ports, which belong to this machine alone.

    :param local: decides what this node decides alone.
    :ivar ended: called with each address that another node was granted, or may have been: its tunnel has to be closed.
    :ivar changed: called with each address that this node owns since then, or does not own any more.
    """

    def __init__(self, local: LocalRegistry, membership: Membership) -> None:
        self._local = local
        self._membership = membership
        membership.estate = self
        self._owned: dict[int, Owned] = {}
        self._byKey: dict[tuple[str, User], int] = {}
        self._asking: set[int] = set()
        self._away: Deadlines[int, None] = Deadlines(local.clock, local.lease, lambda address, _: self._leave(address))
        self.expired: Callable[[Grant], None] = lambda grant: None
        self.ended: Callable[[PublicAddress], None] = lambda address: None
        self.changed: Callable[[int], None] = lambda address: None
        local.expired = self._leaseOver

    # The estate of the membership.

    def __len__(self) -> int:
        """See :class:`bore.cluster.estate.Estate`."""
        return len(self._owned)

    def addresses(self) -> list[int]:
        """See :meth:`bore.cluster.estate.Estate.addresses`."""
        return list(self._owned)

    def record(self, address: int, member: str, firm: bool) -> Record | None:
        """See :meth:`bore.cluster.estate.Estate.record`."""
        owned = self._owned.get(address)
        if owned is None:
            return None
        return Record(address, owned.epoch, owned.key, owned.user.name, {member: owned.claim}, firm)

    def lost(self, addresses: Sequence[int]) -> None:
        """See :meth:`bore.cluster.estate.Estate.lost`."""
        mine = [address for address in addresses if self._forget(address) is not None]
        if mine:
            self._membership.reports.emit(AddressesLost(len(mine)))
        for address in mine:
            self.ended(address)

    def owned(self, address: PublicAddress) -> Owned | None:
        """What this node knows of a public port that it owns; None: it does not own it."""
        return self._owned.get(address) if isinstance(address, int) else None

    def epochOf(self, address: int) -> int:
        """The epoch with which this node owns an address; 0: it does not own it."""
        owned = self._owned.get(address)
        return 0 if owned is None else owned.epoch

    def isHere(self, address: int) -> bool:
        """Whether the client of an address that this node owns has it here, or was here last."""
        return address in self._owned and address not in self._away

    def lend(self, address: PublicAddress, user: User) -> Grant:
        """
        See :meth:`bore.server.registry.LocalRegistry.lend`. This node owns the address for the time of a lease still:
        its client may be lost at all nodes.
        """
        if isinstance(address, int) and self.isHere(address):
            self._away.add(address, None)
            self.changed(address)
        return self._local.lend(address, user)

    def supersede(self, address: int, epoch: int) -> None:
        """Another node has an address with this later epoch."""
        owned = self._owned.get(address)
        if owned is not None and owned.epoch < epoch:
            self.lost([address])

    def mayServe(self, address: PublicAddress) -> bool:
        """
        Whether new visitors of an address may be served here now: not if it may have another owner meanwhile. If they
        are passed on, others decide.
        """
        if not isinstance(address, int):
            return True
        return self._membership.acting if self.isHere(address) else not self._local.isTaken(address)

    # The registry of the server.

    def claim(self, address: PublicAddress, user: User, key: str | None = None, limit: int = 0) -> Deferred[Grant]:
        """
        See :meth:`bore.server.registry.Registry.claim`.

        :returns: fails with :class:`~bore.wire.errors.ClusterAway` or :class:`~bore.wire.errors.ClusterRecovering` if
            the engine cannot grant it now.
        """
        if not isinstance(address, int):
            return self._local.claim(address, user)
        return Deferred.fromCoroutine(self._claim(address, user, digest(key or newToken()).hex(), limit or None))

    def resume(self, token: str | None, user: User, key: str | None = None) -> Deferred[Grant | None]:
        """
        See :meth:`bore.server.registry.Registry.resume`. The engine is not asked.

        :returns: fails with :class:`~bore.wire.errors.ClusterAway` if other nodes serve the tunnel, and this one does
            not act as owner.
        """
        address = None if key is None else self._byKey.get((digest(key).hex(), user))
        if address is not None and not (self.isHere(address) or self._membership.acting):
            return fail(ClusterAway())
        resumed = self._local.resume(token, user)
        return resumed if address is None else resumed.addCallback(self._orAnew, address)

    def confirm(self, grant: Grant) -> Deferred[None]:
        """See :meth:`bore.server.registry.Registry.confirm`."""
        return self._local.confirm(grant)

    def renew(self, grant: Grant) -> Deferred[None]:
        """See :meth:`bore.server.registry.Registry.renew`."""
        return self._local.renew(grant)

    def release(self, grant: Grant) -> Deferred[None]:
        """See :meth:`bore.server.registry.Registry.release`. It does not wait for the engine."""
        released = self._local.release(grant)
        if grant.address not in self._local:
            self._leave(grant.address)
        return released

    def close(self) -> None:
        """See :meth:`bore.server.registry.Registry.close`."""
        self._local.close()
        self._away.takeAll()

    def _orAnew(self, grant: Grant | None, address: int) -> Grant | None:
        """What a token has brought back, or otherwise the key."""
        if grant is not None:
            return grant
        grant = self._local.grantAnew(address, self._owned[address].user)
        self._isBack(address)
        return grant

    def _isBack(self, address: int) -> None:
        """The client of an address is here."""
        self._away.take(address)
        self.changed(address)

    async def _claim(self, address: int, user: User, key: str, limit: int | None) -> Grant:
        if address in self._asking or self._local.isTaken(address):
            raise PortInUse.on(address)
        self._asking.add(address)
        try:
            claimed = await self._membership.grant(address, key, user.name, limit)
        except Taken:
            raise PortInUse.on(address) from None
        except UserLimit:
            raise TooManyTunnelsOfUser(f"{TooManyTunnelsOfUser.text}: it may have {limit}") from None
        except Recovering:
            raise ClusterRecovering(self._recovering()) from None
        except (EngineAway, Voided):
            raise ClusterAway from None
        finally:
            self._asking.discard(address)
        return await self._granted(address, user, claimed)

    async def _granted(self, address: int, user: User, claimed: Claimed) -> Grant:
        record, claim = claimed
        try:
            grant = await self._local.claim(address, user)
        except PortInUse:  # by another node's session meanwhile
            self._membership.leave(address, claim)
            raise
        self._owned[address] = Owned(record.epoch, record.key, user, claim)
        self._byKey[record.key, user] = address
        self._isBack(address)
        return grant

    def _recovering(self) -> str:
        """Why nothing is granted, and for how long. The time is rounded, so that clients have a text for a while."""
        seconds = ceil(self._membership.recoversIn / _STEP) * _STEP
        return f"{ClusterRecovering.text}, which takes up to {seconds} s more"

    def _leaseOver(self, grant: Grant) -> None:
        self._leave(grant.address)
        self.expired(grant)

    def _leave(self, address: PublicAddress) -> None:
        owned = self._forget(address)
        if owned is not None and isinstance(address, int):
            self._membership.leave(address, owned.claim)

    def _forget(self, address: PublicAddress) -> Owned | None:
        owned = self._owned.pop(address, None) if isinstance(address, int) else None
        if owned is not None and self._byKey.get((owned.key, owned.user)) == address:
            del self._byKey[owned.key, owned.user]
        if owned is not None and isinstance(address, int):
            self._isBack(address)
        return owned
