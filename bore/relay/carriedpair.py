"""The interface of a pair for its two halves, the lane and the plain stream on it."""

from __future__ import annotations

from bore.relay.halves import JoinedPair


class CarriedPair(JoinedPair):
    """
    A plain stream on a lane.

    :ivar unproven: what the stream has sent on a lane that may be dead; None: the lane is alive.
    """

    __slots__ = ()

    unproven: bytes | None

    def remember(self, data: bytes) -> None:
        """Keep what the stream has sent, until the lane has shown that it is alive."""
        raise NotImplementedError

    def wrote(self, size: int) -> None:
        """Bytes of frames were written to the lane, or are unsent."""
        raise NotImplementedError

    def mustWait(self) -> bool:
        """Whether no more may be read, as another lane could not be given it if this one turned out to be dead."""
        raise NotImplementedError

    def proved(self) -> None:
        """The lane has shown that it is alive."""
        raise NotImplementedError

    def check(self) -> None:
        """No data has come on the lane for PROOF_TIMEOUT seconds."""
        raise NotImplementedError

    def look(self) -> None:
        """Check whether the stream has to wait any longer."""
        raise NotImplementedError

    def laneLost(self) -> None:
        """The lane is dead, or has ended in the middle of a stream."""
        raise NotImplementedError

    def cutBeforeOpening(self) -> None:
        """The plain stream was cut before anything was sent for it: the lane is as idle as it was."""
        raise NotImplementedError

    def cutByPeer(self) -> None:
        """The other side reports that the stream was cut there, and all that it had sent before was passed on."""
        raise NotImplementedError
