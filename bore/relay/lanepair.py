"""A plain stream joined with a lane, and how the two part again."""

from __future__ import annotations

import socket
from typing import Final

from twisted.internet.interfaces import IDelayedCall

from bore.relay.ends import BUFFER_SIZE, End
from bore.relay.interface import Ending, GiveBack, Reason
from bore.relay.lane import Lane
from bore.relay.laneinterface import CarriedPair, LaneLoop
from bore.relay.tolane import ToLane
from bore.streams.encryption import RECORD, encryptedSize
from bore.streams.tcpinfo import unacknowledged
from bore.wire.lane import RESET, RESET_FRAME

#: So many bytes are taken by the local service's socket, even if nobody reads them.
_PASSED_ON: Final = 1 << 15

#: Endings for which nobody waits, and that of a stream of which all was passed on.
_AT_ONCE: Final = (Reason.FINISHED, Reason.STOPPED, Reason.FAILED)


class LanePair(CarriedPair):
    """
    A plain stream and a lane.

    :param giveBack: takes the plain stream back, when the lane turns out to have been dead; None: the stream is cut
        then.
    :ivar unproven: what the stream has sent on a lane that may be dead; None: it is alive.
    """

    __slots__ = ("_giveBack", "_looking", "_loop", "lane", "plain", "unproven")

    def __init__(
        self,
        loop: LaneLoop,
        plain: socket.socket,
        lane: Lane,
        giveBack: GiveBack | None,
    ) -> None:
        self._loop = loop
        self._giveBack = giveBack
        self.unproven = None if giveBack is None else b""
        self._looking: IDelayedCall | None = None
        self.plain = ToLane(loop, plain, lane.session)
        self.lane = lane
        self.plain.pair = self
        self.plain.other = lane
        lane.other = self.plain

    @property
    def moved(self) -> int:
        return self.plain.taken + self.lane.taken

    def remember(self, data: bytes) -> None:
        """Keep what the stream has sent, until the lane has shown that it is alive."""
        if self.unproven is not None:
            self.unproven += data

    def said(self, size: int) -> None:
        """So many bytes were said on the lane, or are held for it."""
        self.lane.said += encryptedSize(size) if self.lane.encrypted else size

    def proved(self) -> None:
        """The lane has shown that it is alive."""
        self.unproven = None
        self._giveBack = None
        self._loop.proved(self)
        if self._looking is not None:
            self._stopLooking()
            if not self.plain.ended and not self.plain.finished:
                self.plain.readable = True
                self.plain.pump()

    def mustWait(self) -> bool:
        """Whether no more may be read, as another lane could not be given it, should this one turn out to be dead."""
        if self.unproven is None or len(self.unproven) < BUFFER_SIZE:
            return False
        if self._hasArrived():
            self._stopLooking()  # who asks goes on by itself
            self.proved()
            return False
        if self._looking is None:
            self._looking = self._loop.stalled(self)
        return True

    def _stopLooking(self) -> None:
        """Look no more whether the lane has proved itself."""
        looking, self._looking = self._looking, None
        if looking is not None and looking.active():
            looking.cancel()

    def look(self) -> None:
        """The stream waits for its lane to prove itself: see whether it has."""
        if self.unproven is not None and self._hasArrived():
            self.proved()
        elif self.unproven is not None:
            self._looking = self._loop.stalled(self)

    def check(self) -> None:
        """Nothing has come on the lane for a while: see whether anything that was said on it has arrived."""
        if self._hasArrived():
            self.proved()
        else:
            self._lose(silent=True)

    def _hasArrived(self) -> bool:
        """Whether the other side's kernel has acknowledged anything of this stream."""
        held = len(self.plain.held)
        if self.lane.encrypted:
            held = encryptedSize(max(0, held - RECORD))  # a part of the first record may be said already
        return unacknowledged(self.lane.fd) < self.lane.said - held

    def stop(self, reason: Reason) -> None:
        if self._loop.has(self.plain):
            if reason is Reason.HALF_OPEN:
                self._cutPlain(reason)
            else:
                self._cutAll(reason)

    def cutAt(self, end: End) -> None:
        """The peer of the plain stream has cut it; a lane knows by itself what to do."""
        self._cutPlain(self._sideOf(self.plain))

    def cutBefore(self) -> None:
        """The plain stream was cut before anything was said about it: the lane is as idle as it was."""
        self.plain.deaf = True
        self._closePlain(self._sideOf(self.plain))
        self.lane.turnIdle()

    def cutByPeer(self) -> None:
        """The other side says that the stream was cut there, and all that it had sent before was passed on."""
        self._cutPlain(self._sideOf(self.lane), byPeer=True)

    def laneLost(self) -> None:
        """The lane is dead, or has ended in the middle of a stream."""
        if self._giveBack is not None and self._hasArrived():
            self._giveBack = None  # somebody may have acted on it: it must not be said again
        self._lose(silent=False)

    def _lose(self, silent: bool) -> None:
        if self._giveBack is None or self.plain.deaf:
            self._cutAll(self._sideOf(self.lane))
            return
        plain, lane, giveBack, data = self.plain, self.lane, self._giveBack, self.unproven or b""
        self._loop.release(plain)
        plain.drop()
        self._loop.goesOn(self, lambda _: self._loop.afterwards(lane, lambda: giveBack(data, silent)))
        self._loop.pairEnded(self, self._part(Reason.FAILED))
        lane.end(reset=True)

    def finished(self, end: End) -> None:
        plain, lane = self.plain, self.lane
        if not (plain.finished and lane.finished) or plain.owing:
            self._finishedOne(end)
            return
        self._closePlain(Reason.FINISHED)
        if end is plain and plain.taken > _PASSED_ON and lane.session.serves:
            # The service ended first, and may not have read all yet: the next visitor would wait behind that.
            lane.end(reset=False)
            return
        lane.settle(b"")

    def _finishedOne(self, end: End) -> None:
        """One direction has ended, or the end of it is owing."""
        if not end.deaf or not end.finished or end.owing:
            self._loop.halfOpened(self)
        elif end is self.plain:
            self.cutAt(end)
        else:
            self.laneLost()

    def _cutPlain(self, reason: Reason, byPeer: bool = False) -> None:
        """
        Cut the plain stream; the lane goes on, if the other side can be told.

        :param byPeer: it was the other side that has told us: all that has come from it was passed on.
        """
        plain, lane = self.plain, self.lane
        rest = bytes(plain.held)
        told = lane.session.over
        if lane.session.maySend:
            # If bare bytes come, there is no last frame to wait for: they are thrown away, up to the lane's end.
            lane.session.sent(RESET)
            rest += RESET_FRAME
            told = True
        if told:
            self._closePlain(reason)
            lane.settle(rest)
            self._loop.afterwards(lane, lane.pump)
        elif byPeer or not plain.deaf:
            self._closePlain(reason)
            # Where there are frames, the lane's end in the middle of a stream is a cut.
            lane.end(reset=not plain.framed)
        else:
            self._loop.forget(plain)
            plain.close(reset=True)
            lane.endLater(self, self._part(reason))

    def _cutAll(self, reason: Reason) -> None:
        lane = self.lane
        self._closePlain(reason)
        lane.end(reset=True)

    def _closePlain(self, reason: Reason) -> None:
        """Close the plain stream, by a reset unless it has finished, and part from the lane."""
        plain = self.plain
        if plain.deaf or reason in _AT_ONCE:
            self._loop.forget(plain)
            plain.close(reset=reason is not Reason.FINISHED)
            self._loop.pairEnded(self, self._part(reason))
        else:
            self._loop.linger(self, plain, self._part(reason))

    def _part(self, reason: Reason) -> Ending:
        """The stream is not on the lane any more."""
        plain, lane = self.plain, self.lane
        toLane, fromLane = plain.taken, lane.taken
        if lane.deaf:
            self._loop.parted(lane)
        lane.leave()
        if self.unproven is not None:
            self._loop.proved(self)
            self.unproven = None
        if self._looking is not None:
            self._stopLooking()
        del plain.other, plain.pair
        return Ending(reason, toLane, fromLane) if self.lane.session.serves else Ending(reason, fromLane, toLane)

    def _sideOf(self, end: End) -> Reason:
        return Reason.LEFT_CUT if (end is self.plain) == self.lane.session.serves else Reason.RIGHT_CUT
