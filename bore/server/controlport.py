"""The control port."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import replace
from typing import Final
from uuid import UUID

from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory

from bore.server.control import ControlContext, ControlProtocol, HandOn
from bore.server.session import BaseSession
from bore.server.settings import ServerSettings
from bore.streams.addresses import SocketAddress, socketAddress, sourceOf
from bore.streams.encryption import RECORD, channelBinding, peerNames
from bore.streams.transport import SocketTransport

#: What is read of a new connection at once, in bytes: the first frame fits, and inside TLS nothing is left behind it
#: that a poll would not show.
_FIRST_READ: Final = RECORD


class ControlFactory(Factory):
    """
    Serves the connections to the control port.

    :param context: what they share.
    """

    noisy = False

    def __init__(self, context: ControlContext) -> None:
        self._context = context

    def apply(self, settings: ServerSettings) -> None:
        """Use other settings for the connections that come from now on."""
        self._context = replace(self._context, settings=settings)

    def setHandOn(self, handOn: HandOn | None) -> None:
        """Hand connections on that belong to other workers, of those that come from now on."""
        self._context = replace(self._context, handOn=handOn)

    def buildProtocol(
        self,
        addr: IAddress | None,
        peer: str = "somebody",
        source: str = "somewhere",
        binding: bytes = b"",
        names: Sequence[str] = (),
    ) -> ControlProtocol:
        """Make the protocol of one connection."""
        return ControlProtocol(self._context, peer, source, binding, names)

    def accepted(self, sock: socket.socket, address: SocketAddress) -> None:
        """Serve a connection that was accepted on the control port."""
        context = self._context
        first = binding = b""
        names: tuple[str, ...] = ()
        if context.authenticator.asks:
            binding = channelBinding(sock)
            if binding and context.authenticator.permits is not None:
                names = peerNames(sock)
        else:  # the client sends the first message, and may have done so
            first = self._readFirst(sock)
            if first and context.firstMessages.handAtOnce(sock, first):
                return
            binding = channelBinding(sock)
        protocol = self.buildProtocol(None, socketAddress(address), sourceOf(address), binding, names)
        SocketTransport(sock, protocol, context.reactor, control=True).start()
        if first:
            protocol.dataReceived(first)

    def goOn(self, sock: socket.socket, address: SocketAddress, early: bytes, challenge: UUID | None) -> None:
        """
        Serve a connection that another worker has handed on.

        :param early: what that has read from it.
        :param challenge: the challenge that it was sent; None: it was sent none.
        """
        context = self._context
        if not context.authenticator.asks and context.firstMessages.handAtOnce(sock, early):
            return
        protocol = ControlProtocol(
            context, socketAddress(address), sourceOf(address), isHandedOn=True, challenge=challenge
        )
        SocketTransport(sock, protocol, context.reactor, control=True).start()
        protocol.dataReceived(early)

    def adopt(self, base: BaseSession) -> None:
        """Go on with a session of the base protocol that comes from another process."""
        from bore.server.adoptedsession import AdoptedProtocol

        SocketTransport(base.socket, AdoptedProtocol(self._context, base), self._context.reactor, control=True).start()

    def _readFirst(self, sock: socket.socket) -> bytes:
        """Read what a client has sent already."""
        try:
            return sock.recv(_FIRST_READ)
        except OSError:
            return b""  # nothing yet, or an error that the transport will find, too
