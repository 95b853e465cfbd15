"""
Who owns which public address, and for how long.

The registry decides about addresses, tokens and leases. It knows no socket and no limit: whether an address can be
bound, and how many tunnels there may be, is up to the server that asks (:mod:`bore.server.localcustody`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IReactorTime

from bore.server.users import User
from bore.timing.deadlines import Deadlines
from bore.wire.errors import PortInUse
from bore.wire.publicaddress import PublicAddress
from bore.wire.token import digest, newToken
from bore.wire.values import value


@value
class Grant:
    """
    The right to use a public address.

    :ivar user: whose address it is.
    :ivar token: with this its user resumes the tunnel, on another session. Each grant has another one.
    :ivar epoch: greater in each grant than in all earlier ones of the same address. Only the holder of the last one
        owns the address.
    """

    address: PublicAddress
    user: User
    token: str
    epoch: int


class Registry(Protocol):
    """
    Grants public addresses to users.

    Calls are carried out in the order in which they are made, and a call that fails has changed nothing. Each Deferred
    fires: a registry behind a network limits its own waits. The caller cancels none: it gives back what comes too late.

    :ivar expired: called with each grant that has become void as its lease ended;
        :class:`~bore.server.localcustody.LocalCustody` sets it.
    """

    expired: Callable[[Grant], None]

    def claim(self, address: PublicAddress, user: User, key: str | None = None, limit: int = 0) -> Deferred[Grant]:
        """
        Grant an address that has no owner.

        :param key: the lasting key of the tunnel; None: it has none. Nodes of a cluster own an address together if the
            tunnel has the same key at each of them.
        :param limit: how many tunnels the user may have at all nodes of a cluster; 0: any number.
        :returns: fails with :class:`~bore.wire.errors.PortInUse` when the address has an owner.
        """

    def resume(self, token: str | None, user: User, key: str | None = None) -> Deferred[Grant | None]:
        """
        Grant an address anew to the user that owns it, who shows its token. The former grant is void, and its lease
        ends. The token that was shown stays valid until the new one is shown, or :meth:`confirm` is called: the client
        may never get the new one.

        :param token: the token; None: there is only the key.
        :param key: the lasting key of the tunnel, which stands for a token in a cluster; None: it has none.
        :returns: fires with None if there is no such token, or if it belongs to another user.
        """

    def confirm(self, grant: Grant) -> Deferred[None]:
        """The client has the token of a grant: an earlier one is not valid any more. Does nothing if it is void."""

    def renew(self, grant: Grant) -> Deferred[None]:
        """Keep an address without a session for the time of a lease. Does nothing if the grant is void."""

    def release(self, grant: Grant) -> Deferred[None]:
        """Give an address back. Does nothing if the grant is void."""

    def close(self) -> None:
        """The server stops: no lease ends any more."""


class LocalRegistry:
    """
    The registry of a single server, in its memory. All its Deferreds have fired when they are returned.

    :param lease: how long an address is kept without a session, in seconds.
    :ivar clock: the clock.
    :ivar lease: see above.
    """

    def __init__(self, clock: IReactorTime, lease: float) -> None:
        self.clock = clock
        self.lease = lease
        self.expired: Callable[[Grant], None] = lambda grant: None
        self._byAddress: dict[PublicAddress, Grant] = {}
        self._byToken: dict[bytes, PublicAddress] = {}
        #: The digests of the tokens that are valid: that of the grant, and behind it one that was shown.
        self._valid: dict[PublicAddress, tuple[bytes, ...]] = {}
        self._leases: Deadlines[PublicAddress, Grant] = Deadlines(clock, lease, self._leaseOver)
        self._lent: set[PublicAddress] = set()
        self._lastEpoch = 0

    def __len__(self) -> int:
        """How many addresses have an owner."""
        return len(self._byAddress)

    def __contains__(self, address: PublicAddress) -> bool:
        """Whether an address has an owner."""
        return address in self._byAddress

    def claim(self, address: PublicAddress, user: User, key: str | None = None, limit: int = 0) -> Deferred[Grant]:
        """See :meth:`Registry.claim`."""
        if self.isTaken(address):
            return fail(PortInUse.on(address))
        return succeed(self._granted(address, user, ()))

    def isTaken(self, address: PublicAddress) -> bool:
        """Whether an address has an owner. One that is only lent has none here."""
        return address in self._byAddress and address not in self._lent

    def restore(self, address: PublicAddress, user: User, tokens: Sequence[bytes]) -> Grant:
        """
        Grant an address to the user that has owned it in an earlier process.

        :param tokens: the digests with which the user can resume it: see :meth:`digests`.
        """
        for each in tokens:
            self._byToken[each] = address
        return self._granted(address, user, tokens)

    @property
    def lastEpoch(self) -> int:
        """That of the last grant."""
        return self._lastEpoch

    def left(self, address: PublicAddress) -> float | None:
        """For how many seconds the lease of an address still lasts; None: it has none."""
        return self._leases.left(address)

    def adopt(self, grants: Sequence[tuple[Grant, Sequence[bytes], float | None]], lastEpoch: int) -> None:
        """
        Go on with the grants of an earlier process. To be called before any other method.

        :param grants: each one, without its token; the digests with which it can be resumed, as :meth:`digests` returns
            them; and the rest of its lease, in seconds, or None.
        :param lastEpoch: see :attr:`lastEpoch`.
        """
        self._lastEpoch = lastEpoch
        for grant, digests, _ in grants:
            self._byAddress[grant.address] = grant
            self._byToken.update(dict.fromkeys(digests, grant.address))
            self._valid[grant.address] = tuple(digests)
        leases = [(left, grant) for grant, _, left in grants if left is not None]
        for left, grant in sorted(leases, key=lambda each: each[0]):
            self._leases.restore(grant.address, grant, left)

    def digests(self, address: PublicAddress) -> tuple[bytes, ...]:
        """The digests of the tokens with which an address can be resumed."""
        return self._valid.get(address, ())

    def resume(self, token: str | None, user: User, key: str | None = None) -> Deferred[Grant | None]:
        """See :meth:`Registry.resume`. Keys are not known here."""
        if token is None:
            return succeed(None)
        shown = digest(token)
        address = self._byToken.get(shown)
        if address is None or self._byAddress[address].user != user:
            return succeed(None)
        self._forgetTokens(address, but=shown)
        return succeed(self._granted(address, user, (shown,)))

    def grantAnew(self, address: PublicAddress, user: User) -> Grant:
        """Grant an address anew to the user that owns it, who has proved that without a token. Its tokens are void."""
        self._forgetTokens(address)
        return self._granted(address, user, ())

    def confirm(self, grant: Grant) -> Deferred[None]:
        """See :meth:`Registry.confirm`."""
        if self._isValid(grant):
            current = self._valid[grant.address][0]
            self._forgetTokens(grant.address, but=current)
            self._valid[grant.address] = (current,)
        return succeed(None)

    def renew(self, grant: Grant) -> Deferred[None]:
        """See :meth:`Registry.renew`."""
        if self._isValid(grant):
            self._leases.take(grant.address)
            self._leases.add(grant.address, grant)
        return succeed(None)

    def release(self, grant: Grant) -> Deferred[None]:
        """See :meth:`Registry.release`."""
        if self._isValid(grant):
            self._leases.take(grant.address)
            self._forget(grant)
        return succeed(None)

    def lend(self, address: PublicAddress, user: User) -> Grant:
        """
        Grant an address anew to what passes its visitors on to other nodes of a cluster, which own it. The former grant
        and its tokens are void, and there is no token that is valid. The address can be claimed.
        """
        if address in self._byAddress:
            self._forgetTokens(address)
        grant = self._granted(address, user, ())
        self._forgetTokens(address)
        self._valid[address] = ()
        self._lent.add(address)
        return grant

    def close(self) -> None:
        """See :meth:`Registry.close`."""
        self._leases.takeAll()

    def _isValid(self, grant: Grant) -> bool:
        last = self._byAddress.get(grant.address)
        return last is not None and last.epoch == grant.epoch

    def _leaseOver(self, address: PublicAddress, grant: Grant) -> None:
        self._forget(grant)
        self.expired(grant)

    def _forget(self, grant: Grant) -> None:
        del self._byAddress[grant.address]
        self._lent.discard(grant.address)
        self._forgetTokens(grant.address)
        del self._valid[grant.address]

    def _granted(self, address: PublicAddress, user: User, others: Sequence[bytes]) -> Grant:
        """
        Make a grant.

        :param others: the digests of further tokens that are valid.
        """
        self._leases.take(address)
        self._lent.discard(address)
        grant = self._byAddress[address] = Grant(address, user, newToken(), self._nextEpoch())
        current = digest(grant.token)
        self._byToken[current] = address
        self._valid[address] = (current, *others)
        return grant

    def _nextEpoch(self) -> int:
        self._lastEpoch += 1
        return self._lastEpoch

    def _forgetTokens(self, address: PublicAddress, but: bytes | None = None) -> None:
        for each in self._valid[address]:
            if each != but:
                del self._byToken[each]
