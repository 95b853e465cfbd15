"""Connections of clients that belong to another node: an Accept of an original client may come to any of them."""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple
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

#: How many connections are handed on to a node at the same time, until it has them, and how many more may wait for
#: that. More at once are no faster, as each needs a handshake, and one that waits has one descriptor, not two.
AT_ONCE: Final = 64
WAITING: Final = 1024


class _Connection(NamedTuple):
    """
    A connection of a client.

    :ivar until: when no visitor waits for it any more.
    """

    socket: socket.socket
    address: SocketAddress
    early: bytes
    challenge: UUID | None
    until: float


class _Node:
    """What is handed on to a node: how many connections are under way, and those that wait."""

    def __init__(self) -> None:
        self.count = 0
        self.waiting: deque[_Connection] = deque()
        self.going = False


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
        self._underWay: set[Deferred[Stream]] = set()
        self._nodes: dict[int, _Node] = {}

    def __call__(
        self, number: int, sock: socket.socket, address: SocketAddress, early: bytes, challenge: UUID | None
    ) -> None:
        node = self._nodes.get(number, _Node())
        if self._find(number) is None or len(address) < 2 or len(node.waiting) >= WAITING:
            sock.close()  # as if there were no such visitor
            return
        self._nodes[number] = node
        until = self._reactor.seconds() + ACCEPT_TIMEOUT
        node.waiting.append(_Connection(sock, address, early, challenge, until))
        self._next(number, node)

    def stop(self) -> None:
        """Close those that wait or are under way."""
        nodes, self._nodes = self._nodes, {}
        for node in nodes.values():
            while node.waiting:
                node.waiting.popleft().socket.close()
        for opening in list(self._underWay):
            opening.cancel()

    def _next(self, number: int, node: _Node) -> None:
        """Hand on what waits, as far as that may be now. Each ends within ACCEPT_TIMEOUT, and the next one follows."""
        if node.going:
            return  # one has ended at once
        node.going = True
        while node.waiting and node.count < AT_ONCE:
            self._begin(number, node, node.waiting.popleft())
        node.going = False
        if not node.count and self._nodes.get(number) is node:
            del self._nodes[number]

    def _begin(self, number: int, node: _Node, each: _Connection) -> None:
        connections = self._find(number)
        if connections is None or each.until <= self._reactor.seconds():
            each.socket.close()
            return
        opening = connections.open(
            HandedOn(each.challenge, (plainHost(each.address).partition("%")[0], int(each.address[1])))
        )
        if not isinstance(opening, Deferred):
            self._join(opening, each.socket, each.early)
            return
        node.count += 1
        self._underWay.add(opening)
        opening.addTimeout(ACCEPT_TIMEOUT, self._reactor)
        opening.addCallback(self._join, each.socket, each.early)
        opening.addErrback(self._failed, each.socket, each.address)
        opening.addBoth(self._tried, opening, number, node)

    def _tried(self, _: object, opening: Deferred[Stream], number: int, node: _Node) -> None:
        self._underWay.discard(opening)
        node.count -= 1
        self._next(number, node)

    def _join(self, node: Stream, sock: socket.socket, early: bytes) -> None:
        self._relay.join(Stream(sock, early), node, lambda ending: None)

    def _failed(self, reason: Failure, sock: socket.socket, address: SocketAddress) -> None:
        sock.close()
        why = describe(reason.value)
        self._log.debug("{peer} could not be handed on: {why}", peer=socketAddress(address), why=why)
