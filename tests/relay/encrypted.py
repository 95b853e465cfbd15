"""TLS between two relays, as server and client have it."""

from __future__ import annotations

import contextlib
import select
from collections.abc import Callable

from twisted.trial.unittest import SynchronousTestCase

from bore.relay.interface import Ending, Relay, Stream
from bore.relay.lanes import LaneRelay
from bore.streams.reactor import IReactor
from bore.tls.certificates import makeSelfSigned
from bore.tls.contexts import clientContext, serverContext
from bore.tls.tlssocket import TlsSocket
from tests.relay.plugs import tcpPair
from tests.relay.relaycase import HalvedRelay

_SERVER = serverContext(makeSelfSigned("test")[1])
_CLIENT = clientContext(())


def tlsPair(small: bool = False, drained: bool = True) -> tuple[TlsSocket, TlsSocket]:
    """
    The two ends of a TLS connection, the server's first.

    :param drained: whether the client has read what the server has sent behind the handshake.
    """
    near, far = tcpPair(small)
    near.setblocking(False)
    server, client = TlsSocket(near, _SERVER, None), TlsSocket(far, _CLIENT, "")
    done = False
    while not done:
        done = client.handshake()
        done = server.handshake() and done
    while drained and select.select([client], [], [], 0)[0]:
        with contextlib.suppress(BlockingIOError):
            client.recv(1)
    return server, client


def withoutRoomForEnds(case: SynchronousTestCase) -> list[bool]:
    """Have the kernel take no ``close_notify``, until the list that is returned is empty."""
    real = TlsSocket.shutdown
    full = [True]

    def shutdown(sock: TlsSocket, how: int) -> None:
        if full:
            raise BlockingIOError
        real(sock, how)

    case.patch(TlsSocket, "shutdown", shutdown)
    return full


class EncryptedRelay(HalvedRelay):
    """
    A relay in two halves, with one TLS connection for each pair between them.

    :param backend: makes either half.
    """

    def __init__(
        self, reactor: IReactor, halfOpenTimeout: float, backend: Callable[[IReactor, float], Relay] = LaneRelay
    ) -> None:
        self.near = backend(reactor, halfOpenTimeout)
        self.far = backend(reactor, halfOpenTimeout)

    def join(self, left: Stream, right: Stream, ended: Callable[[Ending], None]) -> None:
        """Join two streams by way of TLS; the ending is that of the visitor's side, when both sides are done."""
        done = self.collect(ended, {})
        server, client = tlsPair(small=True)
        self.near.join(left, Stream(server), lambda ending: done("near", ending))
        self.far.join(Stream(client), right, lambda ending: done("far", ending))
