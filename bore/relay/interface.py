"""
What the rest of the program sees of the relay.

A pair has two sides, which are called alike everywhere: *left* is the side of the visitor, *right* that of the local
service. Where one of the two streams is on a lane, they are also called after what they are, *plain* and *lane*: at the
server the plain stream is the left one, at the client the right one.
"""

from __future__ import annotations

import socket
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from enum import Enum
from typing import Final, NamedTuple, Protocol, TypeAlias

from twisted.internet.defer import Deferred

#: Seconds that running pairs may go on after the program was told to stop.
DRAIN_TIMEOUT: Final = 5.0

#: Seconds that a half-open pair may be silent, unless the user decides otherwise.
HALF_OPEN_TIMEOUT: Final = 600.0

#: Seconds without data on a lane that has got a visitor before we check whether the peer's kernel has acknowledged
#: any of what was sent: longer than a round trip, and short enough for a visitor to wait.
PROOF_TIMEOUT: Final = 2.5


#: Maximum number of simultaneous pairs per tunnel, unless the user decides otherwise.
MAX_VISITORS: Final = 10_000


class Stream(NamedTuple):
    """
    One side of a pair.

    :ivar socket: a connected stream socket that does not block and that nothing else watches; the relay closes it.
    :ivar early: bytes that were already read from it. They reach the other side first.
    """

    socket: socket.socket
    early: bytes = b""


class Reason(Enum):
    """Why a pair ended."""

    FINISHED = "both directions ended in order"
    LEFT_CUT = "the left stream was cut"
    RIGHT_CUT = "the right stream was cut"
    HALF_OPEN = "one direction had ended, and the other was silent for too long"
    CUT = "it was cut on request"
    STOPPED = "the relay was stopped"
    FAILED = "the system could not serve it"


class Ending(NamedTuple):
    """
    How a pair ended.

    :ivar toRight: bytes read from the left stream for the right one, ``early`` included.
    :ivar toLeft: bytes read from the right stream for the left one.
    """

    reason: Reason
    toRight: int
    toLeft: int


class Running(NamedTuple):
    """
    A pair that is running.

    :ivar pair: the pair itself.
    :ivar ended: what it was joined with, to be called at its end. For the user of the relay it identifies the pair.
    :ivar toRight: bytes read from the left stream so far, as in :class:`Ending`.
    :ivar toLeft: bytes read from the right stream so far.
    :ivar lane: the lane that one of the streams is on; None: neither is on a lane.
    """

    pair: object
    ended: Callable[[Ending], object]
    toRight: int
    toLeft: int
    lane: LaneHandle | None


#: Takes back the stream of a lane that was dead: the bytes that were read from it, and whether silence alone shows
#: that the lane was dead.
GiveBack: TypeAlias = Callable[[bytes, bool], None]


class LaneHandle(Protocol):
    """A lane, as its user sees it."""

    @property
    def socket(self) -> socket.socket:
        """The lane's socket. It belongs to the relay."""

    @property
    def closed(self) -> bool:
        """Whether the lane is closed, or about to be: no stream can be joined with it any more."""

    @property
    def hasBytes(self) -> bool:
        """Whether bytes of a visitor that has come on the lane have come along with it."""

    @property
    def looksAlive(self) -> bool:
        """Whether the kernel has nothing to read from an idle lane, neither its end nor an error."""

    def refuse(self) -> None:
        """Reset the stream of a visitor that has come on the lane, instead of joining it; nothing on a closed lane."""

    def dismiss(self) -> None:
        """Close an idle lane, unless there is something to read from it, which is a visitor: it is served first."""

    def end(self, reset: bool) -> None:
        """Close a lane with no stream on it."""


class LaneUser(Protocol):
    """
    Uses lanes, and is called when their state changes.

    ``opened`` and ``idle`` are called between the steps of lanes, never inside one: they may join streams, and end
    lanes. ``gone`` can be called inside a step, and must do neither.
    """

    def opened(self, lane: LaneHandle, visitor: bytes) -> None:
        """The server has put a visitor on the lane, which waits to be joined with a stream, or refused."""

    def idle(self, lane: LaneHandle) -> None:
        """The lane's last stream is over; it can have the next one."""

    def gone(self, lane: LaneHandle) -> None:
        """The lane is closed."""


class LaneCarrier(Protocol):
    """A relay that carries lanes."""

    def adopt(self, sock: socket.socket, early: bytes, serves: bool, user: LaneUser) -> LaneHandle:
        """
        Take a connection as an idle lane.

        :param early: what was read from it behind the Lane message.
        :param serves: whether this is the server's side.
        :param user: is called when the lane's state changes.
        :raises OSError: when the system has no room for it; a ValueError when the relay is closed already.
        """

    def joinWithLane(
        self,
        plain: Stream,
        lane: LaneHandle,
        ended: Callable[[Ending], None],
        opening: bytes = b"",
        header: bytes = b"",
        giveBack: GiveBack | None = None,
        last: bool = False,
    ) -> None:
        """
        Join a stream with a lane of this relay.

        :param ended: called once, when the stream is closed; that may be before this method returns.
        :param opening: the frame that is sent on the lane first; empty: none.
        :param header: what is sent to the stream first.
        :param giveBack: called instead of ``ended``, when the lane turns out to have been dead. None: the stream is
            cut then.
        :param last: whether the stream uses the lane up: it goes RAW at once. Only without ``giveBack``.
        """


class Relay(ABC):
    """
    Joins streams.

    Bytes pass unaltered and in order. A slow reader on one side slows the writer on the other, and the relay holds
    a bounded number of bytes meanwhile. The end of one direction is passed on while the other goes on. A reset is
    passed on as a reset, behind all that was sent before it: an answer reaches the other side even if the program that
    sent it has closed its socket without reading the request. When both directions have ended, both sockets are closed.

    :ivar halfOpenTimeout: a pair one direction of which has ended is cut when the other one is silent for this many
        seconds. It may change; pairs that are half open already have the former time in part.
    """

    halfOpenTimeout: float

    @property
    def lanes(self) -> LaneCarrier | None:
        """This relay as one that carries lanes; None if it does not."""
        return None

    @abstractmethod
    def __len__(self) -> int:
        """How many pairs are running."""

    @abstractmethod
    def running(self) -> Iterator[Running]:
        """
        The pairs that are running, those that only wait for an acknowledgement included, with what they have moved.

        It takes about a microsecond for each. To ask costs the pairs nothing before and after. Pairs may end, and
        others begin, before the last one was read: those that begin later are not read.
        """

    @abstractmethod
    def isRunning(self, pair: Running) -> bool:
        """Whether a pair has not ended since it was read."""

    @abstractmethod
    def join(self, left: Stream, right: Stream, ended: Callable[[Ending], None]) -> None:
        """
        Join two streams.

        :param ended: called once, when both are closed; that may be before this method returns.
        """

    @abstractmethod
    def drain(self, seconds: float) -> Deferred[None]:
        """
        Let the running pairs end by themselves, cut those that have not after a while, and close.

        :param seconds: how long they have.
        :returns: fires when no pair is left.
        """

    @abstractmethod
    def cut(self, sockets: AbstractSet[socket.socket]) -> None:
        """Cut the pairs whose left stream is on one of these sockets."""

    @abstractmethod
    def relieve(self) -> bool:
        """
        Reset half of the streams that are kept only until their peers have acknowledged all, the oldest ones.

        :returns: whether there was one, so that a descriptor is free.
        """
