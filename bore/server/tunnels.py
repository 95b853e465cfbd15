"""All tunnels of this process: how they are opened, kept without a session, and closed."""
# Longer than 300 lines: what becomes of a tunnel, from its opening to its end, is read together.

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from twisted.internet.interfaces import IReactorTime

from bore.events import Sink
from bore.events.server import Loss, TunnelBack, TunnelClosed, TunnelEnd, TunnelLost, TunnelUsed
from bore.server.claim import Claim, Outcome
from bore.server.claimturns import ClaimTurns
from bore.server.custody import Abandoned, Custody, Opened, OpenPlace, Waiting, Wish
from bore.server.entrances import Entrances
from bore.server.settings import ServerSettings
from bore.server.tunnel import Owner, Tunnel
from bore.server.unaccepted import UnacceptedVisitors
from bore.server.usage import Usage
from bore.timing.deadlines import Deadlines
from bore.wire.addressrules import AddressFilter
from bore.wire.errors import Kicked, Refusal, RightWithdrawn, TakenOver, VisitorsWithoutAddress
from bore.wire.publicaddress import ANY_PORT, PublicAddress, UnixPath

if TYPE_CHECKING:
    from bore.server.users import Login
    from bore.server.usertunnels import UserTunnels

#: How long a tunnel whose session has gone to another process waits for that to ask for it, in seconds.
DEPARTURE_TIMEOUT: Final = 5.0


class Tunnels:
    """
    Opens tunnels, keeps them for clients that were lost, and closes them.

    :param custody: decides which addresses this process serves.
    :param unaccepted: the visitors that wait for a client.
    :param entrances: makes what visitors come in by.
    :param users: the limits of each user; None: there are none.
    :ivar claims: the turns of the sessions that ask for tunnels.
    :ivar closed: what the tunnels that were closed were used for, and are until their last visitor has left.
    """

    def __init__(
        self,
        clock: IReactorTime,
        sink: Sink,
        settings: ServerSettings,
        custody: Custody,
        unaccepted: UnacceptedVisitors,
        entrances: Entrances,
        users: UserTunnels | None = None,
    ) -> None:
        self._clock = clock
        self._sink = sink
        self._settings = settings
        self.custody = custody
        self._unaccepted = unaccepted
        self._entrances = entrances
        self._users = users
        self._filter = AddressFilter(settings.rules) if settings.rules else None
        self._byAddress: dict[PublicAddress, Tunnel] = {}
        self._bySource: dict[str, dict[Tunnel, None]] = {}
        self._departing: Deadlines[Tunnel, None] | None = None
        self.claims = ClaimTurns(clock)
        self.closed = Usage()

    def apply(self, settings: ServerSettings) -> None:
        """Apply other limits and rules. Tunnels stay where they are."""
        if settings.rules != self._settings.rules:
            self._filter = AddressFilter(settings.rules) if settings.rules else None
        self._settings = settings
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
        token = claim.token
        while True:
            refusal = self._objection(claim, claim.address)
            if refusal is not None:
                raise refusal
            claim.checkAwaited()
            claim.wish = self._wishOf(claim, token)
            opened = await self.custody.open(claim.wish)
            tunnel = self._given(opened, claim)
            if tunnel is not None:
                return tunnel
            token = None

    def abandon(self, claim: Claim, outcome: Outcome) -> None:
        """A session does not wait for a tunnel any more."""
        claim.abandoned = outcome
        if claim.wish is not None:
            self.custody.abandon(claim.wish)

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
        self.custody.renew(tunnel.grant)

    def confirm(self, tunnel: Tunnel) -> None:
        """The client has the token of a tunnel."""
        self.custody.confirm(tunnel.grant)

    def close(self, tunnel: Tunnel, reason: TunnelEnd) -> None:
        """Close a tunnel, and give its address back."""
        self.remove(tunnel, reason)
        self.custody.release(tunnel.grant)

    def withdraw(self, tunnel: Tunnel) -> None:
        """Take a tunnel from a user that may not have it any more."""
        self.takeAway(tunnel, TunnelEnd.RIGHT_WITHDRAWN, RightWithdrawn())

    def kick(self, tunnel: Tunnel) -> None:
        """Take a tunnel from its client at the operator's request. The client may ask for it again."""
        self.takeAway(tunnel, TunnelEnd.KICKED, Kicked())

    def takeAway(self, tunnel: Tunnel, reason: TunnelEnd, refusal: Refusal) -> None:
        """Close a tunnel, and send the client the reason. Its running streams go on."""
        owner = tunnel.owner
        self.close(tunnel, reason)
        if owner is not None:
            owner.takeAway(tunnel, refusal)

    def remove(self, tunnel: Tunnel, reason: TunnelEnd) -> None:
        """Close a tunnel whose address custody has back already."""
        self._forget(tunnel, reason)
        tunnel.close()

    def depart(self, tunnel: Tunnel) -> None:
        """
        The session of a tunnel goes to another process, which will ask for the tunnel; if it does not, the tunnel is
        closed after DEPARTURE_TIMEOUT.
        """
        tunnel.depart()
        if self._departing is None:
            self._departing = Deadlines(
                self._clock, DEPARTURE_TIMEOUT, lambda left, _: self.close(left, TunnelEnd.NOT_KEPT)
            )
        self._departing.add(tunnel, None)

    def handOver(self, tunnel: Tunnel) -> list[Waiting]:
        """Give a tunnel to another holder: see :meth:`bore.server.tunnel.Tunnel.handOver`."""
        self._forget(tunnel, TunnelEnd.HANDED_OVER)
        grant = tunnel.grant
        return tunnel.handOver(lambda visitor: self.custody.forward(grant, visitor))

    def closeAll(self) -> None:
        """Close all tunnels, as the server stops."""
        for tunnel in list(self._byAddress.values()):
            self.close(tunnel, TunnelEnd.STOPPED)
        self.custody.close()
        if self._departing is not None:
            self._departing.takeAll()

    def _wishOf(self, claim: Claim, token: str | None) -> Wish:
        """What custody is asked for."""
        owner = claim.owner
        rights = None if self._users is None else self._users.permits.rights(owner.user)
        return Wish(claim.address, token, owner.user, owner.source, claim.lasting, rights, claim.key)

    def _given(self, opened: Opened, claim: Claim) -> Tunnel | None:
        """Make a tunnel of what was granted; None: the client cannot have that, and asks again."""
        grant, place = opened.grant, opened.place
        claim.resumed = opened.resumed
        tunnel = self._byAddress.get(grant.address) if place is None else None
        allowed = self._objection(claim, grant.address) is None  # it may have been withdrawn meanwhile
        if tunnel is not None:
            return self._resumed(tunnel, opened, claim, allowed)
        if place is None or not allowed:
            self._giveBack(opened)
            return None
        if claim.abandoned is None:
            return self._made(opened, place, claim)
        if not (opened.resumed and claim.abandoned is Outcome.KEPT):
            self._giveBack(opened)
            raise Abandoned
        tunnel, owner = self._made(opened, place, claim), claim.owner
        self._sink.emit(TunnelBack(tunnel.address, owner.peer, owner.source, owner.user.name))  # and lost at once
        tunnel.adopt()
        self.lost(tunnel, Loss.GONE, canResume=True)
        raise Abandoned

    def _resumed(self, tunnel: Tunnel, opened: Opened, claim: Claim, allowed: bool) -> Tunnel | None:
        """Give a tunnel to the session that has shown its token; None: its user may not have it any more."""
        former, tunnel.grant = tunnel.owner, opened.grant
        if allowed:
            self._move(tunnel, claim.owner)
            tunnel.limits.setRules(claim.rules)
        else:
            self.close(tunnel, TunnelEnd.RIGHT_WITHDRAWN)
        if former is not None:
            former.takeAway(tunnel, TakenOver())
        if allowed and claim.abandoned is not None:
            owner = claim.owner
            self._sink.emit(TunnelBack(tunnel.address, owner.peer, owner.source, owner.user.name))  # and lost at once
            self.lost(tunnel, Loss.GONE, canResume=claim.abandoned is Outcome.KEPT)
        claim.checkAwaited()
        return tunnel if allowed else None

    def _made(self, opened: Opened, place: OpenPlace, claim: Claim) -> Tunnel:
        owner, bounds = claim.owner, self._settings.bounds
        tunnel = Tunnel(
            self._clock,
            self._sink,
            self._entrances.at(place),
            self._unaccepted,
            bounds,
            opened.grant,
            owner,
            self._filter,
            opened.waiting,
        )
        tunnel.limits.setRules(claim.rules)
        self._byAddress[tunnel.address] = tunnel
        self._bySource.setdefault(owner.source, {})[tunnel] = None
        if self._users is not None:
            self._users.add(tunnel)
        return tunnel

    def _giveBack(self, opened: Opened) -> None:
        """Give an address back that no session gets."""
        for visitor in opened.waiting:
            visitor.socket.close()
        if opened.place is not None:
            opened.place.leave()
            opened.place.socket.close()
        self.custody.release(opened.grant)

    def _objection(self, claim: Claim, address: PublicAddress) -> Refusal | None:
        """Why a user may not have an address; None: the user may."""
        if self._users is None or address == ANY_PORT:
            return None
        return self._users.permits.addressRefusal(claim.owner.user, address)

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

    def _forget(self, tunnel: Tunnel, reason: TunnelEnd) -> None:
        usage, address = tunnel.usage, tunnel.address
        count, name = usage.visitors + len(tunnel.serving), tunnel.user.name
        if name and count:
            self._sink.emit(TunnelUsed(address, tunnel.source, name, count, usage.toClient, usage.toVisitors))
        self.closed.add(usage)
        tunnel.usage = self.closed
        self._sink.emit(TunnelClosed(tunnel.address, tunnel.source, reason, tunnel.user.name))
        del self._byAddress[tunnel.address]
        if self._departing is not None:
            self._departing.take(tunnel)
        self._leave(tunnel)
