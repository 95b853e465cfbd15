"""The help of commands that have commands of their own."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from bore.options import serverkey, servicecommands, usercommands


class UsageTextTests(SynchronousTestCase):
    """Their lines."""

    def test_theyFitIntoATerminalOfTheUsualWidth(self) -> None:
        for text in (serverkey.USAGE_TEXT, servicecommands.USAGE_TEXT, usercommands.USAGE_TEXT):
            for line in text.splitlines():
                self.assertLessEqual(len(line), 80, line)
