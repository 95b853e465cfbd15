"""What a new process receives from the server that it takes over from."""

from __future__ import annotations

import os
import resource
import socket
from collections.abc import Sequence

from twisted.trial.unittest import SynchronousTestCase

from bore.inheritance import Inheritance, receive
from bore.streams.descriptorframes import joined
from bore.wire import takeovermessages
from bore.wire.errors import WireError
from bore.wire.takeovermessages import ControlPort, Descriptors, Everything, State, TakeOverMessage


class Case(SynchronousTestCase):
    """A process that takes over, and what is sent to it."""

    def setUp(self) -> None:
        self.theirs, ours = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self.found = Inheritance(os.getpid(), ours)
        for each in (self.theirs, ours, self.found.channel, self.found._theirs):
            self.addCleanup(each.close)

    def send(self, *messages: tuple[TakeOverMessage, Sequence[int]]) -> None:
        """Send messages with copies of descriptors."""
        data, descriptors = joined([(takeovermessages.encode(each), tuple(some)) for each, some in messages])
        socket.send_fds(self.theirs, [data], descriptors)

    def thing(self) -> int:
        thing = os.memfd_create("thing")
        self.addCleanup(os.close, thing)
        return thing

    def test_everything(self) -> None:
        with socket.socket() as port:
            self.send((ControlPort(True), [port.fileno()]), (State("{"), ()))
            things = [self.thing() for _ in range(3)]
            self.send((Descriptors(3), things), (State("}"), ()), (Everything(), ()))
            receive(self.found)
            ((sock, encrypted),) = self.found.control
            with sock:
                self.assertEqual((os.path.sameopenfile(sock.fileno(), port.fileno()), encrypted), (True, True))
        self.assertEqual(self.found.state, "{}")
        for thing, received in zip(things, self.found.descriptors, strict=True):
            self.assertEqual((os.path.sameopenfile(thing, received), os.get_inheritable(received)), (True, False))
            os.close(received)

    def test_theOtherProcessHasEndedBefore(self) -> None:
        self.send((State("{}"), ()))
        self.theirs.close()
        with self.assertRaisesRegex(OSError, "it has ended"):
            receive(self.found)

    def test_thereIsNoRoomForADescriptor(self) -> None:
        thing = self.thing()
        self.send((Descriptors(1), [thing]), (Everything(), ()))
        _, hard = limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, limits)
        free = os.dup(thing)
        os.close(free)
        resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
        with self.assertRaisesRegex(OSError, "may not have so many descriptors"):
            receive(self.found)

    def test_descriptorsThatAMessageDoesNotHave(self) -> None:
        for kind, count in ((State("{}"), 1), (ControlPort(False), 0)):
            self.send((kind, [self.thing() for _ in range(count)]))
            with self.assertRaisesRegex(OSError, f"with a wrong number of descriptors, {count}"):
                receive(self.found)

    def test_somethingElse(self) -> None:
        self.theirs.sendall(b"GET / HTTP/1.1\0")
        self.assertRaises(WireError, receive, self.found)
