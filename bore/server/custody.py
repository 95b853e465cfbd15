"""
The custody of public addresses: what a whole server decides about them, and the processes that serve their visitors.

Custody grants addresses (:mod:`bore.server.registry`), listens at them, and keeps the limits on the number of tunnels.
A *holder* serves the tunnels: this process (:class:`~bore.server.tunnels.Tunnels`), or one of several workers. A tunnel
passes from one holder to another, with the visitors that wait, when its client comes back at another one.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from twisted.internet.defer import Deferred

from bore.events.server import TunnelEnd
from bore.server.registry import Grant
from bore.server.users import User
from bore.streams.addresses import SocketAddress
from bore.wire.publicaddress import PublicAddress
from bore.wire.values import value

if TYPE_CHECKING:
    from bore.users.rights import Rights

#: How long a holder may take to hand a tunnel over, or to find out which clients may be gone, in seconds.
HAND_OVER_TIMEOUT: Final = 1.0


class Abandoned(Exception):
    """The session does not wait for the tunnel any more."""


class Wish:
    """
    A tunnel that a session asks for. No wish equals another one.

    :ivar address: the public address; 0 for any port.
    :ivar token: the token of a tunnel that the client had; None: it asks for a new one.
    :ivar user: who asks.
    :ivar source: the key of limits per source (:func:`bore.streams.addresses.sourceOf`).
    :ivar lasting: whether the client can come back for the tunnel with its token; if not, the tunnel ends when its
        holder is gone.
    :ivar rights: the user's; None: all users may do the same.
    :ivar key: the lasting key of the tunnel, which all its sessions show; None: it has none.
    """

    __slots__ = ("address", "key", "lasting", "rights", "source", "token", "user")

    def __init__(
        self,
        address: PublicAddress,
        token: str | None,
        user: User,
        source: str,
        lasting: bool,
        rights: Rights | None = None,
        key: str | None = None,
    ) -> None:
        self.address = address
        self.key = key
        self.token = token
        self.user = user
        self.source = source
        self.lasting = lasting
        self.rights = rights


class OpenPlace:
    """
    A public address at which the server listens.

    :param leave: gives the address back.
    :ivar address: the address.
    :ivar socket: the listening socket.
    :ivar goesOn: whether another process goes on listening with a copy of the socket when this one has closed it.
    """

    __slots__ = ("_leave", "address", "goesOn", "socket")

    def __init__(self, address: PublicAddress, sock: socket.socket, leave: Callable[[], None] | None = None) -> None:
        self.address = address
        self.socket = sock
        self.goesOn = False
        self._leave = leave

    def beforeLeaving(self, call: Callable[[], None]) -> None:
        """Have something called before the address is given back."""
        leave = self._leave

        def both() -> None:
            call()
            if leave is not None:
                leave()

        self._leave = both

    def leave(self) -> None:
        """Give the address back, just before the socket is closed. May be called twice."""
        leave, self._leave = self._leave, None
        if leave is not None:
            leave()


class Waiting(NamedTuple):
    """
    A visitor that waits, on its way to another holder.

    :ivar socket: its stream; it does not block.
    :ivar address: its address.
    :ivar early: bytes that were read from it.
    :ivar age: seconds since it came.
    """

    socket: socket.socket
    address: SocketAddress
    early: bytes
    age: float


@value
class Opened:
    """
    The answer to a wish.

    :ivar grant: the right to the address.
    :ivar place: where to listen; None: the holder has the tunnel already, and gives it to the session.
    :ivar waiting: the visitors that waited at another holder, the oldest first. They belong to the holder now.
    :ivar resumed: whether the token has brought back the tunnel.
    """

    grant: Grant
    place: OpenPlace | None
    waiting: Sequence[Waiting] = ()
    resumed: bool = False


class Holder(Protocol):
    """
    What serves tunnels: the tunnels of this process, or a worker.

    A call about a grant does nothing if there is no such tunnel, or if it has a later grant.
    """

    def doubtful(self, addresses: Sequence[PublicAddress]) -> Deferred[PublicAddress | None]:
        """The first of some addresses of this holder whose client may be gone; None: all seem to be there."""

    def giveUp(self, grant: Grant) -> None:
        """Take a tunnel from its client, which is presumed gone."""

    def handOver(self, grant: Grant) -> Deferred[Sequence[Waiting]]:
        """
        Give a tunnel to another holder, which has the grant: stop accepting, and do not close the listening socket that
        came with :attr:`Opened.place`. Running streams stay.

        :returns: the visitors that wait, the oldest first; after HAND_OVER_TIMEOUT seconds they come too late, and are
            closed.
        """

    def close(self, grant: Grant, reason: TunnelEnd) -> None:
        """
        Close a tunnel.

        :param reason: RIGHT_WITHDRAWN: the streams of its visitors are cut. Otherwise its client has shown its token to
            another session, and they go on.
        """

    def expired(self, grant: Grant) -> None:
        """The lease of a tunnel is over."""

    def visitorCame(self, grant: Grant, visitor: Waiting) -> None:
        """Take a visitor of a tunnel that has waited elsewhere; without such a tunnel it is closed."""


class Custody(Protocol):
    """
    The custody of public addresses, as one holder sees it.

    The holder closes the listening socket of a place at the end of the tunnel, and leaves it open when it hands the
    tunnel over: then a worker's end of the channel closes its own copy. Each Deferred fires.

    :ivar holder: who asks; set before the first call, and never again.
    """

    holder: Holder

    def open(self, wish: Wish) -> Deferred[Opened]:
        """
        Open the tunnel that a session asks for: the one that its client had, if it shows its token, or a new one.

        :returns: fails with :class:`~bore.wire.errors.Refusal` when the client cannot have one, or with
            :class:`Abandoned`.
        """

    def abandon(self, wish: Wish) -> None:
        """
        The session that asked does not wait any more. The answer comes all the same if there is one by then; otherwise
        nobody loses a tunnel for it, and it counts towards no limit.
        """

    def confirm(self, grant: Grant) -> None:
        """See :meth:`bore.server.registry.Registry.confirm`."""

    def renew(self, grant: Grant) -> None:
        """
        Keep an address without a session for the time of a lease: then :meth:`Holder.expired` is called. Does nothing
        if the grant is void.
        """

    def release(self, grant: Grant) -> None:
        """Give an address back. Does nothing if the grant is void."""

    def limit(self, user: User, most: int) -> None:
        """
        Withdraw the newest tunnels of a user above a number, whichever holders have them.

        :param most: at least 1.
        """

    def forward(self, grant: Grant, visitor: Waiting) -> None:
        """
        A visitor that was to be served waits again, as its lane was dead, and its tunnel was handed over: the present
        holder gets it. It is closed if the address was given back meanwhile.

        :param grant: that of the former holder.
        """

    def close(self) -> None:
        """The holder stops: its tunnels are closed."""
