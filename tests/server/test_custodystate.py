"""The next process goes on with what custody holds."""

from __future__ import annotations

import json
import os
import socket
from typing import Any, cast

from twisted.internet.defer import Deferred

from bore.events import Sink
from bore.server.custody import HAND_OVER_TIMEOUT
from bore.server.custodystate import BadState, adopt, check, export
from bore.server.localcustody import LocalCustody
from bore.server.places import Places
from bore.server.registry import LocalRegistry
from bore.server.settings import ServerSettings
from bore.streams.reactor import IReactor
from bore.wire.errors import PortInUse
from bore.wire.publicaddress import UnixPath
from bore.wire.token import digest
from tests.ports import freePort
from tests.server.custodycase import LEASE, CustodyCase, FakeHolder
from tests.support import isOpen, temporaryFolder


class StateCase(CustodyCase):
    """A process that is followed by another one."""

    def settled(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self.custody.settled())

    def exported(self) -> tuple[dict[str, Any], list[int]]:
        """The state as the next process gets it, and copies of the descriptors."""
        self.successResultOf(self.settled())
        numbers = {holder: number for number, holder in enumerate((self.a, self.b, self.c))}
        state, descriptors = export(self.custody, self.registry, lambda each: numbers[cast(FakeHolder, each)])
        return json.loads(json.dumps(state)), [os.dup(each) for each in descriptors]

    def upgrade(self, state: dict[str, Any], descriptors: list[int], alive: int = 3) -> None:
        """
        Go on in the next process.

        :param alive: how many of the holders there are still.
        """
        for held in self.custody.held():
            held.place.socket.close()
            for visitor in held.waiting:
                visitor.socket.close()
        self.registry.close()
        clock = cast(IReactor, self.reactor)
        places = Places(clock, self.settings)
        self.registry = LocalRegistry(clock, self.lease)
        sink = Sink()
        sink.subscribe(self.events.append)
        self.custody = LocalCustody(clock, sink, self.settings, self.registry, places)
        for holder in (self.a, self.b, self.c):
            holder.share = self.custody.forHolder(holder)
        holders = dict(list(enumerate((self.a, self.b, self.c)))[:alive])
        adopt(self.custody, self.registry, places, state, descriptors, holders)


class UpgradeTests(StateCase):
    """What was held before is held afterwards."""

    def test_aTunnelStaysWithItsHolder(self) -> None:
        opened = self.open(self.a)
        self.upgrade(*self.exported())
        self.assertTrue(isOpen(self.host, self.port))
        self.failureResultOf(self.ask(self.b), PortInUse)
        back = self.open(self.a, self.wish(opened.grant.token))
        self.assertEqual((back.place, back.resumed), (None, True))
        self.assertGreater(back.grant.epoch, opened.grant.epoch)

    def test_itMovesToAnotherOne(self) -> None:
        opened = self.open(self.a)
        self.upgrade(*self.exported())
        back = self.open(self.b, self.wish(opened.grant.token))
        self.assertEqual(self.a.done, [("handOver", self.port)])
        assert back.place is not None
        with socket.create_connection((self.host, self.port)):
            back.place.socket.accept()[0].close()

    def test_itIsGivenBack(self) -> None:
        self.open(self.a)
        self.upgrade(*self.exported())
        self.a.giveBack(self.port)
        self.assertEqual((len(self.custody), len(self.registry)), (0, 0))
        self.assertFalse(isOpen(self.host, self.port))

    def test_thereAreNoTokensInTheState(self) -> None:
        opened = self.open(self.a)
        state, descriptors = self.exported()
        self.assertNotIn(opened.grant.token, json.dumps(state))
        self.upgrade(state, descriptors)

    def test_aTokenThatTheClientMayNotHaveIsValidBesideTheFormerOne(self) -> None:
        first = self.open(self.a)
        second = self.open(self.a, self.wish(first.grant.token))
        self.upgrade(*self.exported())
        tokens = [digest(each.grant.token) for each in (second, first)]
        self.assertEqual(list(self.registry.digests(self.port)), tokens)
        self.assertTrue(self.open(self.b, self.wish(first.grant.token)).resumed)

    def test_aTokenThatIsConfirmedAfterwardsMakesTheFormerOneVoid(self) -> None:
        first = self.open(self.a)
        second = self.open(self.a, self.wish(first.grant.token))
        self.upgrade(*self.exported())
        self.a.share.confirm(cast("Any", self.custody.grant(self.port, second.grant.epoch)))
        self.failureResultOf(self.ask(self.b, self.wish(first.grant.token)), PortInUse)
        self.assertTrue(self.open(self.b, self.wish(second.grant.token)).resumed)

    def test_aLeaseGoesOn(self) -> None:
        self.open(self.a)
        self.a.lose(self.port)
        self.reactor.pump([1.0] * (LEASE - 10))
        self.upgrade(*self.exported())
        self.reactor.pump([1.0] * 9)
        self.assertTrue(isOpen(self.host, self.port))
        self.reactor.advance(1.0)
        self.assertEqual(self.a.done, [("expired", self.port)])
        self.assertFalse(isOpen(self.host, self.port))

    def test_leasesEndInTheirOrder(self) -> None:
        ports = [freePort(self.host) for _ in range(3)]
        for port in ports:
            self.open(self.a, self.wish(address=port))
        for port in reversed(ports):
            self.a.lose(port)
            self.reactor.advance(1.0)
        self.upgrade(*self.exported())
        self.reactor.pump([0.5] * (2 * LEASE))
        self.assertEqual(self.a.done, [("expired", port) for port in reversed(ports)])

    def test_visitorsThatWaitForAHolderWaitOn(self) -> None:
        opened = self.open(self.a)
        self.a.slow = True
        visitor, _ = self.visit(self.a, b"early")
        lost = self.ask(self.b, self.wish(opened.grant.token))
        self.b.die(self.custody)
        self.a.answer()
        self.failureResultOf(lost)
        self.b = FakeHolder(self.custody)
        self.upgrade(*self.exported())
        [waiting] = self.open(self.c, self.wish(opened.grant.token)).waiting
        self.assertEqual((waiting.address, waiting.early, waiting.age), (("192.0.2.7", 4711), b"early", 1.0))
        waiting.socket.sendall(b"answer")
        self.assertEqual(visitor.recv(6), b"answer")

    def test_aHolderThatHasDiedMeanwhileLeavesItsTunnels(self) -> None:
        opened = self.open(self.c)
        other = self.open(self.c, self.wish(address=freePort(self.host), lasting=False))
        state, descriptors = self.exported()
        self.c.has.clear()
        self.c.visitors.clear()
        self.upgrade(state, descriptors, alive=2)
        self.assertFalse(isOpen(self.host, other.grant.address))
        self.assertTrue(self.open(self.a, self.wish(opened.grant.token)).resumed)

    def test_theFileOfAUnixSocketIsRemovedAtItsEnd(self) -> None:
        folder = temporaryFolder(self)
        self.custody.apply(ServerSettings(unixFolders=(str(folder),)))
        path = UnixPath(str(folder / "web.sock"))
        self.open(self.a, self.wish(address=path))
        self.upgrade(*self.exported())
        self.assertTrue(isOpen("", path))
        self.a.giveBack(path)
        self.assertEqual(list(folder.iterdir()), [])

    def test_aUnixSocketWithoutItsFileStays(self) -> None:
        folder = temporaryFolder(self)
        self.custody.apply(ServerSettings(unixFolders=(str(folder),)))
        path = UnixPath(str(folder / "web.sock"))
        self.open(self.a, self.wish(address=path))
        state, descriptors = self.exported()
        (folder / "web.sock").unlink()
        self.upgrade(state, descriptors)
        self.a.giveBack(path)

    def test_anUpgradeAfterTheNextOneIsTheSame(self) -> None:
        opened = self.open(self.a)
        for _ in range(3):
            self.upgrade(*self.exported())
        self.assertTrue(self.open(self.b, self.wish(opened.grant.token)).resumed)


class SettledTests(StateCase):
    """The state is written when no tunnel is between two holders."""

    def test_theEndOfAHandOverIsAwaited(self) -> None:
        opened = self.open(self.a)
        self.a.slow = True
        back = self.ask(self.b, self.wish(opened.grant.token))
        settled = self.settled()
        self.assertNoResult(settled)
        self.a.answer()
        self.successResultOf(back)
        self.successResultOf(settled)

    def test_butNotForEver(self) -> None:
        opened = self.open(self.a)
        self.a.slow = self.b.slow = True
        settled = self.settled()
        for _ in range(8):
            for holder in (self.b, self.a):
                self.ask(holder, self.wish(opened.grant.token)).addErrback(lambda reason: None)
            self.reactor.advance(HAND_OVER_TIMEOUT / 2)
        self.successResultOf(settled)


class BadStateTests(StateCase):
    """What another version has written."""

    def setUp(self) -> None:
        super().setUp()
        self.open(self.a)
        self.state, descriptors = self.exported()
        for each in descriptors:
            os.close(each)

    def test_unknownKeysAreIgnored(self) -> None:
        self.state["more"] = self.state["addresses"][0]["more"] = 1
        check(self.state)

    def test_anotherVersionIsNotRead(self) -> None:
        self.state["version"] = 2
        self.assertRaises(BadState, check, self.state)

    def test_whatIsMissingOrWrongIsFound(self) -> None:
        for key in ("address", "user", "epoch", "tokens", "source", "lasting", "socket"):
            state = json.loads(json.dumps(self.state))
            del state["addresses"][0][key]
            self.assertRaises(BadState, check, state)
        for key, value in (("address", "relative"), ("tokens", ["xy"]), ("epoch", None), ("waiting", [{}])):
            state = json.loads(json.dumps(self.state))
            state["addresses"][0][key] = value
            self.assertRaises(BadState, check, state)
        self.assertRaises(BadState, check, {"version": 1})

    def test_missingDescriptorsAreFoundBeforeAnythingChanges(self) -> None:
        clock = cast(IReactor, self.reactor)
        places, registry = Places(clock, self.settings), LocalRegistry(clock, LEASE)
        custody = LocalCustody(clock, Sink(), self.settings, registry, places)
        self.assertRaises(BadState, adopt, custody, registry, places, self.state, [], {})
        self.assertEqual((len(custody), len(registry)), (0, 0))
