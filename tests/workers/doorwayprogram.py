"""
A supervisor that has nothing but a doorway, and workers that close each connection when they have read from it::

    python -m tests.workers.doorwayprogram HOST PENDING DESCRIPTORS

PENDING and DESCRIPTORS are the limits on unclassified connections (0: none) and on descriptors. It prints its two
ports, without and with TLS, and for each line on its standard input how many connections it has, how many the workers
have, and how many each worker was sent.
"""

from __future__ import annotations

import resource
import socket
import sys
import time
from collections.abc import Sequence
from typing import cast

from twisted.internet import reactor as anyReactor
from twisted.internet.interfaces import IReadDescriptor
from twisted.internet.stdio import StandardIO
from twisted.protocols.basic import LineOnlyReceiver
from twisted.python.failure import Failure
from zope.interface import implementer

from bore.events import Sink
from bore.server.settings import Bounds
from bore.streams.addresses import sourceOf
from bore.streams.listener import bindSocket
from bore.streams.reactor import IReactor
from bore.wire.errors import Refusal
from bore.wire.workermessages import Connection, DropOldest, Pending, SupervisorMessage
from bore.workers.doorway import Doorway
from bore.workers.pending import ReportedConnections

reactor = cast(IReactor, anyReactor)


@implementer(IReadDescriptor)
class Answered:
    """A connection at a worker, which is closed when something has come on it, or nothing in time."""

    def __init__(self, worker: Worker, sock: socket.socket, source: str) -> None:
        self._worker = worker
        self._socket = sock
        sock.setblocking(False)
        worker.connections.add(self, source)
        reactor.addReader(self)

    def fileno(self) -> int:
        return self._socket.fileno()

    def logPrefix(self) -> str:
        return "Answered"

    def doRead(self) -> None:
        try:
            if self._socket.recv(1 << 16):
                self._socket.send(b"worker %d" % self._worker.number)
        except BlockingIOError:
            return
        except OSError:
            pass
        self._worker.connections.take(self)
        self.drop()

    def connectionLost(self, reason: Failure) -> None:
        self._worker.connections.take(self)
        self.drop()

    def refuse(self, refusal: Refusal) -> None:
        self.drop()

    def timedOut(self) -> bool:
        self.drop()
        return False

    def drop(self) -> None:
        reactor.removeReader(self)
        self._socket.close()


class Worker:
    """A worker in the same process, which reports in another turn."""

    takesSessions = serves = hasRoom = True

    def __init__(self, number: int) -> None:
        self.number = number
        self.seen = 0
        self._reports = False
        self.connections = ReportedConnections(reactor, Sink(), Bounds(), self._changed)

    def send(self, message: SupervisorMessage, descriptors: Sequence[int] = ()) -> None:
        match message:
            case Connection(_, peer):
                self.seen += 1
                sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 0, descriptors[0])
                Answered(self, sock, sourceOf(peer))
            case DropOldest(source):
                self.connections.dropOldest(source)
            case _:
                raise AssertionError(message)

    def _changed(self) -> None:
        if not self._reports:
            self._reports = True
            reactor.callLater(0, self._report)

    def _report(self) -> None:
        self._reports = False
        doorway.reported(self.number, Pending(self.seen, self.connections.takeChanges()))


class Asked(LineOnlyReceiver):
    """Answers questions on the standard input."""

    delimiter = b"\n"

    def lineReceived(self, line: bytes) -> None:
        there = doorway._pending.elsewhere
        print(doorway.count, there, *(each.seen for each in workers), flush=True)  # noqa: T201


reactor.seconds = time.monotonic  # type: ignore[method-assign]
host, most, descriptors = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))
workers = [Worker(1), Worker(2)]
bounds = Bounds(pending=most, pendingPerSource=most // 4)
doorway = Doorway(reactor, Sink(), bounds, lambda: workers, lambda source: False, False)
for encrypted in (False, True):
    port = bindSocket(host, 0)
    print(port.getsockname()[1], flush=True)  # noqa: T201
    doorway.listen(port, encrypted)
StandardIO(Asked())
reactor.run()  # type: ignore[attr-defined]
