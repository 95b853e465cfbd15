"""Whether a client lives: what the watchdog of a service manager is fed by."""

from __future__ import annotations

from typing import cast

from twisted.internet.interfaces import IDelayedCall

from bore.client.links import Links
from bore.client.silence import Silence
from bore.streams.reactor import IReactor
from tests.client.case import ControlCase


class AliveTests(ControlCase):
    """A link."""

    def test_itLivesAsLongAsItNoticesThatItsServerIsSilent(self) -> None:
        protocol, _ = self.connect()
        self.assertTrue(self.link.alive)
        assert isinstance(protocol.silence, Silence)
        protocol.silence.stop()
        self.assertFalse(self.link.alive)

    def test_itLivesUntilTheTimerOfTheNextAttemptIsGone(self) -> None:
        protocol, _ = self.connect()
        self.lose(protocol)
        self.assertTrue(self.link.alive)
        cast(IDelayedCall, self.factory._callID).cancel()
        self.assertFalse(self.link.alive)

    def test_anAttemptThatHasFailedIsFollowedByTheTimer(self) -> None:
        self.assertFalse(self.link.alive)  # it was never started
        self.refuseConnection()
        self.assertTrue(self.link.alive)

    def test_oneThatWasStoppedNeedsNothing(self) -> None:
        self.link.stop()
        self.assertTrue(self.link.alive)

    def test_withoutTunnelsThereIsNothingToBeDone(self) -> None:
        links = Links(cast(IReactor, self.reactor), self.link.settings, self.link.visitors, lambda tunnel, why: None)
        self.assertTrue(links.alive)
        self.assertEqual(links.all(), [])
