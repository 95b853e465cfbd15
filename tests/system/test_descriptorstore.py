"""The descriptor store of the manager."""

from __future__ import annotations

import os
import socket

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from bore.system.descriptorstore import DescriptorStore, storeSize
from bore.system.notify import Notifier
from tests.manager import Store
from tests.support import temporaryFolder


class StoreTests(SynchronousTestCase):
    """What the manager has."""

    def setUp(self) -> None:
        self.manager = Store(temporaryFolder(self) / "notify")
        self.addCleanup(self.manager.close)
        self.clock = Clock()

    def store(self, *found: tuple[int, str], size: int = 9) -> DescriptorStore:
        self.notifier = Notifier(self.manager.path)
        self.addCleanup(self.notifier._socket.close)
        return DescriptorStore(self.clock, self.notifier, size, found)

    def fill(self) -> None:
        """Send notices until the manager has to read some of them first."""
        while self.notifier.send("X=1"):
            pass

    def names(self) -> list[str]:
        self.manager.read()
        return list(self.manager.names)

    def listening(self) -> socket.socket:
        sock = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(sock.close)
        return sock

    def test_whatIsKeptIsThereUntilItIsRemoved(self) -> None:
        store, one, two = self.store(), self.listening(), self.listening()
        self.assertTrue(store.keep("one", one.fileno()))
        self.assertTrue(store.keep("two", two.fileno()))
        self.assertEqual(self.names(), ["one", "two"])
        (fd,) = self.manager.names["two"]
        self.assertEqual(os.fstat(fd).st_ino, os.fstat(two.fileno()).st_ino)
        store.remove("one")
        store.remove("three")
        self.assertEqual(self.names(), ["two"])
        store.removeAll()
        self.assertEqual(self.names(), [])

    def test_aNameIsThatOfTheLastDescriptorThatWasKept(self) -> None:
        store, one, two = self.store(), self.listening(), self.listening()
        store.keep("name", one.fileno())
        store.keep("name", two.fileno())
        self.names()
        (fd,) = self.manager.names["name"]
        self.assertEqual(os.fstat(fd).st_ino, os.fstat(two.fileno()).st_ino)

    def test_noMoreAreKeptThanItTakes(self) -> None:
        store, one = self.store(size=2), self.listening()
        self.assertEqual([store.keep(name, one.fileno()) for name in ("a", "b", "c", "a")], [True, True, False, True])
        store.remove("a")
        self.assertTrue(store.keep("c", one.fileno()))

    def test_whatIsFoundIsTakenOrDiscarded(self) -> None:
        one, two = self.listening(), self.listening()
        for name, each in (("one", one), ("two", two)):
            self.manager.put(name, os.dup(each.fileno()))
        port = two.getsockname()[1]
        two.close()
        first = self.manager.names["one"][0]
        store = self.store((os.dup(first), "one"), (os.dup(self.manager.names["two"][0]), "two"))
        fd = store.take("one")
        assert fd is not None
        os.close(fd)
        self.assertIsNone(store.take("one"))
        self.assertEqual(store.discard(), 1)
        self.assertEqual(self.names(), ["one"])
        socket.create_server(("127.0.0.1", port)).close()

    def test_anAddressIsFreeAtOnceThoughTheManagerHasNotReadYet(self) -> None:
        one = self.listening()
        port = one.getsockname()[1]
        self.manager.put("one", os.dup(one.fileno()))
        store = self.store((one.detach(), "one"))
        self.assertRaises(OSError, socket.create_server, ("127.0.0.1", port))
        store.discard()
        socket.create_server(("127.0.0.1", port)).close()

    def test_ofSeveralWithOneNameNoneIsTaken(self) -> None:
        store = self.store((self.listening().detach(), "a"), (self.listening().detach(), "a"))
        self.assertIsNone(store.take("a"))
        self.assertEqual(store.discard(), 2)

    def test_whatTheManagerHasNotTakenIsSentAgainInOrder(self) -> None:
        sockets = [self.listening() for _ in range(3)]
        store = self.store(size=5000)
        self.fill()
        store.keep("a", sockets[0].fileno())
        store.keep("b", sockets[1].fileno())
        store.remove("b")
        store.keep("a", sockets[2].fileno())
        self.assertEqual(self.names(), [])
        self.clock.advance(0.1)
        self.assertEqual(self.names(), ["a"])
        (fd,) = self.manager.names["a"]
        self.assertEqual(os.fstat(fd).st_ino, os.fstat(sockets[2].fileno()).st_ino)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_aNameThatIsUsedAgainMeanwhileHasOneDescriptor(self) -> None:
        sockets = [self.listening() for _ in range(2)]
        store = self.store()
        store.keep("a", sockets[0].fileno())
        self.assertEqual(self.names(), ["a"])
        self.fill()
        store.remove("a")
        store.keep("a", sockets[1].fileno())
        self.names()
        self.clock.advance(0.1)
        self.names()
        (fd,) = self.manager.names["a"]
        self.assertEqual(os.fstat(fd).st_ino, os.fstat(sockets[1].fileno()).st_ino)

    def test_oneThatIsClosedChangesNothingAnyMore(self) -> None:
        store, one = self.store(), self.listening()
        store.keep("one", one.fileno())
        store.close()
        store.remove("one")
        self.assertFalse(store.keep("two", one.fileno()))
        store.removeAll()
        self.assertEqual(self.names(), ["one"])

    def test_theSizeIsANumberInTheEnvironment(self) -> None:
        found = [storeSize({"FDSTORE": each}) for each in ("0", "512", "", "-1", "many", "9" * 20)]
        self.assertEqual([storeSize({}), *found], [0, 0, 512, 0, 0, 0, 0])
