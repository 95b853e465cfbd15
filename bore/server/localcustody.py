"""The custody of public addresses in the process that has their listening sockets."""
# Longer than 300 lines: how an address is taken, passed on and given back is read together.

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from bore.events import Sink
from bore.events.server import TunnelClosed, TunnelEnd
from bore.server.asks import Ask
from bore.server.custody import HAND_OVER_TIMEOUT, Abandoned, Holder, Opened, OpenPlace, Waiting, Wish
from bore.server.held import Held, HeldAddresses, closeAll
from bore.server.places import Places
from bore.server.registry import Grant, Registry
from bore.server.settings import ServerSettings
from bore.server.shares import Share
from bore.server.tunnellimits import TunnelLimits
from bore.server.users import User
from bore.timing.deadlines import Deadlines
from bore.wire.errors import NoFreePort, PortForbidden, PortInUse, Refusal, TakenOver
from bore.wire.publicaddress import PublicAddress, satisfies

#: Lent addresses have no source, as no limit counts them.
_NO_SOURCE: Final = ""


class Keeper(Protocol):
    """What has listening sockets kept, by another process, while the server is started again."""

    def keep(self, place: OpenPlace, user: User, source: str, lasting: bool) -> None:
        """An address is held, or there are other tokens with which it can be resumed."""


class StandIn(Protocol):
    """What may have the addresses that no client of this server is there for: the other nodes of a cluster."""

    def takes(self, address: PublicAddress) -> bool:
        """
        An address has lost its session, or was given back. It is taken by :meth:`LocalCustody.lend`.

        :returns: whether it is taken.
        """

    def fits(self, address: PublicAddress) -> bool:
        """
        Whether an address that is lent was granted here to the client that has it at the other nodes, and not to a new
        one.
        """


class LocalCustody:
    """
    The custody of public addresses.

    The registry says who owns an address. Listening at it, and the limits on the number of tunnels, are decided here.
    With a single holder in this process, and a registry in its memory, all Deferreds have fired when they are returned.

    :param places: listens at addresses.
    :param keeper: has the listening sockets kept while the server is started again; None: nothing does.
    :ivar standIn: what may have the addresses that no client is there for; None: nothing.
    """

    _log: Final = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        sink: Sink,
        settings: ServerSettings,
        registry: Registry,
        places: Places,
        keeper: Keeper | None = None,
    ) -> None:
        self._clock = clock
        self._sink = sink
        self._settings = settings
        self._registry = registry
        registry.expired = self._expired
        self._places = places
        self._keeper = keeper
        self.standIn: StandIn | None = None
        self._held = HeldAddresses()
        self._limits = TunnelLimits(clock, sink, settings.bounds, self._held)
        self._wishes: dict[Wish, Share] = {}  # tunnels that are not open yet: they count as those that are
        self._shares: list[Share] = []
        self._closed = False
        self._forward: Callable[[Grant, Waiting], object] | None = None  # when another process has the addresses
        self._notRenewed: Deadlines[PublicAddress, Grant] = Deadlines(clock, settings.lease, self._neverRenewed)

    def __len__(self) -> int:
        return len(self._held)

    def grant(self, address: PublicAddress, epoch: int) -> Grant | None:
        """The grant of an address with an epoch; None: it is void."""
        held = self._held.get(address)
        return held.grant if held is not None and held.grant.epoch == epoch else None

    def hasSome(self, source: str) -> bool:
        """Whether a source has a tunnel."""
        return bool(self._held.of(source))

    def apply(self, settings: ServerSettings) -> None:
        """Apply another range of ports, other folders and limits. Tunnels stay where they are."""
        self._settings = settings
        self._limits.bounds = settings.bounds
        self._places.apply(settings)

    def held(self) -> list[Held]:
        """All addresses that are held, the oldest first."""
        return list(self._held)

    def forHolder(self, holder: Holder | None = None) -> Share:
        """
        The custody as one more holder sees it.

        :param holder: the holder; None: it sets itself.
        """
        share = Share(self)
        if holder is not None:
            share.holder = holder
        self._shares.append(share)
        return share

    def gone(self, holder: Holder) -> None:
        """
        A holder has died: the tunnels whose clients can come back wait for them, for the time of a lease, and those
        that come to them wait in the kernel. The others end.
        """
        share = self._shareOf(holder)
        self._depart(share)
        for held in [held for held in self._held if held.share is share]:
            held.share = None
            self._orphaned(held)

    def unserved(self) -> list[Held]:
        """The tunnels that no holder has, and that wait for their clients."""
        return [held for held in self._held if held.share is None and held.leaving is None]

    def kick(self, user: str | None, address: PublicAddress | None) -> int:
        """
        Close tunnels that no holder has.

        :param user: the name of the user whose tunnels; None: not those of a user.
        :param address: the public address of the tunnel; None: not a single one.
        :returns: how many.
        """
        wanted = [held for held in self.unserved() if held.user.name == user or held.address == address]
        for held in wanted:
            self._end(held, TunnelEnd.KICKED)
        return len(wanted)

    def leave(self, share: Share) -> None:
        """A holder stops, and has closed its tunnels. Behind the last one, nothing is left. May be called twice."""
        if not share.gone:
            self._depart(share)
        if not self._shares:
            self._closed = True
            self._registry.close()
            self._notRenewed.takeAll()
            for held in list(self._held):
                self._drop(held)

    @property
    def registry(self) -> Registry:
        """Who owns the addresses."""
        return self._registry

    @property
    def places(self) -> Places:
        """Listens at them."""
        return self._places

    def recall(self, address: PublicAddress, waiting: Sequence[Waiting]) -> None:
        """
        A holder gives a tunnel back whose client is away.

        :param waiting: the visitors that wait, the oldest first.
        """
        held = self._held.get(address)
        if held is None:
            closeAll(waiting)
        else:
            held.share = None
            held.waiting.extend(waiting)

    def handedOver(self, forward: Callable[[Grant, Waiting], object]) -> None:
        """
        Another process has all addresses from now on, with copies of the listening sockets. What no holder has is
        closed here, and holders close their own.

        :param forward: has that process serve a visitor that waits again; it belongs to the callee.
        """
        self._forward = forward
        self._closed = True
        self._registry.close()
        self._notRenewed.takeAll()
        for held in self.held():
            held.place.goesOn = True
            if held.share is None:
                held.place.socket.close()
            closeAll(held.waiting)
            self._held.remove(held)

    async def settled(self) -> None:
        """Wait until no tunnel is passed from one holder to another, for three times HAND_OVER_TIMEOUT at most."""
        end = self._clock.seconds() + 2 * HAND_OVER_TIMEOUT
        while asks := [ask for share in self._shares for ask in share.asks]:
            if self._clock.seconds() >= end:
                for ask in asks:
                    ask.giveUp()
            else:
                await asks[0].answer()

    def adopt(self, held: Held, holder: Holder | None, mayWait: bool) -> None:
        """
        Go on with an address of an earlier process.

        :param holder: what serves it; None: none does.
        :param mayWait: whether it has a lease already.
        """
        held.share = None if holder is None else self._shareOf(holder)
        self._held.add(held)
        self._keep(held)
        if held.share is None and not mayWait:
            self._orphaned(held)

    def restore(self, grant: Grant, place: OpenPlace, source: str) -> None:
        """Hold an address that its client can come back for, and had in an earlier process."""
        held = Held(grant, place, None, source, lasting=True)
        self._held.add(held)
        self._keep(held)
        self.renew(grant)

    def open(self, wish: Wish, share: Share) -> Deferred[Opened]:
        """See :meth:`bore.server.custody.Custody.open`."""
        self._wishes[wish] = share
        return Deferred.fromCoroutine(self._open(wish, share))

    def abandon(self, wish: Wish) -> None:
        """See :meth:`bore.server.custody.Custody.abandon`."""
        self._wishes.pop(wish, None)

    def confirm(self, grant: Grant) -> None:
        """See :meth:`bore.server.custody.Custody.confirm`."""
        self._registry.confirm(grant).addErrback(self._registryFailed)
        held = self._held.valid(grant)
        if held is not None:
            self._keep(held)

    def renew(self, grant: Grant) -> None:
        """See :meth:`bore.server.custody.Custody.renew`."""
        held = self._held.valid(grant)
        if held is not None:
            held.vacant = True
            if self.standIn is not None and self.standIn.takes(grant.address):
                return
        self._registry.renew(grant).addErrback(self._renewFailed, grant)

    def release(self, grant: Grant) -> None:
        """See :meth:`bore.server.custody.Custody.release`."""
        held = self._held.valid(grant)
        if held is not None:
            self._drop(held)
        self._registry.release(grant).addErrback(self._registryFailed)
        if held is not None and self.standIn is not None:
            self.standIn.takes(grant.address)

    def isVacant(self, address: PublicAddress) -> bool:
        """Whether no client is there for an address, as far as that was reported; it need not be held."""
        held = self._held.get(address)
        return held is None or held.vacant

    def lend(self, grant: Grant, share: Share) -> Deferred[Opened]:
        """
        Give an address to a holder that passes its visitors on to other nodes. No limit counts.

        :param grant: made by :meth:`~bore.server.registry.LocalRegistry.lend`.
        :returns: fails with :class:`~bore.wire.errors.Refusal` when the system does not let the server listen there.
        """
        return Deferred.fromCoroutine(self._lend(grant, share))

    def limit(self, user: User, most: int) -> None:
        """See :meth:`bore.server.custody.Custody.limit`."""
        for held in self._held.ofUser(user)[most:]:
            if held.share is not None:
                held.share.holder.close(held.grant, TunnelEnd.RIGHT_WITHDRAWN)
            self._end(held, TunnelEnd.RIGHT_WITHDRAWN)

    def forward(self, grant: Grant, visitor: Waiting) -> None:
        """See :meth:`bore.server.custody.Custody.forward`."""
        held = self._held.get(grant.address)
        if self._forward is not None:
            self._forward(grant, visitor)
        elif held is None or grant.epoch < held.since:
            visitor.socket.close()
        elif held.share is None:
            held.waiting.append(visitor)
        else:
            held.share.holder.visitorCame(held.grant, visitor)

    def lose(self, address: PublicAddress) -> None:
        """The registry has lost an address to another server, or may have: its tunnel ends."""
        held = self._held.get(address)
        if held is not None:
            if held.share is not None:
                held.share.holder.close(held.grant, TunnelEnd.CLUSTER_LOST)
            self._end(held, TunnelEnd.CLUSTER_LOST)

    # Opening.

    async def _open(self, wish: Wish, share: Share) -> Opened:
        try:
            if wish.token is not None or wish.key is not None:
                grant = await self._registry.resume(wish.token, wish.user, wish.key)
                if grant is not None:
                    opened = await self._resumed(grant, wish, share)
                    if opened is not None:
                        return opened
            return await self._new(wish, share)
        finally:
            self._wishes.pop(wish, None)

    async def _lend(self, grant: Grant, share: Share) -> Opened:
        held = self._held.get(grant.address)
        if held is None:
            try:
                place = self._places.open(grant.address)
            except Refusal:
                self.release(grant)
                raise
            self._held.add(Held(grant, place, share, _NO_SOURCE, lasting=True))
            return Opened(grant, place)
        former = held.share
        self._held.move(held, grant, _NO_SOURCE)
        held.vacant = False
        if former is share:
            return Opened(grant, None, resumed=True)
        return await self._handOver(held, grant, share)

    async def _resumed(self, grant: Grant, wish: Wish, share: Share) -> Opened | None:
        """Give a tunnel to the session that has shown its token; None: there is none that the session could have."""
        held = self._held.get(grant.address)
        if held is None:
            return await self._adopted(grant, wish, share)
        if grant.epoch < held.grant.epoch:
            raise TakenOver  # a later session has had its answer first
        former = held.share
        self._held.move(held, grant, wish.source)
        if not satisfies(grant.address, wish.address):
            if former is not None:
                former.holder.close(grant, TunnelEnd.OTHER_PORT)
            self._end(held, TunnelEnd.OTHER_PORT)
            return None
        held.lasting = wish.lasting
        held.vacant = False
        self._keep(held)
        if former is share:
            return Opened(grant, None, resumed=True)
        return await self._handOver(held, grant, share)

    async def _adopted(self, grant: Grant, wish: Wish, share: Share) -> Opened | None:
        """
        Listen at an address that its user has elsewhere, or had here until the registry was asked; None: the session
        cannot have that one.
        """
        if not satisfies(grant.address, wish.address):
            self.release(grant)
            return None
        try:
            doubtful = await self._makeRoom(wish)
        except Refusal:
            self.release(grant)
            raise
        return await self._entered(wish, share, grant, self._enter(grant, wish), doubtful)

    async def _new(self, wish: Wish, share: Share) -> Opened:
        self._checkAwaited(wish)
        doubtful = await self._makeRoom(wish)
        grant, place = await self._take(wish)
        return await self._entered(wish, share, grant, place, doubtful)

    async def _entered(
        self, wish: Wish, share: Share, grant: Grant, place: OpenPlace | None, doubtful: Grant | None
    ) -> Opened:
        """
        Hold an address that was granted.

        :param place: where the server listens; None: the address is lent, and its client is here now.
        """
        if place is not None:
            return await self._made(wish, share, grant, place, doubtful)
        if doubtful is not None:
            self._giveUp(doubtful)
        opened = await self._resumed(grant, wish, share)
        assert opened is not None, "an address that was not asked for"
        return opened

    async def _made(self, wish: Wish, share: Share, grant: Grant, place: OpenPlace, doubtful: Grant | None) -> Opened:
        """
        Hold an address.

        :param doubtful: what has to be given up for it; None: nothing.
        """
        held = Held(grant, place, share, wish.source, wish.lasting)
        try:
            while doubtful is not None and not self._giveUp(doubtful):
                doubtful = await self._makeRoom(wish)  # its client is back, or has left
                self._checkAwaited(wish)
        except BaseException:
            held.close()
            self._registry.release(grant).addErrback(self._registryFailed)
            raise
        self._wishes.pop(wish, None)
        self._held.add(held)
        self._keep(held)
        return self._given(held, Opened(grant, place))

    async def _take(self, wish: Wish) -> tuple[Grant, OpenPlace | None]:
        """Take a free address, or the address of a client in doubt."""
        try:
            return await self._takeFree(wish)
        except PortInUse:
            held = self._held.get(wish.address)
            doubtful = None if held is None else await self._limits.inDoubt([held])
            if doubtful is None:
                raise
        except NoFreePort:
            doubtful = await self._limits.anyInDoubt()
            if doubtful is None:
                raise
        self._checkAwaited(wish)
        self._giveUp(doubtful)
        return await self._takeFree(wish)

    async def _takeFree(self, wish: Wish) -> tuple[Grant, OpenPlace | None]:
        """Take a free address, or one that is lent."""
        limit = 0 if wish.rights is None else wish.rights.maxTunnels
        for address in self._places.candidates(wish.address, wish.rights):
            self._checkAwaited(wish)
            try:
                grant = await self._registry.claim(address, wish.user, wish.key, limit)
                return grant, self._enter(grant, wish)
            except (PortInUse, PortForbidden):  # with another refusal, the next one could not be had either
                if wish.address:
                    raise
                self._places.avoid(address)
        lowest, highest = self._settings.minPort, self._settings.maxPort
        raise NoFreePort(f"no port is free of those from {lowest} to {highest} that this client may have")

    def _enter(self, grant: Grant, wish: Wish) -> OpenPlace | None:
        """
        Listen at an address that was granted; it is given back if that cannot be, or if it has come too late.

        :returns: None: the server listens there already, for the other nodes to which the client belongs as well.
        """
        try:
            self._checkAwaited(wish)
            lent = self._held.get(grant.address)
            if lent is not None and self.standIn is not None and self.standIn.fits(grant.address):
                return None
            if lent is not None and lent.share is not None:
                lent.share.holder.giveUp(lent.grant)
            return self._places.open(grant.address)
        except BaseException:
            self.release(grant)
            raise

    async def _makeRoom(self, wish: Wish) -> Grant | None:
        return await self._limits.makeRoom(wish, [each for each in self._wishes if each is not wish])

    def _checkAwaited(self, wish: Wish) -> None:
        if wish not in self._wishes:
            raise Abandoned

    # Between holders.

    async def _handOver(self, held: Held, grant: Grant, share: Share) -> Opened:
        """Give a tunnel to another holder when the former one has left it, or does not answer."""
        former, held.share = held.share, None
        if former is not None:
            late = partial(self._tooLate, grant)
            held.leaving = Ask(self._clock, former.holder.handOver(grant), (), former.asks, late)
            held.leaving.answer().addCallback(self._left, held)
        if held.leaving is not None:
            await held.leaving.answer()
        if self._held.valid(grant) is not held:
            raise TakenOver  # by a later session; or it has ended
        if held.place.socket.fileno() < 0:  # the former holder was stopped meanwhile
            self._end(held, TunnelEnd.STOPPED)
            raise Abandoned
        held.share = share
        waiting, held.waiting = held.waiting, []
        return self._given(held, Opened(grant, held.place, waiting, resumed=True))

    def _left(self, waiting: Sequence[Waiting], held: Held) -> None:
        held.leaving = None
        if self._held.get(held.address) is held:
            held.waiting.extend(waiting)
        else:
            closeAll(waiting)

    def _tooLate(self, grant: Grant, waiting: Sequence[Waiting]) -> None:
        for visitor in waiting:
            self.forward(grant, visitor)

    def _given(self, held: Held, opened: Opened) -> Opened:
        """Check that the holder that gets an address is still there."""
        assert held.share is not None
        if held.share.gone:
            held.share = None
            held.waiting.extend(opened.waiting)
            self._orphaned(held)
            raise Abandoned
        return opened

    def _orphaned(self, held: Held) -> None:
        """A tunnel has lost its holder."""
        if held.lasting and self._settings.lease and not self._closed:
            self.renew(held.grant)
        else:
            self._end(held, TunnelEnd.NOT_KEPT)

    def _shareOf(self, holder: Holder) -> Share:
        return next(share for share in self._shares if share.holder is holder)

    def _depart(self, share: Share) -> None:
        share.gone = True
        self._shares.remove(share)
        for wish, asking in list(self._wishes.items()):
            if asking is share:
                del self._wishes[wish]
        for ask in list(share.asks):
            ask.giveUp()

    # Ends.

    def _giveUp(self, grant: Grant) -> bool:
        """
        Take a tunnel from its client, which seems to be gone. Its running streams go on.

        :returns: whether there was such a tunnel still.
        """
        held = self._held.valid(grant)
        if held is None or held.share is None:
            return False
        held.share.holder.giveUp(grant)
        self.release(grant)
        return True

    def _end(self, held: Held, reason: TunnelEnd) -> None:
        """Give an address back whose holder knows that, or that has none."""
        if self._held.valid(held.grant) is held:
            if held.share is None:
                self._sink.emit(TunnelClosed(held.address, held.source, reason, held.user.name))
            self.release(held.grant)

    def _keep(self, held: Held) -> None:
        if self._keeper is not None:
            self._keeper.keep(held.place, held.user, held.source, held.lasting)

    def _drop(self, held: Held) -> None:
        self._held.remove(held)
        self._notRenewed.take(held.address)
        held.close()

    def _expired(self, grant: Grant) -> None:
        """The lease of an address is over."""
        held = self._held.valid(grant)
        if held is not None:
            if held.share is not None:
                held.share.holder.expired(grant)
            self._end(held, TunnelEnd.LEASE_OVER)

    def _renewFailed(self, reason: Failure, grant: Grant) -> None:
        """The registry has no lease for a tunnel without a session: it ends here."""
        self._registryFailed(reason)
        if self._held.valid(grant) is not None:
            self._notRenewed.take(grant.address)
            self._notRenewed.add(grant.address, grant)

    def _neverRenewed(self, address: PublicAddress, grant: Grant) -> None:
        self._expired(grant)

    def _registryFailed(self, reason: Failure) -> None:
        self._log.failure("the registry has failed", reason)
