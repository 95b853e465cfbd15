"""Connections to a server inside TLS."""

from __future__ import annotations

import socket
from collections.abc import Callable

from OpenSSL import SSL
from twisted.internet.defer import Deferred

from bore.streams.dial import TcpDialer
from bore.streams.reactor import IReactor
from bore.tls.contexts import PROTOCOL
from bore.tls.errors import ServerNotTrusted
from bore.tls.handshakes import Handshake, HandshakeQueue
from bore.tls.tlssocket import TlsSocket
from bore.tls.trust import Trust
from bore.tls.verdict import Verdict
from bore.wire.workernumbers import hintOf


class TlsDialer:
    """
    Dials the control connection of a session.

    :param plain: dials it.
    :param judged: called with the verdict on the server before the connection is handed over.
    """

    #: A handshake costs as much as ten visitors.
    patience = 0.02

    def __init__(
        self, reactor: IReactor, plain: TcpDialer, trust: Trust, judged: Callable[[Verdict], object] = lambda _: None
    ) -> None:
        self._reactor = reactor
        self._plain = plain
        self._trust = trust
        self._judged = judged
        self._queue = HandshakeQueue(reactor)
        self._protocols: list[bytes] = []  # none: those of the context

    def dial(self, sendsFirst: bool = True) -> Deferred[socket.socket]:
        """
        Connect once. In a handshake it is always this side that sends first.

        :returns: the connected socket; fails with OSError or ServerNotTrusted. Cancelling it ends the attempt.
        """
        return self._dial(self._trust.context)

    def _dial(self, context: SSL.Context) -> Deferred[socket.socket]:
        dialling = self._plain.dial(sendsFirst=True)
        if isinstance(dialling, Deferred):
            return dialling.addCallback(self._shake, context)
        return self._shake(dialling, context)

    def _shake(self, sock: socket.socket, context: SSL.Context) -> Deferred[socket.socket]:
        encrypted = TlsSocket(sock, context, self._trust.name, self._protocols)
        shaking = Handshake(self._reactor, encrypted, queue=self._queue).done
        return shaking.addCallback(self._shaken, context)

    def _shaken(self, sock: TlsSocket, context: SSL.Context) -> socket.socket | Deferred[socket.socket]:
        try:
            return self._judge(sock, context)
        except BaseException:
            sock.close()
            raise

    def _judge(self, sock: TlsSocket, context: SSL.Context) -> socket.socket | Deferred[socket.socket]:
        self._judged(self._trust.judge(sock))
        return sock


class FurtherTlsDialer(TlsDialer):
    """
    Dials further connections of a session.

    Handshakes do not verify the certificate again, as long as the server shows the same one.

    :param verdict: the verdict on the server of the control connection.
    :param distrusted: called when a connection leads to another server.
    """

    def __init__(
        self,
        reactor: IReactor,
        plain: TcpDialer,
        trust: Trust,
        verdict: Verdict,
        distrusted: Callable[[ServerNotTrusted], object],
    ) -> None:
        super().__init__(reactor, plain, trust)
        self._verdict = verdict
        self._distrusted = distrusted

    def dial(self, sendsFirst: bool = True) -> Deferred[socket.socket]:
        """See :meth:`TlsDialer.dial`."""
        return self._dial(self._trust.repeated)

    def leadTo(self, worker: int) -> None:
        """See :class:`bore.streams.dial.ServerDialer`: the number is one of the protocols that are offered."""
        self._protocols = [PROTOCOL, hintOf(worker).encode("ascii")] if worker else []

    def _judge(self, sock: TlsSocket, context: SSL.Context) -> socket.socket | Deferred[socket.socket]:
        if not self._verdict.accepts(sock):
            if context is self._trust.repeated:  # the server has a new certificate, which was not verified
                sock.close()
                return self._dial(self._trust.context)
            try:
                self._verdict = self._trust.judgeAgain(sock, self._verdict)
            except ServerNotTrusted as e:
                self._distrusted(e)
                raise
        return sock
