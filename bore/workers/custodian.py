"""The supervisor's end of custody: one worker, as a holder of tunnels."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from twisted.internet.defer import Deferred, gatherResults, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from bore.events.server import TunnelEnd
from bore.server import custody
from bore.server.custody import Abandoned, Opened, Wish
from bore.server.localcustody import LocalCustody
from bore.server.registry import Grant
from bore.server.shares import Share
from bore.server.users import User
from bore.streams.descriptorframes import LOST, socketOf
from bore.wire.errors import BindFailed, FrameTooLong, Refusal
from bore.wire.publicaddress import PublicAddress
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
    Late,
    LimitTunnels,
    Refused,
    Release,
    Renew,
    SupervisorMessage,
    Waiting,
    WorkerMessage,
)

if TYPE_CHECKING:
    from bore.users.rights import Rights

#: The largest number of addresses in one Examine: the paths of Unix sockets that many fit a frame.
_AT_ONCE: Final = 256

_FAULT: Final = "the server failed to open the tunnel, and its log has the reason"


class Custodian:
    """
    Serves the custody of the supervisor to one worker, as a :class:`~bore.server.custody.Holder`.

    :param whole: the custody of all workers.
    :param send: sends the worker a message with descriptors, which are closed when they are sent, or when the worker
        is gone.
    :param named: called with the name of each user that gets a tunnel, if there are users.
    :param asked: the number of the last question that a predecessor has asked.
    :ivar asked: the number of the last question.
    """

    _log = Logger()

    def __init__(
        self,
        whole: LocalCustody,
        send: Callable[[SupervisorMessage, Sequence[int]], object],
        named: Callable[[str], object] = lambda name: None,
        asked: int = 0,
    ) -> None:
        self._whole = whole
        self._send = send
        self._share = whole.forHolder(self)
        self._named = named
        self.asked = asked
        self._claims: dict[int, Wish] = {}
        self._examined: dict[int, Deferred[PublicAddress | None]] = {}
        self._handing: dict[int, tuple[Deferred[Sequence[custody.Waiting]], list[custody.Waiting]]] = {}
        self._isGone = False

    @property
    def share(self) -> Share:
        """The custody as this worker sees it."""
        return self._share

    def received(self, message: WorkerMessage, descriptors: Sequence[int] = ()) -> bool:
        """
        Take a message of the worker.

        :param descriptors: those that came with it; LOST for one that this process had no room for.
        :returns: whether the message concerns custody; if not, it was not taken, and neither were its descriptors.
        """
        match message:
            case Claim():
                self._claimed(message)
            case Abandon(id):
                if id in self._claims:
                    self._share.abandon(self._claims[id])
            case Confirm(address, epoch):
                self._about(address, epoch, self._whole.confirm)
            case Renew(address, epoch):
                self._about(address, epoch, self._whole.renew)
            case Release(address, epoch):
                self._about(address, epoch, self._whole.release)
            case LimitTunnels(user, most):
                self._whole.limit(User(user), most)
            case Waiting():
                self._visitorCame(message, descriptors[0])
            case Late(address, epoch, peer, early, age):
                if descriptors[0] != LOST:
                    visitor = custody.Waiting(socketOf(descriptors[0], peer), peer, early, age)
                    self._whole.forward(Grant(address, User(""), "", epoch), visitor)
            case HandedOver(id):
                waits = self._handing.pop(id, None)
                if waits is not None:
                    waits[0].callback(waits[1])
            case Doubtful(id, address):
                examined = self._examined.pop(id, None)
                if examined is not None:
                    examined.callback(address)
            case _:
                return False
        return True

    def gone(self) -> None:
        """The worker is gone. May be called twice."""
        if self._isGone:
            return
        self._isGone = True
        for answer, waiting in list(self._handing.values()):
            answer.callback(waiting)  # those that have come are not lost
        self._handing.clear()
        self._whole.gone(self)

    # The methods of a holder.

    def doubtful(self, addresses: Sequence[PublicAddress]) -> Deferred[PublicAddress | None]:
        """See :meth:`~bore.server.custody.Holder.doubtful`."""
        answers = []
        for start in range(0, len(addresses), _AT_ONCE):
            self.asked += 1
            answers.append(self._examined.setdefault(self.asked, Deferred()))
            self._send(Examine(self.asked, tuple(addresses[start : start + _AT_ONCE])), ())
        return gatherResults(answers).addCallback(
            lambda found: next((each for each in found if each is not None), None)
        )

    def giveUp(self, grant: Grant) -> None:
        """See :meth:`~bore.server.custody.Holder.giveUp`."""
        self._send(GiveUp(grant.address, grant.epoch), ())

    def handOver(self, grant: Grant) -> Deferred[Sequence[custody.Waiting]]:
        """See :meth:`~bore.server.custody.Holder.handOver`."""
        if self._isGone:
            return succeed(())
        self.asked += 1
        answer: Deferred[Sequence[custody.Waiting]] = Deferred()
        self._handing[self.asked] = answer, []
        self._send(HandOver(self.asked, grant.address, grant.epoch), ())
        return answer

    def close(self, grant: Grant, reason: TunnelEnd) -> None:
        """See :meth:`~bore.server.custody.Holder.close`."""
        self._send(CloseTunnel(grant.address, grant.epoch, reason.name), ())

    def expired(self, grant: Grant) -> None:
        """See :meth:`~bore.server.custody.Holder.expired`."""
        self._send(Expired(grant.address, grant.epoch), ())

    def visitorCame(self, grant: Grant, visitor: custody.Waiting) -> None:
        """See :meth:`~bore.server.custody.Holder.visitorCame`."""
        sock, peer, early, age = visitor
        self._pass(sock, Late(grant.address, grant.epoch, peer, early, age))

    def _about(self, address: PublicAddress, epoch: int, do: Callable[[Grant], None]) -> None:
        grant = self._whole.grant(address, epoch)
        if grant is not None:
            do(grant)

    def _claimed(self, claim: Claim) -> None:
        rights = None if claim.rights is None else _rights(claim.rights)
        if rights is not None and claim.user:
            self._named(claim.user)
        wish = self._claims[claim.id] = Wish(
            claim.address, claim.token, User(claim.user), claim.source, claim.lasting, rights
        )
        opened = self._share.open(wish)
        opened.addCallbacks(self._opened, self._refused, callbackArgs=(claim.id,), errbackArgs=(claim.id,))
        opened.addErrback(lambda reason: self._log.failure("a worker could not be answered", reason))

    def _opened(self, opened: Opened, id: int) -> None:
        self._claims.pop(id, None)
        grant, place = opened.grant, opened.place
        try:
            listening = () if place is None else (os.dup(place.socket.fileno()),)
        except OSError as e:  # there is no descriptor
            for visitor in opened.waiting:
                visitor.socket.close()
            self._whole.release(grant)
            self._refused(Failure(BindFailed(f"the server failed to listen: {(e.strerror or str(e)).lower()}")), id)
            return
        for sock, peer, early, age in opened.waiting:
            self._pass(sock, Waiting(id, peer, early, age))
        user, here = grant.user.name, place is None
        self._send(Granted(id, grant.address, user, grant.token, grant.epoch, here, opened.resumed), listening)

    def _pass(self, sock: socket.socket, message: Waiting | Late) -> None:
        """Send a visitor to the worker."""
        try:
            self._send(message, (sock.detach(),))
        except FrameTooLong:
            self._log.error("a visitor has sent too much to be passed on")

    def _refused(self, reason: Failure, id: int) -> None:
        self._claims.pop(id, None)
        if self._isGone:
            return
        refusal = reason.value
        if isinstance(refusal, Abandoned):
            self._send(Refused(id, ABANDONED, "", True, None), ())
            return
        if not isinstance(refusal, Refusal):
            self._log.failure("no tunnel could be opened for a worker", reason)
            refusal = BindFailed(_FAULT)
        self._send(Refused(id, refusal.code, str(refusal), refusal.retry, refusal.range), ())

    def _visitorCame(self, message: Waiting, descriptor: int) -> None:
        """A visitor comes from the worker, which has handed over its tunnel."""
        if descriptor == LOST:
            return
        waits = self._handing.get(message.id)
        if waits is None:  # too late
            os.close(descriptor)
            return
        sock = socketOf(descriptor, message.peer)
        waits[1].append(custody.Waiting(sock, message.peer, message.early, message.age))


def _rights(claimed: ClaimRights) -> Rights:
    from bore.users.ports import ports  # few servers have users
    from bore.users.rights import Rights

    return Rights(ports(claimed.ports), ports(claimed.exclusive), claimed.maxTunnels)
