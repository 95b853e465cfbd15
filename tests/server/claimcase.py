"""Shared by the tests of claims: a registry that answers when a test wants."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from bore.server.control import ControlProtocol
from bore.server.registry import Grant, LocalRegistry
from bore.server.server import Server
from bore.server.settings import ServerSettings
from bore.server.users import User
from bore.streams.reactor import IReactor
from bore.wire.extension import Open, Opened, encode
from bore.wire.messages import Hello
from bore.wire.messages import encode as encodeBase
from bore.wire.publicaddress import PublicAddress
from tests.fakes import FakeTransport
from tests.ports import freePort
from tests.server.case import SessionCase
from tests.support import isOpen

T = TypeVar("T")


class Answer:
    """An answer of the registry that is on its way."""

    def __init__(self, deliver: Callable[[], object], fail: Callable[[Failure], None]) -> None:
        self.deliver = deliver
        self.fail = fail


class SlowRegistry:
    """
    Decides as a local registry does, and answers when a test wants.

    :ivar slow: whether it does not answer at once.
    :ivar answers: the answers that are still to come, the oldest first.
    """

    def __init__(self, registry: LocalRegistry) -> None:
        self.registry = registry
        self.slow = True
        self.answers: list[Answer] = []

    @property
    def expired(self) -> Callable[[Grant], None]:
        return self.registry.expired

    @expired.setter
    def expired(self, expired: Callable[[Grant], None]) -> None:
        self.registry.expired = expired

    def claim(self, address: PublicAddress, user: User, key: str | None = None, limit: int = 0) -> Deferred[Grant]:
        return self._later(self.registry.claim(address, user))

    def resume(self, token: str | None, user: User, key: str | None = None) -> Deferred[Grant | None]:
        return self._later(self.registry.resume(token, user))

    def confirm(self, grant: Grant) -> Deferred[None]:
        return self.registry.confirm(grant)

    def renew(self, grant: Grant) -> Deferred[None]:
        return self.registry.renew(grant)

    def release(self, grant: Grant) -> Deferred[None]:
        return self.registry.release(grant)

    def close(self) -> None:
        self.registry.close()

    def answer(self) -> None:
        """Deliver the oldest answer."""
        self.answers.pop(0).deliver()

    def _later(self, answer: Deferred[T]) -> Deferred[T]:
        if not self.slow:
            return answer
        later: Deferred[T] = Deferred()
        self.answers.append(Answer(lambda: answer.chainDeferred(later), later.errback))
        return later


class ClaimCase(SessionCase):
    """A server whose registry is behind a network."""

    def setUp(self) -> None:
        super().setUp()
        self.server.shutDown()
        reactor = cast(IReactor, self.reactor)
        self.registry = SlowRegistry(LocalRegistry(reactor, self.lease))
        lowest, highest = self.ports
        settings = ServerSettings(lowest, highest, bindTunnels=self.host, bounds=self.bounds, lease=self.lease)
        self.server = Server(reactor, self.sink, settings, self.relay, registry=self.registry)
        self.port = freePort(self.host)

    def claim(self, token: str | None = None, port: int | None = None) -> tuple[ControlProtocol, FakeTransport]:
        """A client asks for its tunnel, and the registry is asked."""
        protocol, transport = self.begin()
        protocol.dataReceived(encode(Open(1, self.port if port is None else port, token)))
        return protocol, transport

    def claimBase(self) -> tuple[ControlProtocol, FakeTransport]:
        """The same on the base protocol."""
        protocol, transport = self.connect()
        protocol.dataReceived(encodeBase(Hello(self.port)))
        return protocol, transport

    def opened(self, transport: FakeTransport) -> Opened:
        [opened] = self.said(transport)
        assert isinstance(opened, Opened), opened
        return opened

    def assertNothingIsLeft(self) -> None:
        """Neither a port that listens, nor a grant, nor a timer, nor a claim that counts."""
        self.assertEqual(self.registry.answers, [])
        self.assertFalse(isOpen(self.host, self.port))
        self.assertEqual((len(self.registry.registry), len(self.server.tunnels)), (0, 0))
        assert self.server._custody is not None
        self.assertEqual((len(self.server._custody), self.server._custody._wishes), (0, {}))
        self.assertEqual(self.reactor.getReaders(), [])
        self.reactor.pump([10.0] * 10)  # the log has its sums
        self.assertEqual(self.reactor.getDelayedCalls(), [])
