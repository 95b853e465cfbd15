"""New tunnels that the registry does not grant at once: what comes in between, and what is left of it."""

from __future__ import annotations

import gc
import socket
from collections.abc import Callable, Iterator

from twisted.internet.error import ConnectionLost
from twisted.python.failure import Failure

from bore.server.claimturns import AT_ONCE
from bore.server.control import ControlProtocol
from bore.server.session import CLAIM_TIMEOUT
from bore.server.settings import Bounds
from bore.server.users import NAMELESS
from bore.wire.errors import CertificateRefused, PortInUse, ShuttingDown
from bore.wire.extension import Alive, Close, Goodbye, Open, Opened, Refused, encode
from tests.fakes import FakeTransport
from tests.server.claimcase import ClaimCase
from tests.support import isOpen


class AnswerTests(ClaimCase):
    """The answer comes, sooner or later."""

    def test_aClientHasItsTunnelWhenItIsGrantedAndNotBefore(self) -> None:
        for claim in (self.claim, self.claimBase):
            protocol, transport = claim()
            self.reactor.advance(CLAIM_TIMEOUT - 0.1)
            self.assertEqual(transport.takeWritten(), b"")
            self.assertFalse(isOpen(self.host, self.port))
            self.registry.answer()
            self.assertIn(str(self.port).encode(), transport.takeWritten())
            self.assertTrue(isOpen(self.host, self.port))
            self.reactor.advance(1)
            self.assertFalse(transport.disconnecting)
            protocol.refuse(ShuttingDown())
            self.assertNothingIsLeft()

    def test_aPortThatAnotherServerHasIsRefused(self) -> None:
        other = self.successResultOf(self.registry.registry.claim(self.port, NAMELESS))
        _, transport = self.claim()
        self.registry.answer()
        self.assertEqual(self.refusal(transport), "port-in-use")
        self.registry.release(other)
        self.assertNothingIsLeft()

    def test_ofTwoThatClaimOnePortOneHasIt(self) -> None:
        (_, first), (_, second) = self.claim(), self.claim()
        self.registry.answer()
        self.registry.answer()
        self.assertEqual(self.opened(first).address, self.port)
        self.assertEqual(self.refusal(second), "port-in-use")
        self.assertTrue(isOpen(self.host, self.port))

    def test_aPortThatWasGrantedAndCannotBeBoundIsGivenBack(self) -> None:
        with socket.create_server((self.host, self.port)):
            _, transport = self.claim()
            self.registry.answer()
            self.assertEqual(self.refusal(transport), "port-in-use")
        self.assertNothingIsLeft()

    def openMany(self) -> tuple[ControlProtocol, FakeTransport]:
        """A client asks for eight tunnels more than may be asked for at once, as fast as its messages are read."""
        protocol, transport = self.begin()
        for number in range(1, AT_ONCE + 9):
            protocol.dataReceived(encode(Open(number, 0)))
            self.reactor.advance(0)
        return protocol, transport

    def answerAll(self) -> None:
        while self.registry.answers:
            self.registry.answer()
            self.reactor.advance(0)

    def test_manyAreAskedForByTurns(self) -> None:
        protocol, transport = self.openMany()
        self.reactor.advance(CLAIM_TIMEOUT - 0.1)
        for left in (AT_ONCE,) * 9 + (AT_ONCE - 1,):
            self.assertEqual(len(self.registry.answers), left)
            self.registry.answer()
            self.reactor.advance(0)
        self.reactor.advance(0.2)  # too late for the first ones; the last eight have time
        self.answerAll()
        kinds = [type(each) for each in self.said(transport)]
        self.assertEqual((kinds.count(Opened), kinds.count(Refused)), (18, AT_ONCE - 10))
        protocol.refuse(ShuttingDown())
        self.assertNothingIsLeft()

    def test_aClientWithOneTunnelDoesNotWaitForAllOfAnother(self) -> None:
        many, _ = self.openMany()
        single, transport = self.claim(port=0)
        for _ in range(2):
            self.registry.answer()
            self.reactor.advance(0)
        del self.registry.answers[:-1]
        self.answerAll()
        self.assertEqual([type(each) for each in self.said(transport)], [Opened])
        for protocol in (many, single):
            protocol.refuse(ShuttingDown())
        gc.collect()
        self.flushLoggedErrors(PortInUse)  # a drawn port may be another program's

    def test_thoseWhoseTurnHasNotComeEndWithTheirSession(self) -> None:
        protocol, _ = self.openMany()
        protocol.dataReceived(encode(Close(AT_ONCE + 8)))
        self.registry.answer()
        self.lose(protocol)
        self.answerAll()
        self.reactor.advance(self.lease + 1)
        self.assertNothingIsLeft()

    def test_aFailureOfTheRegistryIsLoggedAndRefused(self) -> None:
        for claim, text, isOver in (
            (self.claim, b"bind-failed", False),
            (self.claimBase, b"failed to bind to port", True),
        ):
            _, transport = claim()
            self.registry.answers.pop().fail(Failure(ConnectionLost()))
            self.assertIn(text, transport.takeWritten())
            self.assertEqual(transport.disconnecting, isOver)
            self.assertEqual(len(self.flushLoggedErrors(ConnectionLost)), 1)
            [held] = list(self.registry.registry._byAddress.values())
            self.registry.release(held)  # what fails has changed nothing
            self.assertNothingIsLeft()


class RandomPortTests(ClaimCase):
    """A client that wants any port."""

    ports = (20000, 20002)

    def test_portsOfOtherServersAreAvoided(self) -> None:
        grants = {port: self.registry.registry.claim(port, NAMELESS) for port in (20000, 20002)}
        _, transport = self.claim(port=0)
        while self.registry.answers:
            self.registry.answer()
        self.assertEqual(self.opened(transport).address, 20001)
        _, transport = self.claim(port=0)
        while self.registry.answers:
            self.registry.answer()
        self.assertEqual(self.refusal(transport), "no-free-port")
        for grant in grants.values():
            self.registry.release(self.successResultOf(grant))

    def test_twoThatDrawTheSamePortGetTwo(self) -> None:
        transports = [self.claim(port=0)[1] for _ in range(3)]
        while self.registry.answers:
            self.registry.answer()
        self.assertEqual(sorted(self.opened(transport).address for transport in transports), [20000, 20001, 20002])


class LeavingTests(ClaimCase):
    """The session is over before the answer comes."""

    def ends(self, extended: bool) -> list[tuple[str, Callable[[ControlProtocol], object]]]:
        """All that can end a session, and what its client is sent."""
        ends: list[tuple[str, Callable[[ControlProtocol], object]]] = [
            ("", self.lose),
            ("timed out waiting for the port", lambda protocol: self.reactor.advance(CLAIM_TIMEOUT)),
            (
                CertificateRefused.text,
                lambda protocol: self.server.sessions.endOn({protocol.handle}, CertificateRefused()),
            ),
            (ShuttingDown.text, lambda protocol: protocol.refuse(ShuttingDown())),
        ]
        if extended:
            ends += [
                ("", lambda protocol: protocol.dataReceived(encode(Goodbye()))),
                ("unknown-message", lambda protocol: protocol.dataReceived(b'{"Dance":1}\0')),
                ("malformed-message", lambda protocol: protocol.dataReceived(b"junk\0")),
                ("unexpected-message", lambda protocol: protocol.dataReceived(encode(Alive()))),
                ("tunnel-number", lambda protocol: protocol.dataReceived(encode(Open(1, 0)))),
            ]
        return ends

    def expel(self, protocol: ControlProtocol) -> None:
        self.server.sessions.endOn({protocol.handle}, CertificateRefused())

    def eachEnd(self) -> Iterator[FakeTransport]:
        """Have a claim under way, and its session ended, in each way."""
        for claim, extended in ((self.claim, True), (self.claimBase, False)):
            for text, end in self.ends(extended):
                protocol, transport = claim()
                end(protocol)
                self.assertIn(text.encode(), transport.value())
                self.assertEqual(bool(text), bool(transport.takeWritten()), text)
                yield transport

    def test_whatIsGrantedTooLateIsGivenBack(self) -> None:
        for transport in self.eachEnd():
            self.assertEqual(len(self.registry.registry), 1)
            self.registry.answer()
            self.assertEqual(transport.takeWritten(), b"")
            self.assertNothingIsLeft()

    def test_aRefusalThatComesTooLateIsNotSent(self) -> None:
        other = self.successResultOf(self.registry.registry.claim(self.port, NAMELESS))
        for transport in self.eachEnd():
            self.registry.answer()
            self.assertEqual(transport.takeWritten(), b"")
        self.registry.release(other)
        self.assertNothingIsLeft()

    def test_aFailureThatComesTooLateIsLogged(self) -> None:
        for transport in self.eachEnd():
            self.registry.answers.pop().fail(Failure(ConnectionLost()))
            self.assertEqual(transport.takeWritten(), b"")
            self.assertEqual(len(self.flushLoggedErrors(ConnectionLost)), 1)
            [held] = list(self.registry.registry._byAddress.values())
            self.registry.release(held)
            self.assertNothingIsLeft()

    def test_theNextClientHasThePort(self) -> None:
        for _ in self.eachEnd():
            self.registry.answer()
            protocol, transport = self.claim()
            self.registry.answer()
            self.assertEqual(self.opened(transport).address, self.port)
            protocol.refuse(ShuttingDown())

    def test_aServerThatStopsGivesBackWhatIsGrantedAfterwards(self) -> None:
        for claim in (self.claim, self.claimBase):
            _, transport = claim()
            self.server.shutDown()
            self.assertIn(ShuttingDown.text.encode(), transport.takeWritten())
            self.registry.answer()
            self.assertNothingIsLeft()

    def test_aSessionThatIsOverIsSentNothingMoreWhenTheServerStops(self) -> None:
        protocol, transport = self.claim()
        protocol.dataReceived(b'{"Dance":1}\0')
        self.assertEqual(self.refusal(transport), "unknown-message")
        self.server.shutDown()
        self.assertEqual(transport.takeWritten(), b"")
        self.registry.answer()
        self.assertNothingIsLeft()

    def test_noOtherPortIsDrawnForAClientThatHasLeft(self) -> None:
        protocol, _ = self.claim(port=0)
        self.lose(protocol)
        self.registry.answers.pop().fail(Failure(PortInUse()))
        self.assertEqual(self.registry.answers, [])
        [held] = list(self.registry.registry._byAddress.values())
        self.registry.release(held)
        self.assertNothingIsLeft()


class LimitTests(ClaimCase):
    """Claims count as tunnels do."""

    bounds = Bounds(tunnels=3, tunnelsPerSource=2)

    def test_asLongAsTheyAreUnderWay(self) -> None:
        for port in (0, 0):
            self.claim(port=port)
        self.assertEqual(self.refusal(self.claim(port=0)[1]), "too-many-tunnels-from-address")
        protocol, _ = self.begin("192.0.2.2")
        protocol.dataReceived(encode(Open(1, 0)))
        protocol, transport = self.begin("192.0.2.3")
        protocol.dataReceived(encode(Open(1, 0)))
        self.assertEqual(self.refusal(transport), "too-many-tunnels")

    def test_andThoseWithATokenToo(self) -> None:
        for _ in range(2):
            self.claim("0" * 32, 0)
        self.assertEqual(self.refusal(self.claim(port=0)[1]), "too-many-tunnels-from-address")

    def test_aRegistryThatNeverAnswersDoesNotUseThemUp(self) -> None:
        for _ in range(10):
            _, transport = self.claim(port=0)
            self.reactor.advance(CLAIM_TIMEOUT)
            self.assertEqual(self.refusal(transport), "claim-timeout")
        while self.registry.answers:
            self.registry.answer()
        self.assertNothingIsLeft()
