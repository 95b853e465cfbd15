"""Connections to another node of the cluster inside TLS."""

from __future__ import annotations

import errno
import socket

from OpenSSL import SSL
from twisted.internet.defer import Deferred

from bore.streams.dial import TcpDialer
from bore.streams.encryption import TlsError
from bore.streams.reactor import IReactor
from bore.tls.contexts import NODE_PROTOCOL, nodeContext
from bore.tls.handshakes import Handshake, HandshakeQueue
from bore.tls.tlssocket import TlsSocket

_NO_NODE = "it is not a node of a cluster: its server has no --cluster"


class NodeDialer:
    """
    Dials a node. Whose certificate it shows does not matter: it proves the cluster's key on each connection.

    :param host: a name or an IP address.
    """

    #: See :class:`~bore.streams.dial.Dialer`. A handshake costs as much as ten visitors.
    patience = 0.02

    def __init__(self, reactor: IReactor, host: str, port: int) -> None:
        self._reactor = reactor
        self._plain = TcpDialer(reactor, host, port)
        self._context: SSL.Context = nodeContext()
        self._queue = HandshakeQueue(reactor)

    def dial(self, sendsFirst: bool = True) -> Deferred[socket.socket]:
        """See :class:`~bore.streams.dial.Dialer`. In a handshake it is always this side that sends first."""
        dialling = self._plain.dial(sendsFirst=True)
        if isinstance(dialling, Deferred):
            return dialling.addCallback(self._shake)
        return self._shake(dialling)

    def leadTo(self, worker: int) -> None:
        """See :class:`~bore.streams.dial.ServerDialer`: nodes have no workers."""

    def _shake(self, sock: socket.socket) -> Deferred[socket.socket]:
        encrypted = TlsSocket(sock, self._context, "")
        return Handshake(self._reactor, encrypted, queue=self._queue).done.addCallback(self._shaken)

    def _shaken(self, sock: TlsSocket) -> socket.socket:
        if sock.protocol != NODE_PROTOCOL:
            sock.close()
            raise TlsError(errno.EPROTO, _NO_NODE)
        return sock
