"""A visitor that has connections of its own, until they are joined."""

from __future__ import annotations

import socket
from typing import Final, Protocol
from uuid import UUID

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from bore.client.opentunnel import OpenTunnel
from bore.client.patience import Patience
from bore.client.reasons import describe
from bore.client.tunnel import Tunnel
from bore.events import Sink, VisitorEnd
from bore.events.client import TurnedAway, VisitorUnaccepted
from bore.relay.interface import Stream
from bore.wire.extension import Source
from bore.wire.messages import Accept


class VisitorOwner(Protocol):
    """What knows the visitors that are on their way."""

    patience: Patience
    sink: Sink

    def join(self, id: UUID, at: OpenTunnel, source: Source | None, server: Stream, local: Stream) -> None:
        """Join the two connections of a visitor, which is on its way no more."""

    def explain(self, id: UUID, at: OpenTunnel, server: Stream, why: str) -> bool:
        """Have a visitor whose local service cannot be reached get an error page; False: it is to be closed."""

    def settled(self, id: UUID) -> None:
        """A visitor is on its way no more, and will not be joined."""

    def gone(self, id: UUID, tunnel: Tunnel, why: str) -> None:
        """A visitor was not served."""


class ArrivingVisitor:
    """
    A visitor on its way.

    Both connections are made at the same time. The visitor is accepted even if the local service cannot be reached:
    only then can it get an error page, or the server close it at once.

    :param at: the tunnel that it visits, in the session that has announced it.
    :param source: where it comes from, if that is known.
    :param welcome: whether there is room for it; else it is accepted only to be closed.
    """

    _log: Final = Logger()

    __slots__ = (
        "_accepting",
        "_at",
        "_id",
        "_local",
        "_owner",
        "_reached",
        "_reaching",
        "_refusal",
        "_server",
        "_source",
        "_stopped",
        "_unreached",
    )

    def __init__(self, owner: VisitorOwner, id: UUID, at: OpenTunnel, source: Source | None, welcome: bool) -> None:
        self._owner = owner
        self._id = id
        self._at = at
        self._source = source
        self._server: Stream | None = None
        self._local: socket.socket | None = None
        self._refusal = "" if welcome else TurnedAway.TOO_MANY.value
        self._stopped = False
        self._unreached = False
        self._reached = False
        self._reaching: Deferred[None] | None = None
        self._accepting: Deferred[None] | None = None

    @property
    def described(self) -> tuple[UUID, OpenTunnel, Source | None]:
        """Its id, the tunnel that it visits, and where it comes from."""
        return self._id, self._at, self._source

    def start(self) -> None:
        """Make both connections."""
        local = None if self._refusal else self._owner.patience.dial(self._at.tunnel.local)
        if isinstance(local, Deferred):
            self._reaching = local.addCallbacks(self._localReached, self._localFailed).addErrback(self._broken)
        else:
            self._local = local
        self._accept()

    def announcedAgain(self, at: OpenTunnel, source: Source | None) -> None:
        """
        A session that took over has announced it, too.

        The server may have another address for that session, or this machine may, so that the attempt that is under way
        leads nowhere.
        """
        if self._reached or at.connections is self._at.connections:
            return  # the server may have read the Accept already
        self._at, self._source = at, source
        if self._accepting is not None:
            self._accepting.cancel()
        self._accept()

    def stop(self) -> None:
        """Close what is open."""
        self._stopped = True
        self._owner.gone(self._id, self._at.tunnel, self._refusal or VisitorEnd.STOPPED.value)
        self._owner.settled(self._id)
        for step in (self._reaching, self._accepting):
            if step is not None:
                step.cancel()
        if self._server is not None:
            self._server.socket.close()
        if self._local is not None:
            self._local.close()

    def _accept(self) -> None:
        """Open the connection to the server."""
        connections, patience = self._at.connections, self._owner.patience
        server = connections.open(Accept(self._id), patience, self._serverReached)
        if isinstance(server, Deferred):
            self._accepting = server.addCallbacks(self._accepted, self._acceptFailed).addErrback(self._broken)
        else:
            self._accepted(server)

    def _broken(self, reason: Failure) -> None:
        self._log.failure("the visitor {id} could not be served", reason, id=self._id)

    def _serverReached(self) -> None:
        self._reached = True

    def _accepted(self, server: Stream) -> None:
        self._server = server
        self._join()

    def _acceptFailed(self, reason: Failure) -> None:
        if self._stopped or reason.check(CancelledError):
            return
        self._refusal = describe(reason.value)
        self._owner.sink.emit(VisitorUnaccepted(self._at.tunnel.name, self._refusal))
        self.stop()

    def _localReached(self, local: socket.socket) -> None:
        self._local = local
        self._join()

    def _localFailed(self, reason: Failure) -> None:
        if self._stopped:
            return
        self._at.tunnel.unreached(reason)
        self._refusal = describe(reason.value)
        self._unreached = True
        self._join()

    def _join(self) -> None:
        """Go on, if both connections have got as far as they can."""
        if self._server is None:
            return
        if self._refusal:
            if not (self._unreached and self._owner.explain(self._id, self._at, self._server, self._refusal)):
                self.stop()
        elif self._local is not None:
            server = Stream(self._server.socket, self._at.header(self._source) + self._server.early)
            self._owner.join(self._id, self._at, self._source, server, Stream(self._local))
