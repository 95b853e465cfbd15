"""Connections of clients that belong to another node: an Accept of an original client may come to any of them."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Final
from uuid import UUID

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from bore.client.dataconnections import DataConnections
from bore.client.reasons import describe
from bore.relay.interface import Relay, Stream
from bore.streams.addresses import SocketAddress, plainHost, socketAddress
from bore.streams.reactor import IReactor
from bore.wire.extension import HandedOn
from bore.wire.limits import ACCEPT_TIMEOUT

#: How many connections are handed on at the same time, until the other node has them. Each has two descriptors.
MAX_UNDER_WAY: Final = 256


class HandingOn:
    """
    Hands connections on: see :data:`bore.server.control.HandOn`. Each gets a connection of its own to the other node.

    :param relay: joins the two.
    :param find: returns what makes connections to the node with a number; None: there is no such node.
    """

    _log: Final = Logger()

    def __init__(self, reactor: IReactor, relay: Relay, find: Callable[[int], DataConnections | None]) -> None:
        self._reactor = reactor
        self._relay = relay
        self._find = find
        self._underWay: dict[Deferred[Stream], socket.socket] = {}

    def __call__(
        self, number: int, sock: socket.socket, address: SocketAddress, early: bytes, challenge: UUID | None
    ) -> None:
        connections = self._find(number)
        if connections is None or len(address) < 2 or len(self._underWay) >= MAX_UNDER_WAY:
            sock.close()  # as if there were no such visitor
            return
        handedOn = HandedOn(challenge, (plainHost(address).partition("%")[0], int(address[1])))
        opening = connections.open(handedOn)
        if not isinstance(opening, Deferred):
            self._join(opening, sock, early)
            return
        self._underWay[opening] = sock
        opening.addTimeout(ACCEPT_TIMEOUT, self._reactor)
        opening.addBoth(self._tried, opening)
        opening.addCallback(self._join, sock, early)
        opening.addErrback(self._failed, sock, address)

    def stop(self) -> None:
        """Close those that are under way."""
        for opening in list(self._underWay):
            opening.cancel()

    def _tried(self, result: Stream | Failure, opening: Deferred[Stream]) -> Stream | Failure:
        self._underWay.pop(opening, None)
        return result

    def _join(self, node: Stream, sock: socket.socket, early: bytes) -> None:
        self._relay.join(Stream(sock, early), node, lambda ending: None)

    def _failed(self, reason: Failure, sock: socket.socket, address: SocketAddress) -> None:
        sock.close()
        why = describe(reason.value)
        self._log.debug("{peer} could not be handed on: {why}", peer=socketAddress(address), why=why)
