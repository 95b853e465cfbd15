"""A relay in the reactor, pairs that it has joined, and tests that run beside it in a thread."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Coroutine, Iterator
from collections.abc import Set as AbstractSet
from typing import Any, TypeAlias, TypeVar, cast

from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.interfaces import IReactorFromThreads
from twisted.internet.threads import blockingCallFromThread, deferToThread
from twisted.trial.unittest import TestCase

from bore.relay.interface import Ending, Relay, Running, Stream
from bore.streams.reactor import IReactor
from tests.relay.plugs import tcpPair
from tests.support import PATIENCE


def inReactor(call: Callable[..., Any], *arguments: Any) -> Any:
    """Call something in the reactor's thread, and wait for its result."""
    return blockingCallFromThread(cast(IReactorFromThreads, reactor), call, *arguments)


#: Makes two connected sockets: see :func:`tcpPair`.
MakePair: TypeAlias = Callable[[bool], tuple[socket.socket, socket.socket]]


class Joined:
    """
    A visitor's socket, a service's socket, and the relay between them.

    All of it is used from a thread, while the relay runs in the reactor's.
    """

    def __init__(
        self,
        relay: Relay,
        earlyLeft: bytes = b"",
        earlyRight: bytes = b"",
        small: bool = False,
        join: bool = True,
        right: MakePair = tcpPair,
    ) -> None:
        self._relay = relay
        self._early = earlyLeft, earlyRight
        self.left, self.innerLeft = tcpPair(small)
        self.right, self.innerRight = right(small)
        self._ended = threading.Event()
        self._ending: Ending | None = None
        if join:
            self.join()

    def join(self) -> None:
        def join() -> None:
            earlyLeft, earlyRight = self._early
            self._relay.join(Stream(self.innerLeft, earlyLeft), Stream(self.innerRight, earlyRight), self._done)

        inReactor(join)

    def _done(self, ending: Ending) -> None:
        assert self._ending is None
        self._ending = ending
        self._ended.set()

    def ending(self) -> Ending:
        """How it ended."""
        assert self._ended.wait(PATIENCE), "the pair has not ended"
        assert self._ending is not None
        return self._ending

    def hasEnded(self) -> bool:
        return self._ended.is_set()

    def close(self) -> None:
        for sock in (self.left, self.right, self.innerLeft, self.innerRight):
            with contextlib.suppress(OSError):
                sock.close()


class HalvedRelay(Relay):
    """
    A relay in two halves, as server and client have them.

    :ivar near: the server's half.
    :ivar far: the client's half.
    """

    near: Relay
    far: Relay

    def relieve(self) -> bool:
        return self.near.relieve() or self.far.relieve()

    def cut(self, sockets: AbstractSet[socket.socket]) -> None:
        self.near.cut(sockets)

    def __len__(self) -> int:
        return max(len(self.near), len(self.far))

    def running(self) -> Iterator[Running]:
        return self.near.running()

    def isRunning(self, pair: Running) -> bool:
        return self.near.isRunning(pair)

    def drain(self, seconds: float) -> Deferred[None]:
        both = gatherResults([self.near.drain(seconds), self.far.drain(seconds)])
        return both.addCallback(lambda _: None)

    def collect(self, ended: Callable[[Ending], None], endings: dict[str, Ending]) -> Callable[[str, Ending], None]:
        """
        Call ``ended`` with the ending of the near half, when both halves are done.

        :param endings: gets the ending of either half, "near" or "far".
        """

        def done(side: str, ending: Ending) -> None:
            endings[side] = ending
            if len(endings) == 2:
                ended(endings["near"])

        return done


class RelayContract(TestCase):
    """The tests. :meth:`makeRelay` gives the backend that is tested."""

    relay: Relay

    #: Makes the service's socket.
    rightPair: MakePair = staticmethod(tcpPair)

    #: Whether its kind of socket can be reset. A Unix socket cannot: to the peer, a cut is an end.
    rightResets = True

    #: How long half-open pairs may be silent, in seconds.
    halfOpenTimeout = 600.0

    def makeRelay(self, reactor: IReactor, halfOpenTimeout: float) -> Relay:
        raise NotImplementedError

    def setUp(self) -> None:
        self.relay = self.makeRelay(cast(IReactor, reactor), self.halfOpenTimeout)
        self._joined: list[Joined] = []

    def tearDown(self) -> Deferred[None]:  # type: ignore[override]  # trial waits for it, and unittest knows no Deferred
        for joined in self._joined:
            joined.close()
        left = len(self.relay)
        return self.relay.drain(0).addCallback(lambda _: self.assertEqual(left, 0, "pairs were left"))

    def assertCut(self, pair: Joined, side: str) -> None:
        """The relay has cut the stream at this side."""
        sock: socket.socket = getattr(pair, side)
        if side == "right" and not self.rightResets:
            self.assertEqual(sock.recv(1), b"")
        else:
            self.assertRaises(ConnectionResetError, sock.recv, 1)

    def joined(self, **how: Any) -> Joined:
        made = Joined(self.relay, right=self.rightPair, **how)
        self._joined.append(made)
        return made


C = TypeVar("C", bound=RelayContract)


def inThread(test: Callable[[C], None]) -> Callable[[C], Coroutine[Any, Any, None]]:
    """Run a test beside the reactor, so that it may block."""

    async def run(self: C) -> None:
        await deferToThread(test, self)

    run.__name__ = test.__name__
    run.__doc__ = test.__doc__
    return run
