"""A network that goes silent without an error."""

from __future__ import annotations

import contextlib
import time

import pytest
from twisted.trial.unittest import SynchronousTestCase

from laboratory.measure import secondsUntil
from laboratory.pairings import FROM_ORIGINAL, SERVICE_PORT, Site
from laboratory.silences import SlowLink
from tests.laboratory.slack import Slack
from tests.original import original
from tests.support import Program


@pytest.mark.timeout(240)
class OriginalTests(SynchronousTestCase):
    """What our server does for an original client."""

    def ask(self, site: Site, port: int) -> Program:
        """Start another original client that asks for a port."""
        words = ("local", str(SERVICE_PORT), "--local-host", "127.0.0.1", "--to", site.host, "--port", str(port))
        return site.lab.start("visitor", original(), *words)

    def test_oneThatHasVanishedGivesItsPortToTheNextOneThatAsks(self) -> None:
        with Site(FROM_ORIGINAL, "vanished") as site:
            port = site.start()
            begin = time.monotonic()
            site.link.silence()
            refused = self.ask(site, port)
            self.assertEqual(refused.wait(), 1, "it may be there yet")
            self.assertIn("port already in use", refused.transcript())

            def isGiven() -> bool:
                another = self.ask(site, port)
                with contextlib.suppress(AssertionError):  # it has ended
                    another.waitFor("listening at")
                return another.process.poll() is None

            self.assertIsNotNone(secondsUntil(isGiven, 30, 0.5), site.lab.transcript())
            self.assertGreater(time.monotonic() - begin, 9)


@pytest.mark.timeout(240)
class SlowLinkTests(SynchronousTestCase):
    """A slow link with a long queue, on which everything takes half a minute."""

    def test_anOriginalClientKeepsItsSessionAndItsStreams(self) -> None:
        with Slack() as slack:
            outcome = SlowLink(seconds=20).measure(FROM_ORIGINAL, slack)
        said = "\n".join([*(text for text, _ in outcome.findings), outcome.transcript])
        self.assertEqual(outcome.broken, [], said)
