"""The server as a service: it listens on the control ports."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING

from twisted.application.service import Service
from twisted.internet.defer import Deferred

from bore.events import Sink
from bore.server.controlsockets import BindControl, CannotListen, bindControlPorts, bindNew, listening
from bore.server.core import ServerCore
from bore.server.log import logged
from bore.server.registry import Registry
from bore.server.settings import ServerSettings
from bore.server.users import Authenticator
from bore.streams.addresses import socketAddress
from bore.streams.listener import Listener
from bore.streams.reactor import IReactor

if TYPE_CHECKING:
    from bore.server.keptsockets import KeptSockets

__all__ = ["CannotListen", "ServerService"]


class ServerService(ServerCore):
    """
    The whole server.

    :param sockets: listening sockets to serve as control ports, instead of one made from the settings.
    :param sink: gets the events; None: they are logged.
    :param authenticator: identifies clients; None: they share the secret of the settings.
    :param registry: grants public ports; None: this server alone does.
    :param bind: makes the listening sockets of the control ports; None: they are bound, or those that were kept.
    :param kept: the listening sockets that the service manager keeps, in the registry's place; None: it keeps none.
    :cvar ofCluster: whether it is a node of a cluster, whose addresses no other process on this machine can take over.
    """

    ofCluster = False

    def __init__(
        self,
        reactor: IReactor,
        settings: ServerSettings,
        sockets: Sequence[socket.socket] = (),
        sink: Sink | None = None,
        authenticator: Authenticator | None = None,
        registry: Registry | None = None,
        kept: KeptSockets | None = None,
        bind: BindControl | None = None,
    ) -> None:
        sink = logged(reactor) if sink is None else sink
        whole = None if kept is None else kept.makeCustody(sink)
        ServerCore.__init__(self, reactor, settings, sink, authenticator, registry, whole=whole)
        self._kept = kept
        self._bind = kept.bindControl if kept is not None and bind is None else bind
        self._sockets = list(sockets)
        self._listeners: list[Listener] = []
        self._speakTls: set[Listener] = set()

    @property
    def controlPorts(self) -> list[tuple[str, str | None]]:
        """The control ports: each one's address, as ``HOST:PORT``, and the fingerprint of its key; None: no TLS."""
        return [(socketAddress(each.address), self._fingerprint(each)) for each in self._listeners]

    @property
    def controlPort(self) -> int:
        """The number of the control port."""
        return self._listeners[0].port

    @property
    def joined(self) -> bool:
        """Whether it has joined its cluster, if it is a node of one."""
        return True

    @property
    def alive(self) -> bool:
        """Whether it listens on its control ports, unless it was stopped."""
        return not self.running or all(each.alive for each in self._listeners)

    def privilegedStartService(self) -> None:
        """
        Listen. The process may give up rights afterwards.

        :raises CannotListen: when a port or a certificate cannot be used.
        """
        self.begin()
        sockets, self._sockets = self._sockets, []
        for sock, speaksTls in bindControlPorts(self._settings, sockets, self._bind or bindNew):
            self._listen(sock, speaksTls)
        if self._kept is not None:
            self._kept.begun(self._sink)

    @property
    def controlSockets(self) -> list[tuple[socket.socket, bool]]:
        """The listening sockets of the control ports, and whether each speaks TLS."""
        return [(each.handle, each in self._speakTls) for each in self._listeners]

    def handedOver(self) -> None:
        """Another process has the control ports and the custody of all addresses: close what it has copies of."""
        if self._kept is not None:
            self._kept.handedOver()
            self._kept = None
        self._closeControlPorts()

    def startService(self) -> None:
        """Listen, if that has not been done yet."""
        Service.startService(self)
        if not self._listeners:
            self.privilegedStartService()

    def stopService(self) -> Deferred[None]:
        """Stop listening, and then as :meth:`ServerCore.stopService`."""
        if self._kept is not None:
            self._kept.leave(forNext=self._drainsFor is None)
        self._closeControlPorts()
        return ServerCore.stopService(self)

    def _closeControlPorts(self) -> None:
        for listener in self._listeners:
            listener.stop()
        self._listeners.clear()

    def _listen(self, sock: socket.socket, speaksTls: bool) -> None:
        server = self._server
        accepted = self.encrypted if speaksTls else self.plain
        assert accepted is not None
        listener = Listener(self._reactor, sock, accepted, server.group, server.relieve, descriptors=server.descriptors)
        self._listeners.append(listener)
        if speaksTls:
            self._speakTls.add(listener)
        self._sink.emit(listening(sock, self._fingerprint(listener), self._settings, self.admission))

    def _fingerprint(self, listener: Listener) -> str | None:
        return self.fingerprint if listener in self._speakTls else None
