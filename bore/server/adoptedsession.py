"""A session of the base protocol that comes from another process, as it is."""

from __future__ import annotations

from bore.server.control import ControlContext, ControlProtocol
from bore.server.session import BaseSession
from bore.server.tunnel import Tunnel
from bore.timing.turns import Inflow
from bore.wire.messages import Hello, encode
from bore.wire.serversession import ServerSession
from bore.wire.sessionevents import TunnelAsked


class AdoptedProtocol(ControlProtocol):
    """
    The control connection of a client of the base protocol that has its tunnel already: it notices nothing.

    Its request is made again in its name, and the answer, which the client has got, is not sent.
    """

    def __init__(self, context: ControlContext, base: BaseSession) -> None:
        super().__init__(context, base.login.peer, base.source)
        self._base = base
        self._wire = ServerSession()  # what had to be proved is proved

    def connectionMade(self) -> None:
        base, context = self._base, self._context
        self._inflow = Inflow(context.turns, self.transport, self._goOn)
        assert isinstance(base.address, int)
        [asked] = self._wire.feed(encode(Hello(base.address)))
        assert isinstance(asked, TunnelAsked)
        refusal = context.authenticator.objection(base.login)
        if refusal is not None:  # it was withdrawn meanwhile
            self._refuseAndReport(refusal)
            return
        self._session = context.sessions.begin(self, base.login, base.source)
        self._session.open(asked.tunnel, base.address, base.token)

    def tunnelOpened(self, number: int, tunnel: Tunnel) -> None:
        assert self._session is not None
        self._produce()
        self._bound(self._session)
        grant = tunnel.grant
        self._wire.opened(number, grant.address, grant.token, self._context.settings.lease)
