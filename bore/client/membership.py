"""Asks a server what it is, and who it takes us for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IDelayedCall
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure

from bore.client.reasons import ExtensionNeeded
from bore.client.servers import Server, Trusts
from bore.client.settings import ClientSettings
from bore.events import Sink
from bore.streams.encryption import channelBinding
from bore.streams.reactor import IReactor
from bore.streams.transport import IStreamTransport
from bore.wire.clientsession import ControlSession
from bore.wire.errors import WireError
from bore.wire.limits import CHALLENGE_PATIENCE
from bore.wire.proof import clientProof
from bore.wire.sessionevents import SendData, ServerProven, SessionOpened, TunnelOpened

#: How long the server has to answer, in seconds.
_TIMEOUT: Final = 15.0


def askServer(reactor: IReactor, settings: ClientSettings, sink: Sink) -> Deferred[SessionOpened | None]:
    """
    Connect once, prove who we are, and leave again.

    :param settings: the first server is asked. A user needs TLS.
    :returns: what the server has agreed to; None: it speaks the base protocol. Fails with OSError, ServerNotTrusted or
        WireError; with ExtensionNeeded if there is a user, and the server does not know users.
    """
    trusts = None if settings.tls is None else Trusts(settings.tls, settings.secret is not None, sink)
    server = Server(reactor, settings.servers[0], trusts, settings.user)
    question = _Question(reactor, settings, server.proven)
    asking = server.connect(_OneProtocol(question)).addCallback(lambda _: question.answer)
    return asking.addTimeout(_TIMEOUT, reactor)


class _OneProtocol(Factory):
    noisy = False

    def __init__(self, protocol: Protocol) -> None:
        self._protocol = protocol

    def buildProtocol(self, addr: IAddress | None) -> Protocol:
        return self._protocol


class _Question(Protocol):
    """
    The connection.

    :param proven: called when the server has proved that it knows the secret.
    :ivar answer: see :func:`askServer`.
    """

    transport: IStreamTransport

    def __init__(self, reactor: IReactor, settings: ClientSettings, proven: Callable[[], None]) -> None:
        self._reactor = reactor
        self._settings = settings
        self._proven = proven
        self._probe: IDelayedCall | None = None
        self.answer: Deferred[SessionOpened | None] = Deferred(lambda _: self.transport.abortConnection())

    def connectionMade(self) -> None:
        secret = self._settings.secret
        proof = clientProof(secret, channelBinding(self.transport.getHandle()), self._settings.user)
        self._wire = ControlSession(0, proof)
        self.transport.write(self._wire.greeting())
        if secret is not None:
            self._probe = self._reactor.callLater(CHALLENGE_PATIENCE, self._noChallenge)

    def _noChallenge(self) -> None:
        self.transport.write(self._wire.noChallenge())

    def dataReceived(self, data: bytes) -> None:
        try:
            for event in self._wire.feed(data):
                match event:
                    case SendData(answer):
                        self.transport.write(answer)
                    case ServerProven():
                        self._proven()
                    case SessionOpened(user=user) if user or not self._settings.user:
                        # else the reason follows why this user is refused
                        self._end(event)
                        return
                    case TunnelOpened():
                        if self._settings.user:
                            raise ExtensionNeeded("a user", "know users")
                        self._end(None)
                        return
        except (WireError, ExtensionNeeded) as e:
            self._end(Failure(e))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._probe is not None and self._probe.active():
            self._probe.cancel()
        if not self.answer.called:
            self.answer.errback(reason)

    def _end(self, result: SessionOpened | Failure | None) -> None:
        if self.answer.called:
            return  # the server goes on after its refusal
        self.transport.write(self._wire.goodbye())
        self.transport.loseConnection()
        self.answer.callback(result)
