"""All tunnels of this server: how they are opened, kept without a session, and closed."""

# Longer than 300 lines: how a tunnel is opened, and the limits on their number, are read together.

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Final

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from bore.events import Sink
from bore.events.server import Limit, LimitReached, Loss, TunnelBack, TunnelClosed, TunnelEnd, TunnelLost, TunnelUsed
from bore.server.claim import Claim, Outcome
from bore.server.entrance import Entrance
from bore.server.entrances import Entrances
from bore.server.registry import Grant, Registry
from bore.server.settings import ServerSettings
from bore.server.tunnel import Owner, Tunnel
from bore.server.unaccepted import UnacceptedVisitors
from bore.server.usage import Usage
from bore.timing.deadlines import Deadlines
from bore.wire.addressrules import AddressFilter
from bore.wire.errors import (
    BindFailed,
    Kicked,
    NoFreePort,
    PortInUse,
    PresumedGone,
    Refusal,
    RightWithdrawn,
    TakenOver,
    TooManyTunnels,
    TooManyTunnelsFromSource,
    TooManyTunnelsOfUser,
    VisitorsWithoutAddress,
)
from bore.wire.publicaddress import ANY_PORT, PublicAddress, UnixPath, satisfies

if TYPE_CHECKING:
    from bore.server.users import Login, User
    from bore.server.usertunnels import UserTunnels

#: When none of all clients is in doubt, they are not examined again for this time, in seconds.
_EXAMINE: Final = 1.0


class Tunnels:
    """
    Opens tunnels, keeps them for clients that were lost, and closes them.

    The registry says who owns an address. Binding it and the limits on the number of tunnels are decided here.

    A client that is in doubt keeps its tunnel until another one needs the address, or the place under a limit.

    :param unaccepted: the visitors that wait for a client.
    :param entrances: opens what visitors come in by.
    :param users: the limits of each user; None: there are none.
    :ivar closed: what the tunnels that were closed were used for, and are until their last visitor has left.
    """

    _log: Final = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        sink: Sink,
        settings: ServerSettings,
        registry: Registry,
        unaccepted: UnacceptedVisitors,
        entrances: Entrances,
        users: UserTunnels | None = None,
    ) -> None:
        self._clock = clock
        self._sink = sink
        self._settings = settings
        self._registry = registry
        registry.expired = self._leaseOver
        self._unaccepted = unaccepted
        self._entrances = entrances
        self._users = users
        self._filter = AddressFilter(settings.rules) if settings.rules else None
        self._byAddress: dict[PublicAddress, Tunnel] = {}
        self._bySource: dict[str, dict[Tunnel, None]] = {}
        self._claims: set[Claim] = set()  # tunnels that are not open yet: they count as those that are
        self._notRenewed: Deadlines[PublicAddress, Grant] = Deadlines(clock, settings.lease, self._neverRenewed)
        self._allWell = float("-inf")
        self.closed = Usage()

    def apply(self, settings: ServerSettings) -> None:
        """Apply another range of ports, limits and rules. Tunnels stay where they are."""
        if settings.rules != self._settings.rules:
            self._filter = AddressFilter(settings.rules) if settings.rules else None
        self._settings = settings
        self._entrances.apply(settings)
        for tunnel in self._byAddress.values():
            tunnel.limits.apply(settings.bounds, self._filter)

    def __len__(self) -> int:
        return len(self._byAddress)

    def get(self, address: PublicAddress) -> Tunnel | None:
        """The tunnel with a public address; None: there is none."""
        return self._byAddress.get(address)

    def all(self) -> list[Tunnel]:
        """All tunnels, the oldest first."""
        return list(self._byAddress.values())

    def countBySource(self) -> dict[str, int]:
        """How many tunnels each source has that count towards its limit."""
        return {source: sum(not each.user.name for each in mine) for source, mine in self._bySource.items()}

    def hasSome(self, source: str) -> bool:
        """Whether a source has a tunnel."""
        return source in self._bySource

    def kept(self, objection: Callable[[Login], Refusal | None]) -> list[Tunnel]:
        """The tunnels that are kept for clients who may not come back as they came."""
        return [each for each in self._byAddress.values() if each.owner is None and objection(each.login) is not None]

    async def open(self, claim: Claim) -> Tunnel:
        """
        Open the tunnel that a session asks for: the one that its client had, if it shows its token, or a new one.

        The session that has the tunnel loses it at once, even if it seems to live: it is the same client, whose old
        connection is dead and has not been closed.

        :raises bore.wire.errors.Refusal: when the client cannot have a tunnel.
        :raises Abandoned: when the session was over first; nothing is left of the tunnel then.
        """
        if claim.rules and isinstance(claim.address, UnixPath):
            raise VisitorsWithoutAddress
        refusal = self._objection(claim, claim.address)
        if refusal is not None:
            raise refusal
        self._claims.add(claim)
        try:
            if claim.token is not None:
                grant = await self._registry.resume(claim.token, claim.owner.user)
                if grant is not None:
                    tunnel = self._resumed(grant, claim)
                    if tunnel is not None:
                        return tunnel
            return await self._new(claim)
        finally:
            self._claims.discard(claim)

    def lost(self, tunnel: Tunnel, why: Loss, canResume: bool) -> None:
        """
        A tunnel has lost its session.

        :param canResume: whether its client can come back for it; if not, the tunnel is closed.
        """
        owner, lease = tunnel.owner, self._settings.lease if canResume else 0
        assert owner is not None
        self._sink.emit(TunnelLost(tunnel.address, owner.peer, owner.source, why, lease, owner.user.name))
        if not lease:
            self.close(tunnel, TunnelEnd.NOT_KEPT)
            return
        tunnel.owner = None
        tunnel.awaySince = self._clock.seconds()
        self._registry.renew(tunnel.grant).addErrback(self._renewFailed, tunnel.grant)

    def confirm(self, tunnel: Tunnel) -> None:
        """The client has the token of a tunnel."""
        self._registry.confirm(tunnel.grant).addErrback(self._registryFailed)

    def close(self, tunnel: Tunnel, reason: TunnelEnd) -> None:
        """Close a tunnel, and give its address back."""
        self._remove(tunnel, reason)
        self._release(tunnel.grant)

    def withdraw(self, tunnel: Tunnel) -> None:
        """Take a tunnel from a user that may not have it any more."""
        self._takeAway(tunnel, TunnelEnd.RIGHT_WITHDRAWN, RightWithdrawn())

    def kick(self, tunnel: Tunnel) -> None:
        """Take a tunnel from its client at the operator's request. The client may ask for it again."""
        self._takeAway(tunnel, TunnelEnd.KICKED, Kicked())

    def closeAll(self) -> None:
        """Close all tunnels, as the server stops."""
        for tunnel in list(self._byAddress.values()):
            self.close(tunnel, TunnelEnd.STOPPED)
        self._notRenewed.takeAll()
        self._registry.close()

    def _resumed(self, grant: Grant, claim: Claim) -> Tunnel | None:
        """Give a tunnel to the session that has shown its token; None: there is none that the session could have."""
        tunnel = self._byAddress.get(grant.address)
        if tunnel is None:
            return self._adopted(grant, claim)
        if grant.epoch < tunnel.grant.epoch:
            raise TakenOver  # a later session has had its answer first
        former, tunnel.grant = tunnel.owner, grant
        allowed = self._objection(claim, grant.address) is None
        wanted = allowed and satisfies(grant.address, claim.address)
        if wanted:
            claim.resumed = True
            self._move(tunnel, claim.owner)
            tunnel.limits.setRules(claim.rules)
        else:
            self.close(tunnel, TunnelEnd.OTHER_PORT if allowed else TunnelEnd.RIGHT_WITHDRAWN)
        if former is not None:
            former.takeAway(tunnel, TakenOver())
        if wanted and claim.abandoned is not None:
            owner = claim.owner
            self._sink.emit(TunnelBack(tunnel.address, owner.peer, owner.source, owner.user.name))  # and lost at once
            self.lost(tunnel, Loss.GONE, canResume=claim.abandoned is Outcome.KEPT)
        claim.checkAwaited()
        return tunnel if wanted else None

    def _adopted(self, grant: Grant, claim: Claim) -> Tunnel | None:
        """
        Open a tunnel here that its user has elsewhere, or had here until the registry was asked; None: the session
        cannot have that one.
        """
        if not satisfies(grant.address, claim.address) or self._objection(claim, grant.address) is not None:
            self._release(grant)
            return None
        try:
            doubtful = self._makeRoom(claim)
        except Refusal:
            self._release(grant)
            raise
        return self._made(claim, grant, self._enter(grant, claim), doubtful)

    async def _new(self, claim: Claim) -> Tunnel:
        claim.checkAwaited()
        doubtful = self._makeRoom(claim)
        grant, entrance = await self._take(claim)
        return self._made(claim, grant, entrance, doubtful)

    def _made(self, claim: Claim, grant: Grant, entrance: Entrance, doubtful: Tunnel | None) -> Tunnel:
        """
        Make a tunnel of what it needs.

        :param doubtful: the one that has to be closed for it, if one has to.
        """
        if doubtful is not None and not doubtful.closed:
            self._giveUp(doubtful)
        owner, bounds = claim.owner, self._settings.bounds
        tunnel = Tunnel(self._clock, self._sink, entrance, self._unaccepted, bounds, grant, owner, self._filter)
        tunnel.limits.setRules(claim.rules)
        self._byAddress[tunnel.address] = tunnel
        self._bySource.setdefault(owner.source, {})[tunnel] = None
        if self._users is not None:
            self._users.add(tunnel)
        return tunnel

    async def _take(self, claim: Claim) -> tuple[Grant, Entrance]:
        """Take a free address, or the address of a client in doubt."""
        try:
            return await self._takeFree(claim)
        except PortInUse:
            doubtful = self._inDoubt([self._byAddress[claim.address]] if claim.address in self._byAddress else [])
            if doubtful is None:
                raise
        except NoFreePort:
            doubtful = self._anyInDoubt()
            if doubtful is None:
                raise
        claim.checkAwaited()
        self._giveUp(doubtful)
        return await self._takeFree(claim)

    async def _takeFree(self, claim: Claim) -> tuple[Grant, Entrance]:
        """Take a free address."""
        user = claim.owner.user
        mine = None if self._users is None else self._users.permits.rights(user)
        for address in self._entrances.candidates(claim.address, mine):
            claim.checkAwaited()
            try:
                grant = await self._registry.claim(address, user)
                return grant, self._enter(grant, claim)
            except BindFailed:
                raise  # no descriptor, or no such address: the next one could not be bound either
            except Refusal:
                if claim.address:
                    raise
                self._entrances.avoid(address)
        lowest, highest = self._settings.minPort, self._settings.maxPort
        raise NoFreePort(f"no port is free of those from {lowest} to {highest} that this client may have")

    def _enter(self, grant: Grant, claim: Claim) -> Entrance:
        """Listen at an address that was granted; it is given back if that cannot be, or if it has come too late."""
        try:
            claim.checkAwaited()
            refusal = self._objection(claim, grant.address)
            if refusal is not None:  # withdrawn while the registry was asked
                raise refusal
            return self._entrances.open(grant.address)
        except BaseException:
            self._release(grant)
            raise

    def _objection(self, claim: Claim, address: PublicAddress) -> Refusal | None:
        """Why a user may not have an address; None: the user may."""
        if self._users is None or address == ANY_PORT:
            return None
        return self._users.permits.addressRefusal(claim.owner.user, address)

    def _makeRoom(self, claim: Claim) -> Tunnel | None:
        """
        Check that one more tunnel is within the limits.

        :returns: the one that has to be closed for it, if one has to.
        :raises Refusal: when it is not.
        """
        bounds, user = self._settings.bounds, claim.owner.user
        claims = [each for each in self._claims if each is not claim and each.abandoned is None]
        doubtful = None if self._users is None else self._makeRoomOf(user, self._users, claims)
        if doubtful is None and not user.name:
            # A user with a name has a limit of its own: an office with many people can be one source.
            doubtful = self._makeRoomAt(claim.owner.source, claims)
        if doubtful is not None:
            return doubtful
        if 0 < bounds.tunnels <= len(self._byAddress) + len(claims):
            doubtful = self._anyInDoubt()
            if doubtful is None:
                self._sink.emit(LimitReached(Limit.TUNNELS, bounds.tunnels))
                raise TooManyTunnels(
                    f"{TooManyTunnels.text}: this server allows {bounds.tunnels} (its option --max-tunnels)"
                )
            return doubtful
        return None

    def _makeRoomOf(self, user: User, users: UserTunnels, claims: Sequence[Claim]) -> Tunnel | None:
        """As :meth:`_makeRoom`, for the limit of a user."""
        limit = users.permits.rights(user).maxTunnels
        if user.name and not limit:
            limit = self._settings.bounds.tunnelsPerSource
        claimed = [each for each in claims if each.owner.user == user]
        mine = users.open(user) if limit else []
        if not 0 < limit <= len(mine) + len(claimed):
            return None
        doubtful = self._inDoubt(mine)
        if doubtful is None:
            self._sink.emit(LimitReached(Limit.TUNNELS_PER_USER, limit, user=user.name))
            raise TooManyTunnelsOfUser(f"{TooManyTunnelsOfUser.text}: it may have {limit}")
        return doubtful

    def _makeRoomAt(self, source: str, claims: Sequence[Claim]) -> Tunnel | None:
        """As :meth:`_makeRoom`, for the limit of a source: of all its clients whose users have no name."""
        limit = self._settings.bounds.tunnelsPerSource
        if not limit:
            return None
        claimed = [each for each in claims if each.owner.source == source and not each.owner.user.name]
        mine = [tunnel for tunnel in self._bySource.get(source, ()) if not tunnel.user.name]
        if limit > len(mine) + len(claimed):
            return None
        doubtful = self._inDoubt(mine)
        if doubtful is None:
            self._sink.emit(LimitReached(Limit.TUNNELS_PER_SOURCE, limit, source))
            raise TooManyTunnelsFromSource(
                f"{TooManyTunnelsFromSource.text}: this server allows {limit} (its option --max-tunnels-per-source)"
            )
        return doubtful

    def _inDoubt(self, tunnels: Iterable[Tunnel]) -> Tunnel | None:
        """The first of these tunnels whose client may be gone."""
        for tunnel in tunnels:
            if tunnel.owner is not None and tunnel.owner.inDoubt():
                return tunnel
        return None

    def _anyInDoubt(self) -> Tunnel | None:
        """One of all tunnels whose client may be gone. Many refusals in a row do not examine all of them each time."""
        if self._clock.seconds() - self._allWell < _EXAMINE:
            return None
        doubtful = self._inDoubt(self._byAddress.values())
        if doubtful is None:
            self._allWell = self._clock.seconds()
        return doubtful

    def _giveUp(self, tunnel: Tunnel) -> None:
        """Take a tunnel from its client, which seems to be gone. Its running streams go on."""
        self._takeAway(tunnel, TunnelEnd.PRESUMED_GONE, PresumedGone())

    def _takeAway(self, tunnel: Tunnel, reason: TunnelEnd, refusal: Refusal) -> None:
        owner = tunnel.owner
        self.close(tunnel, reason)
        if owner is not None:
            owner.takeAway(tunnel, refusal)

    def _move(self, tunnel: Tunnel, owner: Owner) -> None:
        """Give a tunnel to another session."""
        self._leave(tunnel)
        self._bySource.setdefault(owner.source, {})[tunnel] = None
        tunnel.source = owner.source
        tunnel.login = owner.login
        tunnel.owner = owner
        tunnel.awaySince = None

    def _leave(self, tunnel: Tunnel) -> None:
        mine = self._bySource[tunnel.source]
        del mine[tunnel]
        if not mine:
            del self._bySource[tunnel.source]

    def _leaseOver(self, grant: Grant) -> None:
        tunnel = self._byAddress.get(grant.address)
        if tunnel is not None and tunnel.grant == grant:
            self._remove(tunnel, TunnelEnd.LEASE_OVER)

    def _remove(self, tunnel: Tunnel, reason: TunnelEnd) -> None:
        usage, address = tunnel.usage, tunnel.address
        count, name = usage.visitors + len(tunnel.serving), tunnel.user.name
        if name and count:
            self._sink.emit(TunnelUsed(address, tunnel.source, name, count, usage.toClient, usage.toVisitors))
        self.closed.add(usage)
        tunnel.usage = self.closed
        self._sink.emit(TunnelClosed(tunnel.address, tunnel.source, reason, tunnel.user.name))
        del self._byAddress[tunnel.address]
        self._notRenewed.take(tunnel.address)
        self._leave(tunnel)
        tunnel.close()

    def _release(self, grant: Grant) -> None:
        self._registry.release(grant).addErrback(self._registryFailed)

    def _renewFailed(self, reason: Failure, grant: Grant) -> None:
        """The registry has no lease for a tunnel without a session: it ends here."""
        self._registryFailed(reason)
        tunnel = self._byAddress.get(grant.address)
        if tunnel is not None and tunnel.grant == grant:
            self._notRenewed.take(grant.address)
            self._notRenewed.add(grant.address, grant)

    def _neverRenewed(self, address: PublicAddress, grant: Grant) -> None:
        tunnel = self._byAddress.get(address)
        if tunnel is not None and tunnel.grant == grant:
            self.close(tunnel, TunnelEnd.LEASE_OVER)

    def _registryFailed(self, reason: Failure) -> None:
        self._log.failure("the registry has failed", reason)
