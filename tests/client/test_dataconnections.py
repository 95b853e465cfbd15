"""Connections to the server, beside the control connection."""

from __future__ import annotations

import contextlib
import socket
from typing import cast
from uuid import uuid4

from twisted.internet.error import TimeoutError

from bore.client.dataconnections import DataConnections
from bore.relay.interface import Stream
from bore.streams.reactor import IReactor
from bore.tls.contexts import serverContext
from bore.tls.tlssocket import TlsSocket
from bore.wire.limits import ACCEPT_TIMEOUT
from bore.wire.messages import Accept
from bore.wire.secret import Secret
from bore.wire.serverproof import BoundServerProof, SharedOnly
from tests.fakes import FakeReactor
from tests.tls.rekeying import Rekeying
from tests.tls.tlscase import TlsCase, ownCredentials

SECRET = Secret("the secret of this test")


class _Dials:
    patience = 0.0

    def __init__(self, sock: TlsSocket) -> None:
        self._socket = sock

    def dial(self, sendsFirst: bool = False) -> TlsSocket:
        return self._socket

    def leadTo(self, worker: int) -> None: ...


class NewKeysTests(TlsCase):
    """A server that asks for new keys where its challenge belongs, and reads no answer."""

    def setUp(self) -> None:
        self.reactor = FakeReactor()
        context = serverContext(ownCredentials())
        self.rekeying = Rekeying(context, "SERVER")
        self.client, self.server = self.pair(server=context, buffer=4096)
        self.client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        self.server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        opening = DataConnections(cast(IReactor, self.reactor), _Dials(self.client), SECRET).open(Accept(uuid4()))
        assert not isinstance(opening, Stream)
        self.opening = opening
        [self.proving] = self.reactor.getReaders()
        self.rekeying.requestUntilStuck(self.server, self.client, self.proving.doRead)

    def test_itIsNotReadFromBeforeTheAnswerIsOut(self) -> None:
        self.assertEqual((self.reactor.getReaders(), self.reactor.getWriters()), ([], [self.proving]))

    def test_itIsGivenUpInTime(self) -> None:
        self.reactor.advance(ACCEPT_TIMEOUT)
        self.failureResultOf(self.opening, TimeoutError)
        self.assertEqual((self.reactor.getReaders(), self.reactor.getWriters()), ([], []))
        self.assertEqual((self.client.fileno(), self.reactor.getDelayedCalls()), (-1, []))

    def test_itIsHeardWhenItReadsAfterAll(self) -> None:
        proof = BoundServerProof(SharedOnly([SECRET]), self.server.binding)
        self.rekeying.send(self.server, proof.challenge())
        frames = b""
        while not frames:
            with contextlib.suppress(BlockingIOError):
                frames = self.server.recv(1000)
            self.rekeying.flush(self.server)
            if self.reactor.getWriters():
                self.proving.doWrite()
            else:
                self.proving.doRead()
        answer = proof.check(frames.split(b"\0")[0])
        self.rekeying.send(self.server, answer)
        while self.reactor.getReaders():
            self.proving.doRead()
        self.assertEqual(self.successResultOf(self.opening), Stream(self.client))
