"""What the tests of lanes with processes share."""

from __future__ import annotations

import re
import sys

from tests.processes.case import ProcessCase, count
from tests.support import (
    Program,
    eventually,
    temporaryFolder,
)

if sys.platform != "linux":
    from twisted.trial.unittest import SkipTest

    raise SkipTest("there are no lanes on this system")


DEBUG = ("--log-level", "debug")


#: Enough for bulk to be bulk, and for a socket's buffers to be full at times.
BIG = 32 << 20


def used(program: Program) -> list[str]:
    """The lanes that the visitors were on, in order, from the log of a server or a client with --log-level debug."""
    return re.findall(r"visitor \S+ (?:is )?on lane (\d+)", "\n".join(program.err))


def opened(program: Program) -> int:
    """How many lanes were opened."""
    return count(program, " opened") - count(program, "opened for")


def lost(program: Program) -> int:
    """How many lanes are gone."""
    return len(re.findall(r"lane \d+ is gone", "\n".join(program.err)))


class LaneCase(ProcessCase):
    """A server and a client, and lanes between them."""

    def startBoth(self, *words: str, server: tuple[str, ...] = ()) -> int:
        """Start both; return the public port when the lanes are there."""
        self.bore, self.control = self.server(*DEBUG, *server)
        self.home = temporaryFolder(self)
        self.local, port = self.client(self.control, *DEBUG, *words, home=self.home)
        if "--lanes" not in words:
            self.haveLanes(4)
        return port

    def haveLanes(self, number: int, since: int = 0) -> None:
        """Wait until that many lanes have reached the server."""
        eventually(lambda: opened(self.bore) >= since + number, "the lanes are there")

    def assertUsed(self, visitors: int) -> list[str]:
        """Lanes had this many visitors, as the server's log says soon; return the lane of each."""
        eventually(lambda: len(used(self.bore)) >= visitors, "all are in the log")
        lanes = used(self.bore)
        self.assertEqual(len(lanes), visitors)
        return lanes

    def assertServed(self, port: int, times: int) -> None:
        for n in range(times):
            question = b"question %d" % n
            self.assertEqual(self.ask(port, question), question)

    def assertNothingSaid(self) -> None:
        """Neither side has complained of anything."""
        for program in (self.bore, self.local):
            said = [line for line in program.err if not re.match(r"\S+ \S+ (info|debug) ", line)]
            self.assertEqual(said, [])
