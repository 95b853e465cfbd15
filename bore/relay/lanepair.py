"""A plain stream joined with a lane, and how the two separate."""

from __future__ import annotations

import socket
from collections.abc import Set as AbstractSet
from typing import Final

from twisted.internet.interfaces import IDelayedCall

from bore.relay.carriedpair import CarriedPair
from bore.relay.flow import BUFFER_SIZE
from bore.relay.halves import Half
from bore.relay.interface import Ending, GiveBack, LaneHandle, Reason
from bore.relay.lane import Lane
from bore.relay.lanedeadlines import LaneDeadlines
from bore.relay.splice import SpliceRelay
from bore.relay.tolane import ToLane
from bore.streams.encryption import RECORD, encryptedSize
from bore.streams.tcpinfo import unacknowledged
from bore.wire.lane import LONG, RESET, RESET_FRAME

#: Endings at which the plain stream need not linger: all was acknowledged, or the relay does not wait.
_AT_ONCE: Final = (Reason.FINISHED, Reason.STOPPED, Reason.FAILED)


class LanePair(CarriedPair):
    """
    A plain stream and a lane.

    :param giveBack: takes the plain stream back, when the lane turns out to have been dead; None: the stream is cut
        then.
    """

    __slots__ = ("_deadlines", "_giveBack", "_looking", "_relay", "lane", "plain", "unproven")

    def __init__(
        self,
        relay: SpliceRelay,
        deadlines: LaneDeadlines,
        plain: socket.socket,
        lane: Lane,
        giveBack: GiveBack | None,
    ) -> None:
        self._relay = relay
        self._deadlines = deadlines
        self._giveBack = giveBack
        self.unproven = None if giveBack is None else b""
        self._looking: IDelayedCall | None = None
        self.plain = ToLane(relay.loop, plain, lane.session)
        self.lane = lane
        self.plain.pair = self
        self.plain.other = lane
        lane.other = self.plain

    @property
    def moved(self) -> int:
        return self.plain.received + self.lane.received

    @property
    def progress(self) -> tuple[int, int, LaneHandle | None]:
        plain, lane = self.plain.received, self.lane.received
        return (plain, lane, self.lane) if self.lane.session.serves else (lane, plain, self.lane)

    def open(self, opening: bytes, early: bytes, header: bytes, last: bool) -> None:
        """
        Put the plain stream on the lane, and start to move bytes.

        :param opening: the frame that is sent on the lane first; empty: none.
        :param early: bytes of the plain stream that were read already.
        :param header: what is sent to the plain stream first.
        :param last: whether the lane is used up by the stream.
        """
        plain, lane, loop = self.plain, self.lane, self._relay.loop
        loop.add(plain)
        lane.join(self, header)
        if self.unproven is not None:
            self._deadlines.unproven.add(self, None)
        if opening or early:
            plain.open(opening, early)
        if lane.on is not self:
            return  # it has ended already
        try:
            loop.watch(plain)
        except (OSError, ValueError) as e:
            self._relay.couldNotJoin(e)
            self.stop(Reason.FAILED)
            return
        if last:
            plain.goRaw()
        lane.start()

    def remember(self, data: bytes) -> None:
        if self.unproven is not None:
            self.unproven += data

    def wrote(self, size: int) -> None:
        self.lane.written += size if self.lane.encrypted is None else encryptedSize(size)

    def proved(self) -> None:
        self.unproven = None
        self._giveBack = None
        self._deadlines.unproven.take(self)
        if self._looking is not None:
            self._stopLooking()
            if not self.plain.endFramed and not self.plain.finished:
                self.plain.readable = True
                self.plain.pump()

    def mustWait(self) -> bool:
        if self.unproven is None or len(self.unproven) < BUFFER_SIZE:
            return False
        if self._hasArrived():
            self._stopLooking()  # the caller goes on by itself
            self.proved()
            return False
        if self._looking is None:
            self._looking = self._deadlines.lookSoon(self)
        return True

    def _stopLooking(self) -> None:
        """Do not check any more whether the lane has shown that it is alive."""
        looking, self._looking = self._looking, None
        if looking is not None and looking.active():
            looking.cancel()

    def look(self) -> None:
        if self.unproven is not None and self._hasArrived():
            self.proved()
        elif self.unproven is not None:
            self._looking = self._deadlines.lookSoon(self)

    def check(self) -> None:
        if self._hasArrived():
            self.proved()
        else:
            self._lose(silent=True)

    def _hasArrived(self) -> bool:
        """Whether the other side's kernel has acknowledged anything of this stream."""
        unsent = len(self.plain.unsent)
        if self.lane.encrypted is not None:
            unsent = encryptedSize(max(0, unsent - RECORD))  # a part of the first record may be sent already
        return unacknowledged(self.lane.fd) < self.lane.written - unsent

    def isOn(self, sockets: AbstractSet[socket.socket]) -> bool:
        return self.plain.socket in sockets

    def stop(self, reason: Reason) -> None:
        if self._relay.loop.has(self.plain):
            if reason is Reason.HALF_OPEN:
                self._cutPlain(reason)
            else:
                self._cutAll(reason)

    def cutAt(self, half: Half) -> None:
        """The peer of the plain stream has cut it; see :meth:`laneLost` for the lane."""
        self._cutPlain(self._sideOf(self.plain))

    def cutBeforeOpening(self) -> None:
        self.plain.refusesData = True
        self._closePlain(self._sideOf(self.plain))
        self.lane.turnIdle()

    def cutByPeer(self) -> None:
        self._cutPlain(self._sideOf(self.lane), byPeer=True)

    def laneLost(self) -> None:
        if self._giveBack is not None and self._hasArrived():
            self._giveBack = None  # the other side may have acted on it: it must not be sent again
        self._lose(silent=False)

    def _lose(self, silent: bool) -> None:
        if self._giveBack is None or self.plain.refusesData:
            self._cutAll(self._sideOf(self.lane))
            return
        relay, plain, lane, giveBack, data = self._relay, self.plain, self.lane, self._giveBack, self.unproven or b""
        relay.loop.release(plain)
        plain.drop()
        relay.endsElsewhere(self, lambda _: relay.loop.afterwards(lane, lambda: giveBack(data, silent)))
        relay.pairEnded(self, self._separate(Reason.FAILED))
        lane.end(reset=True)

    def finished(self, half: Half) -> None:
        plain, lane = self.plain, self.lane
        if not (plain.finished and lane.finished) or plain.endPending:
            self._finishedOne(half)
            return
        self._closePlain(Reason.FINISHED)
        lane.settle(b"")

    def _finishedOne(self, half: Half) -> None:
        """One direction has ended, or its end is pending."""
        if not half.refusesData or not half.finished or half.endPending:
            self._relay.halfOpened(self)
        elif half is self.plain:
            self.cutAt(half)
        else:
            self.laneLost()

    def _cutPlain(self, reason: Reason, byPeer: bool = False) -> None:
        """
        Cut the plain stream; the lane goes on, if RESET can be sent on it.

        :param byPeer: the other side has sent RESET: all that has come from it was passed on.
        """
        plain, lane = self.plain, self.lane
        rest = bytes(plain.unsent)
        over = lane.session.over
        if lane.session.maySend:
            # If bare bytes come, there is no last frame to wait for: they are thrown away, up to the lane's end.
            lane.session.sent(RESET)
            rest += RESET_FRAME
            over = True
        if over:
            self._closePlain(reason)
            lane.settle(rest)
        elif byPeer or not plain.refusesData:
            self._closePlain(reason)
            # Where there are frames, the lane's end in the middle of a stream is a cut.
            lane.end(reset=not plain.framed)
        else:
            self._relay.loop.forget(plain)
            plain.close(reset=True)
            ending = self._separate(reason)
            lane.retire()
            self._relay.linger(self, lane, ending)
            lane.user.gone(lane)

    def _cutAll(self, reason: Reason) -> None:
        lane = self.lane
        self._closePlain(reason)
        lane.end(reset=True)

    def _closePlain(self, reason: Reason) -> None:
        """Close the plain stream, by a reset unless it has finished, and separate it from the lane."""
        plain = self.plain
        if plain.refusesData or reason in _AT_ONCE:
            self._relay.loop.forget(plain)
            plain.close(reset=reason is not Reason.FINISHED)
            self._relay.pairEnded(self, self._separate(reason))
        else:
            self._relay.linger(self, plain, self._separate(reason))

    def _separate(self, reason: Reason) -> Ending:
        """Take the plain stream off the lane."""
        plain, lane = self.plain, self.lane
        toLane, fromLane = plain.received, lane.received
        lane.session.long = (toLane if lane.session.serves else fromLane) > LONG
        if lane.refusesData:
            self._relay.loop.notRefused(lane)
        lane.leave()
        if self.unproven is not None:
            self._deadlines.unproven.take(self)
            self.unproven = None
        if self._looking is not None:
            self._stopLooking()
        del plain.other, plain.pair
        return Ending(reason, toLane, fromLane) if lane.session.serves else Ending(reason, fromLane, toLane)

    def _sideOf(self, half: Half) -> Reason:
        return Reason.LEFT_CUT if (half is self.plain) == self.lane.session.serves else Reason.RIGHT_CUT
