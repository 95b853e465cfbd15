"""The public addresses that a service manager keeps, and who gets them back."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import Any

from bore.server.users import User
from bore.streams.listener import bindSocket
from bore.system.records import Records
from bore.wire.publicaddress import UnixPath
from bore.wire.token import digest
from tests.ports import freePort
from tests.server.keptcase import HOST, KeptSocketsCase, Process
from tests.support import isOpen, temporaryFolder

TOKEN = digest("a token")


class PublicAddressTests(KeptSocketsCase):
    """Public addresses, and who gets them back."""

    def setUp(self) -> None:
        super().setUp()
        self.process: Process | None = None

    def next(self, size: int = 99, **changed: Any) -> Process:
        """The next process; the one before is killed."""
        self.read()
        if self.process is not None:
            for each in self.process.custody.held():
                each.place.socket.close()
        for call in self.clock.getDelayedCalls():
            call.cancel()
        self.process = Process(self, self.begin(size, **changed))
        return self.process

    def port(self) -> int:
        return freePort(HOST)

    def test_theOneWithTheTokenGetsItBackWithThoseWhoWait(self) -> None:
        port = self.port()
        token = self.next().open(port).grant.token
        process = self.next()
        self.assertEqual(process.kept.count, 1)
        with socket.create_connection((HOST, port)) as visitor:
            process.refuses(port)
            process.refuses(port, "another token")
            process.refuses(port, token, User("alice"))
            opened = process.open(0, token)
            self.assertTrue(opened.resumed)
            accepted, address = process.places[port].socket.accept()
            accepted.close()
            self.assertEqual(address, visitor.getsockname())
        self.assertEqual(self.next().open(port, opened.grant.token).grant.address, port)

    def test_bothTokensOfAClientAreGoodUntilItHasConfirmedTheSecond(self) -> None:
        port = self.port()
        first = self.next().open(port).grant
        second = self.next().open(port, first.token).grant
        third = self.next().open(port, first.token).grant  # it has not got the second one
        self.next().refuses(port, second.token)
        process = self.next()
        fourth = process.open(port, third.token).grant
        process.share.confirm(fourth)
        self.next().refuses(port, third.token)
        self.assertEqual(self.next().open(port, fourth.token).grant.address, port)

    def test_aPortIsFreeWhenTheLeaseIsOver(self) -> None:
        port = self.port()
        self.next().open(port)
        process = self.next()
        self.clock.advance(59)
        process.refuses(port)
        self.assertTrue(isOpen(HOST, port))
        self.clock.advance(2)
        self.assertFalse(isOpen(HOST, port))
        self.assertEqual(process.open(port).grant.address, port)

    def test_oneThatIsClosedIsNotKeptAndCanBeBoundAtOnce(self) -> None:
        port, process = self.port(), self.next()
        process.close(process.open(port))
        opened = process.open(port)  # the manager has read nothing yet
        self.assertEqual(self.names(), [f"txbore.{port}", "txbore.state"])
        process.close(opened)
        self.assertEqual(self.names(), ["txbore.state"])
        self.assertEqual(self.next().kept.count, 0)

    def test_numbersOfRecordsAreUsedAgain(self) -> None:
        process, ports = self.next(), [self.port() for _ in range(4)]
        for nth in (1, 1, 2):
            opened = [process.open(port) for port in ports]
            for each in opened[::nth]:
                process.close(each)
        self.read()
        (fd,) = self.manager.names["txbore.state"]
        self.assertEqual(sum(1 for _ in Records(fd).read()), 3)
        self.assertLess(os.fstat(fd).st_size, 6 * 1024)
        self.assertEqual(self.next().kept.count, 2)

    def test_onesOutsideTheSettingsAreClosed(self) -> None:
        usual: dict[str, Any] = {"minPort": 1024, "maxPort": 65535, "bindTunnels": HOST, "lease": 60}
        for changed in ({"minPort": 2, "maxPort": 3}, {"bindTunnels": "127.0.0.3"}, {"lease": 0}):
            port = self.port()
            self.next(**usual).open(port)
            self.assertEqual(self.next(**(usual | changed)).kept.count, 0, changed)
            self.assertEqual(self.names(), ["txbore.state"])
            self.assertFalse(isOpen(HOST, port))

    def test_withoutALeaseNothingIsKept(self) -> None:
        self.next(lease=0).open(self.port())
        self.assertEqual(self.names(), ["txbore.state"])

    def test_noMoreThanTheManagerTakesAreKept(self) -> None:
        process, ports = self.next(size=3), [self.port() for _ in range(3)]
        opened = [process.open(port) for port in ports]
        process.close(opened[2])  # which was not kept
        process.close(opened[0])
        process.open(ports[2])
        self.next()
        self.assertEqual(self.names(), sorted([*(f"txbore.{port}" for port in ports[1:]), "txbore.state"]))

    def test_oneWhoseClientCannotComeBackGoesToWhoeverAsksForIt(self) -> None:
        process, port, other = self.next(), self.port(), self.port()
        for each in (port, other):
            process.open(each, lasting=False)
        process = self.next(minPort=port, maxPort=port)
        self.assertEqual(process.kept.count, 0)
        with socket.create_connection((HOST, port)):
            opened = process.open(port)
            process.places[port].socket.accept()[0].close()
        process.close(opened)

    def test_untilThenItIsNotGivenToOneThatWantsAnyPort(self) -> None:
        port = self.port()
        self.next().open(port, lasting=False)
        process = self.next(minPort=port - 50, maxPort=port + 50)
        for _ in range(20):
            self.assertNotEqual(process.open(0).grant.address, port)
        self.clock.advance(11)
        self.assertFalse(isOpen(HOST, port))
        self.assertEqual(process.open(port).grant.address, port)

    def test_aUnixSocketIsKeptAsLongAsItsFileIsThere(self) -> None:
        folder = temporaryFolder(self)
        path = UnixPath(str(folder / "web: ä.sock"))
        token = self.next(unixFolders=(str(folder),)).open(path).grant.token
        process = self.next()
        self.assertTrue(isOpen("", path))
        opened = process.open(path, token)
        token = opened.grant.token
        Path(path.path).rename(path.path + ".old")
        Path(path.path).touch()
        process = self.next()
        self.assertEqual(process.kept.count, 0)
        self.assertEqual(self.names(), ["txbore.state"])
        Path(path.path).unlink()
        process.close(process.open(path, token))
        self.assertFalse(Path(path.path).exists())
        process.open(path)
        process = self.next()
        self.clock.advance(61)
        self.assertFalse(Path(path.path).exists())

    def test_recordsThatAreWrongAreIgnored(self) -> None:
        good = {"file": None, "user": "", "source": "", "tokens": [TOKEN.hex()]}
        for wrong in (
            {"tokens": ["xyz"]},
            {"tokens": 7},
            {"address": "relative"},
            {"address": True},
            {"address": 70000},
            {"file": [1, 2]},
            {"user": 7},
            {"source": None},
        ):
            sock = bindSocket(HOST, 0)
            port = sock.getsockname()[1]
            records = Records()
            records.write(0, b'{"records":"txbore public addresses","version":1}')
            records.write(1, json.dumps({"address": port} | good | wrong).encode())
            records.write(2, b"[")
            self.manager.replace("txbore.state", records.descriptor)
            self.manager.put(f"txbore.{port}", sock.detach())
            self.assertEqual(self.next().kept.count, 0, wrong)
            self.assertEqual(self.names(), ["txbore.state"])
            self.assertFalse(isOpen(HOST, port))
        records = Records()
        records.write(0, b'{"records":"txbore public addresses","version":2}')
        self.manager.replace("txbore.state", records.descriptor)
        self.assertEqual(self.next().kept.count, 0)

    def test_anEndInOrderLeavesThemToTheNextProcess(self) -> None:
        process, port, away = self.next(), self.port(), self.port()
        process.open(away)
        process = self.next()
        opened = process.open(port)
        process.kept.leave(forNext=True)
        process.close(opened)
        process.share.close()
        self.assertTrue(isOpen(HOST, port))
        self.assertTrue(isOpen(HOST, away))
        self.assertEqual(self.next().kept.count, 2)

    def test_oneThatTakesItsTimeToEndLeavesNothing(self) -> None:
        process, port = self.next(), self.port()
        process.open(port)
        process.kept.leave(forNext=False)
        process.share.close()
        self.assertEqual(self.names(), [])
        self.assertFalse(isOpen(HOST, port))
