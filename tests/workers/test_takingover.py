"""A server that takes over from another process, and cannot."""

from __future__ import annotations

import errno
import json
import os
import socket
import subprocess
import sys
from typing import Any, cast

from bore.commandline import NotPossible
from bore.inheritance import Inheritance
from bore.serverhandover import TakingOver
from bore.serverprogram import _takingOver
from bore.startup import IProgramReactor
from bore.streams.descriptorframes import DescriptorFrames
from bore.wire.takeovermessages import MAX_TAKEOVER_FRAME
from tests.tunnelscase import TunnelsCase
from tests.workers.supervised import REACTOR

NOTHING = json.dumps({"version": 1, "epoch": 0, "addresses": []})


class TakingOverTests(TunnelsCase):
    def inheritance(self, pid: int) -> tuple[Inheritance, socket.socket]:
        """What a process has given, and its end of the connection."""
        theirs, ours = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        found = Inheritance(pid, ours, state=NOTHING)
        for each in (theirs, ours, found.channel, found._theirs):
            self.addCleanup(each.close)
        return found, theirs

    async def test_oneThatHasEndedMeanwhile(self) -> None:
        ended = subprocess.Popen([sys.executable, "-c", ""])
        ended.wait()
        found, _ = self.inheritance(ended.pid)
        why = f"cannot follow the running server, process {ended.pid}: no such process"
        with self.assertRaisesRegex(NotPossible, why):
            _takingOver(cast(IProgramReactor, REACTOR), self.serverSink(), self.server(), found, 10)

    async def test_withoutADescriptorTheOtherOneDoesNotRetire(self) -> None:
        found, theirs = self.inheritance(os.getpid())
        taking = TakingOver(cast(IProgramReactor, REACTOR), self.serverSink(), self.server(), found, 10)
        self.addCleanup(taking.predecessor._end)

        def none(*_: Any) -> int:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

        patch = self.patch(os, "open", none)
        self.assertRaises(OSError, taking.begin)
        patch.restore()
        theirs.setblocking(False)
        with self.assertRaises(BlockingIOError):
            DescriptorFrames(MAX_TAKEOVER_FRAME).receiveFrom(theirs)
