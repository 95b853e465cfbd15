"""A network that goes silent: nobody is told anything."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.lab.measure import secondsUntil
from tests.lab.pairings import FROM_ORIGINAL, Site


class OriginalTests(SynchronousTestCase):
    """What our server does for an original client."""

    def test_aVanishedOriginalClientLosesItsPort(self) -> None:
        with Site(FROM_ORIGINAL, "vanished") as site:
            port = site.start()
            site.link.silence()
            free = secondsUntil(lambda: site.lab.isClosed("visitor", site.host, port), 30, 0.2)
            assert free is not None
            self.assertLess(free, 15)
