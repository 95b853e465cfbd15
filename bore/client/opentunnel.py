"""A tunnel in a session, as its visitors see it."""

from __future__ import annotations

import socket

from bore.client.dataconnections import DataConnections
from bore.client.tunnel import Tunnel
from bore.streams.socketoptions import pace
from bore.wire import proxyprotocol
from bore.wire.extension import Source
from bore.wire.publicaddress import PublicAddress


class OpenTunnel:
    """
    A tunnel that is open in a session.

    :ivar tunnel: the tunnel.
    :ivar connections: makes connections to the session's server.
    :ivar address: the server's IP address, and the public port; 0: the public address is not a port.
    """

    __slots__ = ("address", "connections", "tunnel")

    def __init__(self, tunnel: Tunnel, connections: DataConnections, host: str, address: PublicAddress) -> None:
        self.tunnel = tunnel
        self.connections = connections
        self.address = (host, address if isinstance(address, int) else 0)

    def limit(self, server: socket.socket, local: socket.socket) -> None:
        """Limit the rates of the two connections of a visitor, if the tunnel has a limit."""
        rate = self.tunnel.spec.bandwidth
        if rate:
            pace(server, rate)
            pace(local, rate)

    def header(self, source: Source | None) -> bytes:
        """
        What the local service gets before a visitor's first byte.

        :param source: where the visitor comes from; None: that is not known.
        """
        version = self.tunnel.spec.proxyProtocol
        return b"" if version is None else proxyprotocol.header(version, source, self.address)
