"""Keys of a pseudo-terminal."""

from __future__ import annotations

import os
import pty
import termios
from typing import Any, cast

from twisted.internet.interfaces import IReactorFDSet, IReadDescriptor
from twisted.internet.main import CONNECTION_LOST
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from bore.screen.keys import Keys, isForeground


class FakeReactor:
    """Keeps what is to be read from."""

    def __init__(self) -> None:
        self.readers: set[IReadDescriptor] = set()

    def addReader(self, reader: IReadDescriptor) -> None:
        self.readers.add(reader)

    def removeReader(self, reader: IReadDescriptor) -> None:
        self.readers.discard(reader)


class KeysTests(SynchronousTestCase):
    """Keys. The pseudo-terminal controls no process, so that the test is in its foreground."""

    def setUp(self) -> None:
        self.master, self.slave = pty.openpty()
        for fd in (self.master, self.slave):
            self.addCleanup(os.close, fd)
        self.reactor = FakeReactor()
        self.keys = Keys(cast(IReactorFDSet, self.reactor), self.slave)
        self.pressed: list[bytes] = []
        self.former = self.settings()

    def settings(self) -> list[Any]:
        return termios.tcgetattr(self.slave)

    def begin(self) -> None:
        self.keys.begin(self.pressed.append)

    def test_itIsADescriptorToReadFrom(self) -> None:
        verifyObject(IReadDescriptor, self.keys)
        self.assertEqual((self.keys.fileno(), self.keys.logPrefix()), (self.slave, "keys"))

    def test_keysComeAtOnceAndAreNotShown(self) -> None:
        self.begin()
        self.assertEqual(self.reactor.readers, {self.keys})
        os.write(self.master, b"q")
        self.keys.doRead()
        os.write(self.master, b"\r")
        self.keys.doRead()
        self.assertEqual(self.pressed, [b"q", b"\n"])
        os.set_blocking(self.master, False)
        self.assertRaises(BlockingIOError, os.read, self.master, 1)

    def test_signalsAreStillSentByKeys(self) -> None:
        self.begin()
        self.assertTrue(self.settings()[3] & termios.ISIG)

    def test_theEndRestoresTheTerminal(self) -> None:
        self.begin()
        self.assertNotEqual(self.settings(), self.former)
        self.keys.end()
        self.assertEqual((self.settings(), self.reactor.readers), (self.former, set()))
        self.keys.end()
        self.assertEqual(self.settings(), self.former)

    def test_itCanBeginAgainAndWhatAShellHasRestoredIsChangedAgain(self) -> None:
        self.begin()
        changed = self.settings()
        self.begin()
        self.assertEqual(self.settings(), changed)
        termios.tcsetattr(self.slave, termios.TCSANOW, self.former)
        self.begin()
        self.assertEqual(self.settings(), changed)
        self.keys.end()
        self.assertEqual(self.settings(), self.former)

    def test_aReadNeverBlocks(self) -> None:
        self.begin()
        self.keys.doRead()
        self.assertEqual((self.pressed, self.reactor.readers), ([], set()))
        self.begin()
        self.assertEqual(self.reactor.readers, {self.keys})

    def test_aTerminalThatIsGoneIsNoFault(self) -> None:
        gone = Keys(cast(IReactorFDSet, self.reactor), os.open(os.devnull, os.O_RDONLY))
        self.addCleanup(os.close, gone.fileno())
        gone.begin(self.pressed.append)
        gone.end()
        self.begin()
        self.keys.connectionLost(Failure(CONNECTION_LOST))
        self.keys.end()
        self.assertEqual(self.reactor.readers, set())

    def test_whatIsNoTerminalHasNoForeground(self) -> None:
        reader, writer = os.pipe()
        self.addCleanup(os.close, reader)
        self.addCleanup(os.close, writer)
        self.assertFalse(isForeground(reader))
        self.assertTrue(isForeground(self.slave))
