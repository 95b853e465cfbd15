"""What /readyz answers."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from bore.status.health import clientReadiness, serverReadiness


class ReadinessTests(SynchronousTestCase):
    """200, or 503 with the reason."""

    def test_aServerIsReadyWhileItListensAndDoesNotStop(self) -> None:
        self.assertEqual(serverReadiness("running", True).code, 200)
        for answer, text in (
            (serverReadiness("running", False), b"does not listen"),
            (serverReadiness("running", True, False), b"not joined its cluster"),
            (serverReadiness("draining", True), b"draining"),
            (serverReadiness("stopping", False), b"stopping"),
        ):
            assert isinstance(answer.body, bytes)
            self.assertEqual((answer.code, text in answer.body), (503, True))

    def test_aClientIsReadyWhileATunnelIsUp(self) -> None:
        for state in ("up", "partly"):
            self.assertEqual(clientReadiness(state, True).code, 200)
        for answer, text in (
            (clientReadiness("away", True), b"the client is away"),
            (clientReadiness("stopping", True), b"stopping"),
            (clientReadiness("away", False), b"there are no tunnels"),
        ):
            assert isinstance(answer.body, bytes)
            self.assertEqual((answer.code, text in answer.body), (503, True))
