"""All sessions of a server."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from itertools import cycle
from typing import Final

from twisted.internet.defer import Deferred, succeed

from bore.server.session import ControlConnection, Session, SessionContext
from bore.server.users import Login
from bore.wire.errors import Refusal, ShuttingDown

#: Clients whose sessions are given away come again in this time, in seconds, and sooner if there are few.
_LONGEST_MOVE: Final = 1.0

#: The time for each of them, in seconds: TLS and the proof of a secret take about a millisecond.
SPACING: Final = 0.005


class Sessions:
    """
    The sessions of all clients.

    :param context: what they share.
    :param make: makes one.
    :ivar nextKey: the fingerprint of the server's next key, which clients have to know; empty: there is none.
    :ivar here: the address of this node of a cluster, such as ``tls://node1.example.com:7835``; empty: there is none.
    :ivar nodes: the addresses of its other nodes that take new sessions: see :meth:`nameNodes`.
    :ivar givesAway: whether sessions are given away as soon as they begin.
    """

    def __init__(self, context: SessionContext, make: type[Session] = Session) -> None:
        self._context = context
        self._make = make
        self._sessions: set[Session] = set()
        self._allGone: Deferred[None] | None = None
        self.nextKey = ""
        self.here = ""
        self.nodes: Sequence[str] = ()
        self.givesAway = False

    def __len__(self) -> int:
        return len(self._sessions)

    def all(self) -> list[Session]:
        """Those that are not over."""
        return [session for session in self._sessions if not session.over]

    def begin(self, connection: ControlConnection, login: Login, source: str) -> Session:
        """Begin the session of a client."""
        session = self._make(self._context, connection, login, source)
        self._sessions.add(session)
        return session

    def gone(self, session: Session) -> None:
        """The control connection of a session is closed. May be called twice."""
        self._sessions.discard(session)
        if self._allGone is not None and not self._sessions:
            allGone, self._allGone = self._allGone, None
            allGone.callback(None)

    def endOn(self, sockets: set[socket.socket], refusal: Refusal) -> set[socket.socket]:
        """
        End the sessions whose control connections are on some sockets, and close their tunnels.

        :returns: those of the sockets on which there was a session.
        """
        sessions = [session for session in self._sessions if session.handle in sockets]
        found = {session.handle for session in sessions}
        self._end(sessions, refusal)
        return found

    def announceKey(self, key: str) -> None:
        """Announce the server's next key to all clients, and to later ones; or none, if it is empty."""
        self.nextKey = key
        for session in self._sessions if key else ():
            session.announceKey(key)

    def nameNodes(self, addresses: Sequence[str]) -> None:
        """Name the other nodes of the cluster to the clients that know what that means, and to later ones."""
        self.nodes = addresses
        for session in self._sessions:
            session.nameNodes(addresses)

    def review(self, objection: Callable[[Login], Refusal | None]) -> set[socket.socket]:
        """
        End the sessions whose clients may not stay connected, and close their tunnels.

        :param objection: why a client may not; None: it may.
        :returns: the sockets of the visitors that they serve.
        """
        sockets: set[socket.socket] = set()
        for session in list(self._sessions):
            refusal = None if session.over else objection(session.login)
            if refusal is not None:
                sockets.update(visitor.socket for tunnel in session.tunnels.values() for visitor in tunnel.serving)
                session.refuse(refusal)
        return sockets

    def move(self, *to: str) -> int:
        """
        Give all sessions away that can be: see :meth:`bore.server.session.Session.move`.

        :param to: the servers to go to, in turn; none: this one.
        :returns: their number.
        """
        movable = [session for session in self._sessions if session.movable]
        within = min(_LONGEST_MOVE, round(len(movable) * SPACING, 3))
        places = cycle(to or (None,))
        for session in movable:
            session.move(next(places), within)
        return len(movable)

    def giveAway(self) -> None:
        """Give all sessions away, and those that begin later, too: see :meth:`move`."""
        self.givesAway = True
        self.move()

    def passable(self) -> list[Session]:
        """Those that can be passed to another process: see :attr:`bore.server.session.Session.isPassable`."""
        return [session for session in self._sessions if session.isPassable]

    def shutDown(self) -> Deferred[None]:
        """
        End all sessions, as the server stops.

        :returns: fires when all control connections are closed.
        """
        self._end(list(self._sessions), ShuttingDown())
        if not self._sessions:
            return succeed(None)
        self._allGone = Deferred()
        return self._allGone

    def _end(self, sessions: list[Session], refusal: Refusal) -> None:
        for session in sessions:
            if not session.over:
                session.refuse(refusal)
