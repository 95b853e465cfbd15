"""What a process that forks must not share with its child."""

from __future__ import annotations

import os
from unittest import skipUnless

from twisted.trial.unittest import SynchronousTestCase

from bore.server.visitorids import newId


class ForkTests(SynchronousTestCase):
    """Random bits that were drawn ahead are used by one process only."""

    @skipUnless(hasattr(os, "fork"), "only on POSIX")
    def test_noIdOfAVisitorComesInBothProcesses(self) -> None:
        newId()
        reader, writer = os.pipe()
        child = os.fork()
        if not child:
            os.write(writer, newId().encode())
            os._exit(0)
        os.close(writer)
        with os.fdopen(reader) as output:
            childs = output.read()
        os.waitpid(child, 0)
        ours = [newId() for _ in range(200)]
        self.assertEqual(len(childs), len(ours[0]))
        self.assertNotIn(childs, ours)
