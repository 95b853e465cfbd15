"""What /readyz answers."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from bore.status.health import clientReadiness, serverReadiness
from tests.status.reports import client, clientTunnel


class ReadinessTests(SynchronousTestCase):
    """200, or 503 with the reason."""

    def test_aServerIsReadyWhileItListensAndDoesNotStop(self) -> None:
        self.assertEqual(serverReadiness("running", True).code, 200)
        for answer, text in (
            (serverReadiness("running", False), b"does not listen"),
            (serverReadiness("draining", True), b"draining"),
            (serverReadiness("stopping", False), b"stopping"),
        ):
            assert isinstance(answer.body, bytes)
            self.assertEqual((answer.code, text in answer.body), (503, True))

    def test_aClientIsReadyWhileATunnelIsUp(self) -> None:
        self.assertEqual(clientReadiness(client(clientTunnel("a", "away"), clientTunnel("b"))).code, 200)
        for report, text in (
            (client(clientTunnel("a", "refused"), state="away"), b"the client is away"),
            (client(clientTunnel("a"), state="stopping"), b"stopping"),
            (client(), b"there are no tunnels"),
        ):
            answer = clientReadiness(report)
            assert isinstance(answer.body, bytes)
            self.assertEqual((answer.code, text in answer.body), (503, True))
