"""The worker of the server that has the session is told on further connections."""

from __future__ import annotations

from collections.abc import Callable

from bore.client.servers import Server
from bore.wire.errors import ProtocolViolation
from bore.wire.extension import Extended, Moved, Opened
from tests.client.case import ControlCase, FakeDialer


class HintTests(ControlCase):
    """A client with a server that has workers."""

    def setUp(self) -> None:
        super().setUp()
        self.dialers: list[FakeDialer] = []

        def dialer(server: Server, host: str, port: int, distrusted: Callable[[Exception], None]) -> FakeDialer:
            self.dialers.append(FakeDialer(self))
            return self.dialers[-1]

        self.patch(Server, "dialer", dialer)

    def test_theHintCountsFromTheAgreementOn(self) -> None:
        protocol, _ = self.connect()
        self.assertEqual(self.dialers[0].worker, 0)
        self.hear(protocol, Extended(1, hint=3))
        self.assertEqual(self.dialers[0].worker, 3)

    def test_withoutOneNoneIsShown(self) -> None:
        protocol, _ = self.connect()
        self.hear(protocol, Extended(1))
        self.assertEqual(self.dialers[0].worker, 0)

    def test_afterASessionWasMovedThatOfTheNewOneCounts(self) -> None:
        protocol, _ = self.connect()
        self.hear(protocol, Extended(1, hint=3), Opened(1, 20001, "t" * 16, 60), Moved(None))
        self.lose(protocol)
        again, _ = self.connect()
        self.hear(again, Extended(1, hint=4))
        self.assertEqual([each.worker for each in self.dialers], [3, 4])

    def test_aMalformedHintIsAMalformedMessageAndSaysWhy(self) -> None:
        for hint in (b'"bore-at/0"', b'"bore-at/65536"', b'"bore-at/x"', b'"3"', b"3", b'""', b"[]", b"true"):
            protocol, _ = self.connect()
            frame = b'{"Extended":{"version":1,"hint":%s}}\0' % hint
            protocol.dataReceived(frame)
            assert isinstance(self.link._why, ProtocolViolation), (hint, self.link._why)
            self.assertIn("not the hint of a worker from 1 to 65535", str(self.link._why))
            self.lose(protocol, ProtocolViolation())
            self.link._why = None
