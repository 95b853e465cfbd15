"""The custody of public addresses as a worker sees it: the supervisor has it, at the other end of the channel."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from itertools import count
from typing import TYPE_CHECKING, Final

from twisted.internet.defer import Deferred, fail
from twisted.logger import Logger
from twisted.python.failure import Failure

from bore.events.server import TunnelEnd
from bore.server.custody import Abandoned, Holder, Opened, OpenPlace, Waiting, Wish
from bore.server.held import closeAll
from bore.server.registry import Grant
from bore.server.users import User
from bore.streams.descriptorframes import LOST, socketOf
from bore.wire import workermessages
from bore.wire.errors import BindFailed, FrameTooLong, ShuttingDown
from bore.wire.publicaddress import PublicAddress
from bore.wire.refusals import refusalForCode
from bore.wire.workermessages import (
    ABANDONED,
    Abandon,
    Claim,
    ClaimRights,
    CloseTunnel,
    Confirm,
    Doubtful,
    Examine,
    Expired,
    GiveUp,
    Granted,
    HandedOver,
    HandOver,
    LimitTunnels,
    Refused,
    Release,
    Renew,
    WorkerMessage,
)

if TYPE_CHECKING:
    from bore.users.rights import Rights

_NO_ROOM: Final = "the server has no descriptor left for the port"
_TOO_LONG: Final = "the user has rights to too many single ports"


class _Claimed:
    """A wish that waits for its answer, and the visitors that have come for it."""

    def __init__(self, wish: Wish) -> None:
        self.wish = wish
        self.answer: Deferred[Opened] = Deferred()
        self.waiting: list[Waiting] = []


class RemoteCustody:
    """
    See :class:`~bore.server.custody.Custody`.

    :param send: sends a message with its descriptors, which belong to the callee.
    :ivar holder: the tunnels of this worker.
    """

    _log: Final = Logger()
    holder: Holder

    def __init__(self, send: Callable[[WorkerMessage, Sequence[int]], None]) -> None:
        self._send = send
        self._numbers = count(1)
        self._claims: dict[int, _Claimed] = {}
        self._sockets: dict[PublicAddress, socket.socket] = {}
        self._closed = False

    def adopt(self, address: PublicAddress, sock: socket.socket) -> None:
        """The holder has a tunnel already, with this listening socket."""
        self._sockets[address] = sock

    # What the tunnels ask.

    def open(self, wish: Wish) -> Deferred[Opened]:
        """See :meth:`bore.server.custody.Custody.open`."""
        if self._closed:
            return fail(ShuttingDown())
        number = next(self._numbers)
        rights = None if wish.rights is None else _rights(wish.rights)
        try:
            self._send(Claim(number, wish.address, wish.token, wish.user.name, wish.source, wish.lasting, rights), ())
        except FrameTooLong:
            return fail(BindFailed(_TOO_LONG))
        claimed = self._claims[number] = _Claimed(wish)
        return claimed.answer

    def abandon(self, wish: Wish) -> None:
        """See :meth:`bore.server.custody.Custody.abandon`."""
        for number, claimed in self._claims.items():
            if claimed.wish is wish:
                self._send(Abandon(number), ())
                break

    def confirm(self, grant: Grant) -> None:
        """See :meth:`bore.server.custody.Custody.confirm`."""
        self._send(Confirm(grant.address, grant.epoch), ())

    def renew(self, grant: Grant) -> None:
        """See :meth:`bore.server.custody.Custody.renew`."""
        self._send(Renew(grant.address, grant.epoch), ())

    def release(self, grant: Grant) -> None:
        """See :meth:`bore.server.custody.Custody.release`."""
        self._sockets.pop(grant.address, None)
        self._send(Release(grant.address, grant.epoch), ())

    def limit(self, user: User, most: int) -> None:
        """See :meth:`bore.server.custody.Custody.limit`."""
        self._send(LimitTunnels(user.name, most), ())

    def forward(self, grant: Grant, visitor: Waiting) -> None:
        """See :meth:`bore.server.custody.Custody.forward`."""
        sock, peer, early, age = visitor
        try:
            self._send(workermessages.Late(grant.address, grant.epoch, peer, early, age), [sock.detach()])
        except FrameTooLong:
            self._log.error("a visitor has sent too much to be passed on")

    def close(self) -> None:
        """See :meth:`bore.server.custody.Custody.close`. What was asked for and not answered is refused."""
        self._closed = True
        claims, self._claims = self._claims, {}
        for claimed in claims.values():
            closeAll(claimed.waiting)
            claimed.answer.errback(ShuttingDown())

    # What the supervisor sends.

    def granted(self, message: Granted, descriptors: Sequence[int]) -> None:
        """A claim is granted."""
        claimed = self._claims.pop(message.id, None)
        grant = Grant(message.address, User(message.user), message.token, message.epoch)
        if message.here:
            place = None
        elif descriptors[0] == LOST:
            self._send(Release(grant.address, grant.epoch), ())
            if claimed is not None:
                closeAll(claimed.waiting)
                claimed.answer.errback(BindFailed(_NO_ROOM))
            return
        else:
            sock = socket.socket(fileno=descriptors[0])
            sock.setblocking(False)
            if claimed is None:
                sock.close()
            else:
                self._sockets[grant.address] = sock
            place = OpenPlace(grant.address, sock)
        if claimed is None:  # the worker ends
            self._send(Release(grant.address, grant.epoch), ())
        else:
            claimed.answer.callback(Opened(grant, place, claimed.waiting, message.resumed))

    def refused(self, message: Refused) -> None:
        """A claim is refused."""
        claimed = self._claims.pop(message.id, None)
        if claimed is None:
            return
        closeAll(claimed.waiting)
        if message.code == ABANDONED:
            claimed.answer.errback(Abandoned())
        else:
            refusal = refusalForCode(message.code, message.message, message.retry, message.range)
            claimed.answer.errback(refusal)

    def waiting(self, message: workermessages.Waiting, descriptors: Sequence[int]) -> None:
        """A visitor waits for what is claimed."""
        if descriptors[0] == LOST:
            return  # it is closed already
        sock = socketOf(descriptors[0], message.peer)
        claimed = self._claims.get(message.id)
        if claimed is None:
            sock.close()
        else:
            claimed.waiting.append(Waiting(sock, message.peer, message.early, message.age))

    def late(self, message: workermessages.Late, descriptors: Sequence[int]) -> None:
        """A visitor of a tunnel comes from its former worker."""
        if descriptors[0] != LOST:
            sock = socketOf(descriptors[0], message.peer)
            visitor = Waiting(sock, message.peer, message.early, message.age)
            self.holder.visitorCame(_void(message.address, message.epoch), visitor)

    def examine(self, message: Examine) -> None:
        """It is asked which client may be gone."""
        answer = self.holder.doubtful(message.addresses)
        answer.addErrback(self._failed)
        answer.addCallback(lambda address: self._send(Doubtful(message.id, address), ()))

    def handOver(self, message: HandOver) -> None:
        """A tunnel moves to another worker."""
        answer = self.holder.handOver(_void(message.address, message.epoch))
        answer.addErrback(self._failed)
        answer.addCallback(self._handedOver, message)

    def giveUp(self, message: GiveUp) -> None:
        """See :meth:`bore.server.custody.Holder.giveUp`."""
        self.holder.giveUp(_void(message.address, message.epoch))

    def closeTunnel(self, message: CloseTunnel) -> None:
        """See :meth:`bore.server.custody.Holder.close`."""
        self._sockets.pop(message.address, None)
        reason = TunnelEnd.__members__.get(message.reason, TunnelEnd.OTHER_PORT)
        self.holder.close(_void(message.address, message.epoch), reason)

    def expired(self, message: Expired) -> None:
        """See :meth:`bore.server.custody.Holder.expired`."""
        self._sockets.pop(message.address, None)
        self.holder.expired(_void(message.address, message.epoch))

    def _handedOver(self, visitors: Sequence[Waiting] | None, message: HandOver) -> None:
        for sock, address, early, age in visitors or ():
            self._send(workermessages.Waiting(message.id, address, early, age), [sock.detach()])
        copy = self._sockets.pop(message.address, None)
        if copy is not None:
            copy.close()
        self._send(HandedOver(message.id), ())

    def _failed(self, reason: Failure) -> None:
        self._log.failure("the supervisor's question could not be answered", reason)


def _void(address: PublicAddress, epoch: int) -> Grant:
    """What holders need of a grant."""
    return Grant(address, User(""), "", epoch)


def _rights(rights: Rights) -> ClaimRights:
    return ClaimRights(rights.ports.ranges, rights.exclusive.ranges, rights.maxTunnels)
