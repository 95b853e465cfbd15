"""Connections to a server that speaks TLS."""

from __future__ import annotations

import socket
from collections.abc import Callable

from OpenSSL import SSL
from twisted.internet.defer import Deferred

from bore.streams.dial import Dialer
from bore.streams.reactor import IReactor
from bore.tls.errors import ServerNotTrusted
from bore.tls.handshakes import Handshake
from bore.tls.tlssocket import TlsSocket
from bore.tls.trust import Trust


class TlsDialer:
    """
    Dials a server, and has TLS spoken.

    :param plain: dials it.
    :param distrusted: called when the server, which was met before in this session, is another one now; None: it is met
        for the first time.
    """

    #: A handshake costs as much as ten visitors.
    patience = 0.02

    def __init__(
        self,
        reactor: IReactor,
        plain: Dialer,
        trust: Trust,
        distrusted: Callable[[ServerNotTrusted], None] | None = None,
    ) -> None:
        self._reactor = reactor
        self._plain = plain
        self._trust = trust
        self._distrusted = distrusted

    def dial(self) -> Deferred[socket.socket]:
        """
        Connect once.

        :returns: the connected socket; fails with OSError or ServerNotTrusted. Cancelling it ends
            the attempt.
        """
        return self._dial(self._trust.context if self._distrusted is None else self._trust.repeated)

    def _dial(self, context: SSL.Context) -> Deferred[socket.socket]:
        dialling = self._plain.dial()
        if isinstance(dialling, Deferred):
            return dialling.addCallback(self._seal, context)
        return self._seal(dialling, context)

    def _seal(self, sock: socket.socket, context: SSL.Context) -> Deferred[socket.socket]:
        shaking = Handshake(self._reactor, TlsSocket(sock, context, self._trust.name)).done
        return shaking.addCallback(self._judge, context)

    def _judge(self, sock: TlsSocket, context: SSL.Context) -> socket.socket | Deferred[socket.socket]:
        try:
            if self._distrusted is None:
                self._trust.judge(sock)
            elif not self._trust.isSame(sock):
                if context is self._trust.repeated:  # the server has a new certificate: look at it
                    sock.close()
                    return self._dial(self._trust.context)
                self._trust.judgeAgain(sock)
        except BaseException as e:
            sock.close()
            if self._distrusted is not None and isinstance(e, ServerNotTrusted):
                self._distrusted(e)
            raise
        return sock
