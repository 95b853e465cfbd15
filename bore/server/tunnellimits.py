"""The limits on the number of tunnels, and the clients in doubt that make room for others."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from twisted.internet.interfaces import IReactorTime

from bore.events import Sink
from bore.events.server import Limit, LimitReached
from bore.server.asks import Ask
from bore.server.custody import Wish
from bore.server.held import Held, HeldAddresses
from bore.server.registry import Grant
from bore.server.settings import Bounds
from bore.server.shares import Share
from bore.wire.errors import TooManyTunnels, TooManyTunnelsFromSource, TooManyTunnelsOfUser
from bore.wire.publicaddress import PublicAddress

#: When none of all clients is in doubt, they are not examined again for this time, in seconds.
_EXAMINE: Final = 1.0


class TunnelLimits:
    """
    Decides whether there may be one more tunnel.

    A client that is in doubt keeps its tunnel until another one needs the address, or the place under a limit.

    :param held: the addresses of all tunnels.
    """

    def __init__(self, clock: IReactorTime, sink: Sink, bounds: Bounds, held: HeldAddresses) -> None:
        self._clock = clock
        self._sink = sink
        self._held = held
        self._allWell = float("-inf")
        self.bounds = bounds

    async def makeRoom(self, wish: Wish, others: Collection[Wish]) -> Grant | None:
        """
        Check that one more tunnel is within the limits.

        :param others: what others ask for at the same time: it counts as if they had it.
        :returns: the one that has to be closed for it, if one has to.
        :raises Refusal: when it is not.
        """
        doubtful = await self._makeRoomOf(wish, others)
        if doubtful is None and not wish.user.name:
            # A user with a name has a limit of its own: an office with many people can be one source.
            doubtful = await self._makeRoomAt(wish.source, others)
        if doubtful is not None:
            return doubtful
        if 0 < self.bounds.tunnels <= len(self._held) - self._held.lent + len(others):
            doubtful = await self.anyInDoubt()
            if doubtful is None:
                self._sink.emit(LimitReached(Limit.TUNNELS, self.bounds.tunnels))
                raise TooManyTunnels(
                    f"{TooManyTunnels.text}: this server allows {self.bounds.tunnels} (its option --max-tunnels)"
                )
            return doubtful
        return None

    async def anyInDoubt(self) -> Grant | None:
        """One of all tunnels whose client may be gone. Many refusals in a row do not examine all of them each time."""
        if self._clock.seconds() - self._allWell < _EXAMINE:
            return None
        doubtful = await self.inDoubt(list(self._held))
        if doubtful is None:
            self._allWell = self._clock.seconds()
        return doubtful

    async def inDoubt(self, several: Sequence[Held]) -> Grant | None:
        """The first of these tunnels whose client may be gone."""
        asked: dict[Share, list[PublicAddress]] = {}
        grants = [each.grant for each in several if each.share is not None]
        for each in several:
            if each.share is not None:
                asked.setdefault(each.share, []).append(each.address)
        asks = [
            Ask(self._clock, share.holder.doubtful(addresses), None, share.asks) for share, addresses in asked.items()
        ]
        doubtful = {await ask.answer() for ask in asks}
        return next((each for each in grants if each.address in doubtful and self._held.valid(each)), None)

    async def _makeRoomOf(self, wish: Wish, others: Collection[Wish]) -> Grant | None:
        """As :meth:`makeRoom`, for the limit of a user."""
        if wish.rights is None:
            return None
        limit, user = wish.rights.maxTunnels, wish.user
        if user.name and not limit:
            limit = self.bounds.tunnelsPerSource
        if not limit:
            return None
        claimed = [each for each in others if each.user == user]
        mine = self._held.ofUser(user)
        if limit > len(mine) + len(claimed):
            return None
        doubtful = await self.inDoubt(mine)
        if doubtful is None:
            self._sink.emit(LimitReached(Limit.TUNNELS_PER_USER, limit, user=user.name))
            raise TooManyTunnelsOfUser(f"{TooManyTunnelsOfUser.text}: it may have {limit}")
        return doubtful

    async def _makeRoomAt(self, source: str, others: Collection[Wish]) -> Grant | None:
        """As :meth:`makeRoom`, for the limit of a source: of all its clients whose users have no name."""
        limit = self.bounds.tunnelsPerSource
        if not limit:
            return None
        claimed = [each for each in others if each.source == source and not each.user.name]
        mine = [each for each in self._held.of(source) if not each.user.name]
        if limit > len(mine) + len(claimed):
            return None
        doubtful = await self.inDoubt(mine)
        if doubtful is None:
            self._sink.emit(LimitReached(Limit.TUNNELS_PER_SOURCE, limit, source))
            raise TooManyTunnelsFromSource(
                f"{TooManyTunnelsFromSource.text}: this server allows {limit} (its option --max-tunnels-per-source)"
            )
        return doubtful
