"""Unix sockets as the public addresses of tunnels."""

from __future__ import annotations

import os
import socket
from dataclasses import replace
from pathlib import Path
from typing import cast

from twisted.logger import formatEvent

from bore.events.server import TunnelClosed, TunnelEnd, TunnelLost, TunnelOpened, VisitorCame
from bore.server.control import ControlProtocol
from bore.server.server import Server
from bore.server.settings import Bounds, ServerSettings
from bore.streams.reactor import IReactor
from bore.wire.addressrules import NO_RULES, AddressRules, parseNetwork
from bore.wire.extension import Close, Closed, Goodbye, Open, Opened, Refused, Visitor, encode
from bore.wire.publicaddress import OtherKind, PublicAddress, UnixPath
from bore.wire.rulesmessage import rulesFrames
from tests.fakes import FakeTransport
from tests.ports import freePort
from tests.server.case import SessionCase
from tests.support import isOpen, temporaryFolder

LOOPBACK = AddressRules((parseNetwork("127.0.0.1"),))


class UnixCase(SessionCase):
    """A server with a directory for Unix sockets."""

    rules = AddressRules()

    def setUp(self) -> None:
        super().setUp()
        self.server.shutDown()
        self.folder = temporaryFolder(self)
        self.settings = ServerSettings(
            bindTunnels=self.host, unixFolders=(str(self.folder),), bounds=self.bounds, lease=60, rules=self.rules
        )
        self.server = self.serve(self.settings)
        self.path = self.folder / "web.sock"
        self.web = UnixPath(str(self.path))

    def serve(self, settings: ServerSettings) -> Server:
        return Server(cast(IReactor, self.reactor), self.sink, settings, self.relay)

    def ask(
        self, address: PublicAddress, resume: str | None = None, rules: AddressRules = NO_RULES
    ) -> tuple[ControlProtocol, FakeTransport, Opened | Refused]:
        """A client asks for a tunnel in a session of its own."""
        protocol, transport = self.begin()
        protocol.dataReceived(rulesFrames(rules) + encode(Open(1, address, resume)))
        answer, *_ = self.said(transport)
        assert isinstance(answer, Opened | Refused)
        return protocol, transport, answer

    def opened(
        self, address: PublicAddress, resume: str | None = None
    ) -> tuple[ControlProtocol, FakeTransport, Opened]:
        protocol, transport, answer = self.ask(address, resume)
        assert isinstance(answer, Opened), answer
        return protocol, transport, answer

    def refused(self, address: PublicAddress, code: str, text: str, rules: AddressRules = NO_RULES) -> Refused:
        _, transport, answer = self.ask(address, rules=rules)
        assert isinstance(answer, Refused), answer
        self.assertEqual((answer.code, answer.tunnel), (code, 1))
        self.assertIn(text, answer.message)
        self.assertFalse(transport.disconnecting)
        return answer


class OpeningTests(UnixCase):
    """Which sockets a client gets."""

    def test_theAnswerNamesTheSocketAndVisitorsReachIt(self) -> None:
        _, transport, opened = self.opened(self.web)
        self.assertEqual((opened.address, opened.lease), (self.web, 60))
        self.visit(self.web)
        [visitor] = self.said(transport)
        assert isinstance(visitor, Visitor)
        self.assertEqual((visitor.tunnel, visitor.source), (1, None))

    def test_theFolderMayHaveFoldersOfItsOwn(self) -> None:
        (self.folder / "team").mkdir()
        self.opened(UnixPath(str(self.folder / "team" / "web.sock")))
        refused = self.refused(UnixPath(str(self.folder / "missing" / "a")), "bind-failed", "folder does not exist")
        self.assertTrue(refused.retry)

    def test_noOtherFolderIsAllowed(self) -> None:
        for path in ("/tmp/web.sock", f"{self.folder}", f"{self.folder}x/web.sock", "/web.sock"):
            refused = self.refused(UnixPath(path), "path-not-allowed", f"for Unix sockets: {self.folder}")
            self.assertFalse(refused.retry)

    def test_noLinkLeadsOut(self) -> None:
        outside = temporaryFolder(self)
        (self.folder / "out").symlink_to(outside)
        self.refused(UnixPath(str(self.folder / "out" / "web.sock")), "path-not-allowed", "link that leads out")
        self.assertEqual(list(outside.iterdir()), [])
        (self.folder / "web.sock").symlink_to(outside / "web.sock")
        self.refused(self.web, "port-in-use", "not a socket")
        self.assertEqual(list(outside.iterdir()), [])

    def test_theFolderItselfMayBeALink(self) -> None:
        link = temporaryFolder(self) / "link"
        link.symlink_to(self.folder)
        self.server.apply(replace(self.settings, unixFolders=(str(link),)))
        self.opened(UnixPath(str(link / "web.sock")))
        self.assertTrue(self.path.is_socket())
        self.refused(self.web, "path-not-allowed", str(link))

    def test_withoutAFolderTheTextNamesTheOption(self) -> None:
        self.server.apply(replace(self.settings, unixFolders=()))
        self.refused(self.web, "path-not-allowed", "--unix-folder")

    def test_aFolderThatIsTakenAwayLeavesItsTunnels(self) -> None:
        self.opened(self.web)
        self.server.apply(replace(self.settings, unixFolders=()))
        self.assertTrue(isOpen(self.host, self.web))

    def test_oneClientAtATimeHasIt(self) -> None:
        self.opened(self.web)
        refused = self.refused(self.web, "port-in-use", f"{self.web} is already in use on the server")
        self.assertTrue(refused.retry)

    def test_anotherProcessKeepsIt(self) -> None:
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(str(self.path))
            other.listen()
            self.refused(self.web, "port-in-use", "in use")
        self.opened(self.web)

    def test_aServerWithoutRightsSaysSo(self) -> None:
        if os.geteuid() == 0:
            self.server.apply(replace(self.settings, unixFolders=("/proc",)))
            refused = self.refused(UnixPath("/proc/web.sock"), "bind-failed", "cannot be opened: ")
        else:
            self.folder.chmod(0o500)
            refused = self.refused(self.web, "permission-denied", "may not write")
            self.folder.chmod(0o700)
        self.assertIn(refused.code, ("permission-denied", "bind-failed"))

    def test_aKindThatTheServerDoesNotKnowCostsOnlyTheTunnel(self) -> None:
        refused = self.refused(OtherKind("udp"), "kind-not-known", "'udp'")
        self.assertFalse(refused.retry)

    def test_rulesOnAddressesAreRefused(self) -> None:
        self.refused(self.web, "visitors-without-address", "no address", LOOPBACK)
        self.assertFalse(self.path.exists())


class LifeTests(UnixCase):
    """How long a socket stays."""

    def test_itsFileGoesWithTheTunnel(self) -> None:
        for end in (Close(1), Goodbye()):
            protocol, _, _ = self.opened(self.web)
            self.assertTrue(self.path.is_socket())
            protocol.dataReceived(encode(end))
            self.assertFalse(self.path.exists())

    def test_itIsKeptForALostClient(self) -> None:
        protocol, _, opened = self.opened(self.web)
        self.lose(protocol)
        self.visit(self.web)
        _, _, again = self.opened(self.web, opened.resume)
        self.assertEqual(again.address, self.web)
        self.assertIn(f"{self.web}: 192.0.2.1:4711 is back", list(map(formatEvent, self.logged)))

    def test_aLostClientThatStaysAwayLeavesNothing(self) -> None:
        protocol, _, _ = self.opened(self.web)
        self.lose(protocol)
        self.reactor.advance(61)
        self.assertFalse(self.path.exists())

    def test_itIsGoneWhenTheServerStops(self) -> None:
        self.opened(self.web)
        self.server.shutDown()
        self.assertFalse(self.path.exists())

    def test_aTunnelMovesBetweenASocketAndAPort(self) -> None:
        _, first, opened = self.opened(self.web)
        port = freePort(self.host)
        _, _, moved = self.opened(port, opened.resume)
        [taken] = self.said(first)
        assert isinstance(taken, Closed)
        self.assertEqual((moved.address, taken.code, self.path.exists()), (port, "taken-over", False))
        _, _, back = self.opened(self.web, moved.resume)
        self.assertEqual(back.address, self.web)
        self.assertFalse(isOpen(self.host, port))

    def test_aRequestForAnyPortIsNotOneForTheSocket(self) -> None:
        _, _, opened = self.opened(self.web)
        _, _, moved = self.opened(0, opened.resume)
        self.assertIsInstance(moved.address, int)
        self.assertFalse(self.path.exists())

    def test_anotherServerOnTheSameFolderNeedsAnotherName(self) -> None:
        self.opened(self.web)
        self.addCleanup(self.server.shutDown)
        self.server = self.serve(self.settings)
        self.refused(self.web, "port-in-use", "in use")
        self.opened(UnixPath(str(self.folder / "other.sock")))


class BoundsTests(UnixCase):
    """Limits that concern addresses do not apply; the others do."""

    bounds = Bounds(visitorRate=1, visitors=3, tunnelsPerSource=2)
    rules = AddressRules((), (parseNetwork("0.0.0.0/0"), parseNetwork("::/0")))

    def test_neitherRulesNorRatesConcernVisitorsWithoutAddress(self) -> None:
        _, transport, _ = self.opened(self.web)
        for _ in range(3):
            self.visit(self.web)
        self.assertEqual(len(self.said(transport)), 3)

    def test_theNumberOfVisitorsIsLimited(self) -> None:
        self.opened(self.web)
        visitors = [self.visit(self.web) for _ in range(4)]
        self.assertEqual(visitors[-1].recv(1), b"")
        self.assertEqual(self.warnings, [f"{self.web}: the limit of visitors is reached, 3: more are closed"])

    def test_tunnelsPerSourceCount(self) -> None:
        protocol, transport = self.begin()
        for number, name in enumerate("abc", 1):
            protocol.dataReceived(encode(Open(number, UnixPath(str(self.folder / name)))))
        *_, refused = self.said(transport)
        assert isinstance(refused, Refused)
        self.assertEqual((refused.tunnel, refused.code), (3, "too-many-tunnels-from-address"))
        self.assertEqual({Path(each).name for each in os.listdir(self.folder)}, {"a", "b"})


class EventTests(UnixCase):
    """What events and lines say."""

    def test_theyNameTheSocketAndNoAddress(self) -> None:
        events: list[object] = []
        self.sink.subscribe(events.append, visitors=True)
        protocol, _, _ = self.opened(self.web)
        self.visit(self.web)
        self.lose(protocol)
        self.reactor.advance(61)
        named = [e for e in events if isinstance(e, TunnelOpened | VisitorCame | TunnelLost | TunnelClosed)]
        self.assertEqual([each.address for each in named], [self.web] * 4)
        came, closed = named[1], named[3]
        assert isinstance(came, VisitorCame) and isinstance(closed, TunnelClosed)
        self.assertEqual((came.visitor, closed.reason), ("unix", TunnelEnd.LEASE_OVER))
        lines = list(map(formatEvent, self.logged))
        self.assertIn(f"{self.web}: the client did not come back, the socket is removed", lines)
