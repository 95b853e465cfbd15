"""Further connections to a server tell in their ClientHello which worker they should lead to."""

from __future__ import annotations

import select
import socket
from typing import cast

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from bore.events import Sink
from bore.streams.dial import TcpDialer
from bore.streams.reactor import IReactor
from bore.tls.dialer import FurtherTlsDialer
from bore.tls.settings import ClientTls
from bore.tls.trust import Trust
from bore.tls.verdict import Verdict
from bore.wire.clienthello import protocolsOffered
from bore.wire.more import More
from tests.fakes import FakeReactor
from tests.support import PATIENCE, temporaryFolder


class LeadTests(SynchronousTestCase):
    """A dialler of further connections."""

    def setUp(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(self.listener.close)
        host, port = self.listener.getsockname()
        clock = cast(IReactor, FakeReactor())
        tls = ClientTls(knownServers=temporaryFolder(self) / "known")
        self.trust = Trust(host, port, tls, False, Sink())
        verdict = cast(Verdict, object())
        self.dialer = FurtherTlsDialer(clock, TcpDialer(clock, host, port), self.trust, verdict, lambda _: None)

    def offered(self) -> object:
        """Dial, and return the protocols that are offered."""
        dialling = self.dialer.dial()
        assert isinstance(dialling, Deferred)
        accepted, _ = self.listener.accept()
        with accepted:
            assert select.select([accepted], [], [], PATIENCE)[0], "nothing came"
            start = b""
            while isinstance(found := protocolsOffered(start), More):
                start += accepted.recv(found.count)
        dialling.cancel()
        self.failureResultOf(dialling, CancelledError)
        return found

    def test_withoutAWorkerNothingIsDifferent(self) -> None:
        self.assertEqual(self.offered(), (b"bore/1",))

    def test_withOneItIsAmongTheProtocols(self) -> None:
        self.dialer.leadTo(3)
        self.assertEqual(self.offered(), (b"bore/1", b"bore-at/3"))
        self.dialer.leadTo(65535)
        self.assertEqual(self.offered(), (b"bore/1", b"bore-at/65535"))
        self.dialer.leadTo(0)
        self.assertEqual(self.offered(), (b"bore/1",))

    def test_theContextsAreTheSameForAllWorkers(self) -> None:
        contexts = self.trust.context, self.trust.repeated
        for worker in (1, 2):
            self.dialer.leadTo(worker)
            self.offered()
        self.assertEqual((self.trust.context, self.trust.repeated), contexts)
