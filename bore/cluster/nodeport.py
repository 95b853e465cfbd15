"""The connections of other nodes to the control port: their sessions, lanes, and clients that they hand on."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias
from uuid import UUID

from twisted.internet.interfaces import IAddress

from bore.cluster.nodesession import NodeSession
from bore.server.control import ControlContext, ControlProtocol
from bore.server.controlport import ControlFactory
from bore.server.tunnel import Tunnel
from bore.server.users import NODES, SharedSecret, User
from bore.wire import nodesession
from bore.wire.errors import Refusal
from bore.wire.extension import Source
from bore.wire.secret import Secret
from bore.wire.serverproof import Identity
from bore.wire.sessionevents import ConnectionHandedOn, NodeSessionAsked, ServerEvent, TunnelAsked, TunnelLeft

#: What the proofs of nodes are keyed with is made of the cluster's key with this, so that the same text as the secret
#: of clients lets no client be a node, and no node be a client.
_LABEL: Final = b"txbore node 1"

#: Serves the connection of a client that another node has handed on, from this address: the bytes that were read from
#: it, and the challenge that it was sent.
TakeIn: TypeAlias = Callable[[socket.socket, Source, bytes, UUID | None], None]


def nodeSecret(key: Secret) -> Secret:
    """The secret that nodes prove to each other; the key of the cluster is not used otherwise."""
    return Secret.fromKey(key.mac(_LABEL))


class NodeKey(SharedSecret):
    """
    The authenticator of nodes.

    :param key: the cluster's key.
    """

    def __init__(self, key: Secret) -> None:
        super().__init__([nodeSecret(key)])

    def user(self, identity: Identity | None, names: Sequence[str] = ()) -> User:
        """See :meth:`~bore.server.users.Authenticator.user`."""
        return NODES


class NodePort(ControlFactory):
    """
    Serves the connections of other nodes, behind their TLS handshakes.

    :param context: what they share. Its authenticator is a :class:`NodeKey`; its sessions are made of
        :class:`~bore.cluster.nodesession.NodeSession`.
    :param takeIn: serves what they hand on.
    """

    def __init__(self, context: ControlContext, takeIn: TakeIn) -> None:
        super().__init__(context)
        self._takeIn = takeIn

    def buildProtocol(
        self,
        addr: IAddress | None,
        peer: str = "somebody",
        source: str = "somewhere",
        binding: bytes = b"",
        names: Sequence[str] = (),
    ) -> ControlProtocol:
        """Make the protocol of one connection."""
        return NodeConnection(self._context, self._takeIn, peer, source, binding)


class NodeConnection(ControlProtocol):
    """
    One connection of another node.

    :param takeIn: serves it if it is that of a client.
    """

    def __init__(self, context: ControlContext, takeIn: TakeIn, peer: str, source: str, binding: bytes) -> None:
        super().__init__(context, peer, source, binding)
        proof = context.authenticator.proof(binding, context.firstMessages.ownerOf)
        assert proof is not None and binding, "the connection of a node without a proof"
        self._wire = nodesession.NodeSession(proof)
        self._takeIn = takeIn

    def tunnelOpened(self, number: int, tunnel: Tunnel) -> None:
        """See :class:`~bore.server.session.ControlConnection`. The node gets one answer, however often it is needed."""
        if self._wire.claims(number):
            super().tunnelOpened(number, tunnel)

    def tunnelRefused(self, number: int, refusal: Refusal) -> None:
        """See :class:`~bore.server.session.ControlConnection`. What was open before is closed."""
        if self._wire.claims(number):
            super().tunnelRefused(number, refusal)
        else:
            self.tunnelTaken(number, refusal)

    def _follow(self, event: ServerEvent) -> None:
        match event:
            case NodeSessionAsked(number):
                token = self._begin().laneToken
                self._nodeSession.node = number
                self.transport.write(self._wire.agreed(token, self._context.settings.bounds.lanes))
                self._context.unclassified.take(self)
                self._produce()
                self._nodeSession.start()
            case TunnelAsked(number, address, _, _, epoch):
                self._nodeSession.offer(number, address, epoch)
            case TunnelLeft(number, True):
                self._nodeSession.suspend(number)
                self._tunnelGone()
            case ConnectionHandedOn(challenge, source, rest):
                self._context.unclassified.take(self)
                self._takeIn(self._detach(), source, rest, challenge)
            case _:
                super()._follow(event)

    @property
    def _nodeSession(self) -> NodeSession:
        assert isinstance(self._session, NodeSession)
        return self._session

    def _tunnelGone(self) -> None:
        """A session of a node needs no tunnel."""
        if self._session is not None:
            self._bound(self._session)
