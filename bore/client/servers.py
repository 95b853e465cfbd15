"""The servers that a client may use, and the one that it uses now."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from zope.interface import implementer

from bore.client.advice import Tried
from bore.client.settings import ServerAddress
from bore.events import Sink
from bore.streams.addresses import parseHostPort
from bore.streams.dial import Dialer, ServerDialer, TcpDialer
from bore.streams.endpoint import DialerEndpoint
from bore.streams.reactor import IReactor
from bore.tls.settings import ClientTls
from bore.wire.limits import CONTROL_PORT
from bore.wire.publicaddress import PublicAddress

#: The servers to which a client may be sent.
TLS_PREFIX: Final = "tls://"

if TYPE_CHECKING:
    from bore.tls.trust import Trust
    from bore.tls.verdict import Verdict


class Trusts:
    """
    The trust in each server, which all links of a client share: a new server is reported once.

    :param tls: how TLS is used.
    :param secret: whether there is a secret.
    """

    def __init__(self, tls: ClientTls, secret: bool, sink: Sink) -> None:
        self._tls = tls
        self._secret = secret
        self._sink = sink
        self._made: dict[ServerAddress, Trust] = {}

    def of(self, address: ServerAddress) -> Trust:
        """What judges this server. OpenSSL is loaded here, and not before."""
        from bore.tls.trust import Trust

        if address not in self._made:
            self._made[address] = Trust(*address, self._tls, self._secret, self._sink)
        return self._made[address]


class Server:
    """
    A server, and what a link knows of it.

    :param trusts: judges servers inside TLS; None: TLS is not used.
    :param user: the user to be there; empty: none.

    :ivar address: where it is.
    :ivar name: the same, as events name it, with the user.
    :ivar met: whether an attempt was made already.
    :ivar challengeLate: whether its challenge has come too late once.
    """

    def __init__(self, reactor: IReactor, address: ServerAddress, trusts: Trusts | None, user: str) -> None:
        self._reactor = reactor
        self._trusts = trusts
        self._verdict: Verdict | None = None
        self._plain = TcpDialer(reactor, *address)
        self.address = address
        self.name = address.nameFor(user)
        self.met = False
        self.challengeLate = False

    @property
    def known(self) -> bool:
        """Whether it has shown that it is the server that is meant; without TLS it cannot show that."""
        return self._trusts is None or (self._verdict is not None and self._verdict.isKnown)

    @property
    def trustedAs(self) -> str | None:
        """Why it is trusted; None: it is not, or there is no TLS."""
        return None if self._verdict is None else self._verdict.why

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """Make a control connection; the server's name is looked up afresh."""
        self._plain.forget()
        self._verdict = None
        return DialerEndpoint(self._reactor, self._firstDialer()).connect(protocolFactory)

    def dialer(self, host: str, port: int, distrusted: Callable[[Exception], None]) -> ServerDialer:
        """
        Make what opens further connections to the server.

        :param host: its IP address.
        :param distrusted: called when another server answers.
        """
        plain = TcpDialer(self._reactor, host, port)
        if self._trusts is None:
            return plain
        from bore.tls.dialer import FurtherTlsDialer

        assert self._verdict is not None
        return FurtherTlsDialer(self._reactor, plain, self.trust(), self._verdict, distrusted)

    def proven(self) -> None:
        """The server has proved that it knows the secret."""
        assert self._verdict is not None
        self._verdict = self.trust().proven(self._verdict)

    def announced(self, key: str) -> None:
        """The server will have another key. That counts if it has identified itself, which it cannot without TLS."""
        if self._verdict is not None and self._verdict.isKnown:
            self.trust().learn(self._verdict, key)

    def opened(self) -> None:
        """The server has opened a tunnel."""
        if self._verdict is not None:
            self.trust().report(self._verdict)

    def judged(self, verdict: Verdict) -> None:
        """The server of the control connection was judged."""
        self._verdict = verdict

    def trust(self) -> Trust:
        """What judges the server inside TLS."""
        assert self._trusts is not None
        return self._trusts.of(self.address)

    def _firstDialer(self) -> Dialer:
        """What dials the control connection: with TLS, if the user wants it."""
        if self._trusts is None:
            return self._plain
        from bore.tls.dialer import TlsDialer

        return TlsDialer(self._reactor, self._plain, self.trust(), self.judged)


@implementer(IStreamClientEndpoint)
class Servers:
    """
    The servers of a link, one of which is the current one. As an endpoint, it connects to that one.

    :param trusts: judges servers inside TLS; None: TLS is not used.
    :param user: the user to be there; empty: none.
    """

    def __init__(
        self, reactor: IReactor, addresses: Sequence[ServerAddress], trusts: Trusts | None, user: str = ""
    ) -> None:
        self._reactor = reactor
        self._trusts = trusts
        self._user = user
        self._all = [Server(reactor, address, trusts, user) for address in addresses]
        self._dropped: dict[Server, bool] = {}
        self._current = 0
        self._elsewhere: Server | None = None  # where the last server has sent us
        self._host = ""

    def __len__(self) -> int:
        """The number of servers that are tried."""
        return len(self._all) - len(self._dropped) + (self._elsewhere is not None)

    @property
    def current(self) -> Server:
        """The server that is used, or tried next."""
        return self._elsewhere or self._all[self._current]

    @property
    def host(self) -> str:
        """The host of public addresses, for people: the nodes of a cluster share that of the first one."""
        return self._host or self.current.address.host

    def tried(self, public: PublicAddress) -> Tried:
        """Return what was tried at the current server, for a tunnel at this public address."""
        return Tried(self.current.address, self._trusts is not None, public)

    def change(self, addresses: Sequence[ServerAddress], trusts: Trusts | None) -> None:
        """Have other servers, of which the current one is one."""
        self._trusts = trusts
        current = self.current
        before = {server.address: server for server in (*self._all, current)}
        self._all = [before.get(each) or Server(self._reactor, each, trusts, self._user) for each in addresses]
        self._current = self._all.index(current)
        self._elsewhere = None
        self._dropped = {server: forGood for server, forGood in self._dropped.items() if server in self._all}

    def destination(self, to: str | None) -> ServerAddress | None:
        """
        Return the server to which the current one may send the client; None: it stays.

        Whoever speaks for a plain server could send the client anywhere. So only a server is followed that has shown
        inside TLS to be the one that is meant, and only to a server with TLS, which is judged as every other one: by
        the same keys, authorities and secret.

        :param to: the server as the current one has named it; None: it has named none.
        """
        if to is None or self._trusts is None or not self.current.known or not to.startswith(TLS_PREFIX):
            return None
        try:
            host, port = parseHostPort(to.removeprefix(TLS_PREFIX))
        except ValueError:
            return None
        return ServerAddress(host, CONTROL_PORT if port is None else port)

    def follow(self, address: ServerAddress, host: str = "") -> None:
        """
        Make a server the current one that the user has not named, until the next :meth:`moveOn`.

        :param host: the host of its public addresses; empty: its own.
        """
        self._host = host
        configured = [server for server in self._all if server.address == address and server not in self._dropped]
        self._elsewhere = None
        if configured:
            self._current = self._all.index(configured[0])
        else:
            self._elsewhere = Server(self._reactor, address, self._trusts, self._user)

    def moveOn(self) -> bool:
        """
        Make the next server that is tried the current one; behind the last comes the first. Behind one that we were
        sent to comes the one that has sent us.

        :returns: whether we were sent to the one before.
        """
        self._host = ""
        if self._elsewhere is not None:
            self._elsewhere = None
            return True
        for _ in self._all:
            self._current = (self._current + 1) % len(self._all)
            if self.current not in self._dropped:
                break
        return False

    def drop(self, forGood: bool) -> None:
        """
        Do not try the current server again.

        :param forGood: else it is tried again after there was a tunnel at another one.
        """
        if self._elsewhere is None:
            self._dropped[self.current] = forGood

    def opened(self) -> None:
        """There is a tunnel at the current server."""
        self._dropped = {server: forGood for server, forGood in self._dropped.items() if forGood}
        self.current.opened()

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """Connect to the current server."""
        return self.current.connect(protocolFactory)
