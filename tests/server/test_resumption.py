"""Tunnels that are resumed while the registry does not answer at once."""

from __future__ import annotations

from twisted.internet.defer import fail, succeed
from twisted.internet.error import ConnectionLost

from bore.events import Event
from bore.events.server import TunnelBack, TunnelLost
from bore.server.session import CLAIM_TIMEOUT
from bore.wire.extension import Goodbye, encode
from tests.fakes import FakeTransport
from tests.ports import freePort
from tests.server.claimcase import ClaimCase
from tests.support import isOpen


class ResumeTests(ClaimCase):
    """A client that comes back with its token."""

    def setUp(self) -> None:
        super().setUp()
        self.registry.slow = False
        self.protocol, self.former = self.claim()
        self.token = self.opened(self.former).resume
        self.registry.slow = True

    def assertResumed(self, transport: FakeTransport) -> None:
        """A client has its tunnel, and a new token for it."""
        opened = self.opened(transport)
        self.assertEqual(opened.address, self.port)
        self.assertNotEqual(opened.resume, self.token)
        self.token = opened.resume

    def test_theFormerSessionHasTheTunnelUntilTheAnswerComes(self) -> None:
        _, transport = self.claim(self.token)
        self.assertFalse(self.former.disconnecting)
        self.registry.answer()
        self.assertEqual(self.refusal(self.former), "taken-over")
        self.assertResumed(transport)
        self.assertTrue(isOpen(self.host, self.port))

    def test_aClientThatIsLostMeanwhileCanComeBackOnceMore(self) -> None:
        for end in (self.lose, lambda protocol: self.reactor.advance(CLAIM_TIMEOUT)):
            self.live(self.protocol, 1)
            protocol, _ = self.claim(self.token)
            end(protocol)
            self.registry.answer()
            self.assertEqual(self.refusal(self.former), "taken-over")
            self.reactor.advance(self.lease - 1)
            self.assertTrue(isOpen(self.host, self.port))
            self.protocol, self.former = self.claim(self.token)
            self.registry.answer()
            self.assertResumed(self.former)
        self.lose(self.protocol)
        self.reactor.advance(self.lease)
        self.assertNothingIsLeft()

    def test_aClientThatLeavesMeanwhileHasNoTunnelAnyMore(self) -> None:
        protocol, _ = self.claim(self.token)
        protocol.dataReceived(encode(Goodbye()))
        self.registry.answer()
        self.assertEqual(self.refusal(self.former), "taken-over")
        self.assertNothingIsLeft()

    def test_theEndOfTheFormerSessionMeanwhileChangesNothing(self) -> None:
        _, transport = self.claim(self.token)
        self.lose(self.protocol)
        self.reactor.advance(1)
        self.registry.answer()
        self.assertResumed(transport)
        self.assertTrue(isOpen(self.host, self.port))

    def test_aTunnelWithoutASessionIsBackBeforeItIsLostAgain(self) -> None:
        protocol, _ = self.claim(self.token)
        self.lose(self.protocol)
        self.lose(protocol)
        events: list[Event] = []
        self.sink.subscribe(events.append)
        self.registry.answer()
        self.assertEqual([type(event) for event in events], [TunnelBack, TunnelLost])
        self.reactor.advance(self.lease)
        self.assertNothingIsLeft()

    def test_aTunnelThatIsClosedMeanwhileIsOpenedAnew(self) -> None:
        _, transport = self.claim(self.token)
        self.protocol.dataReceived(encode(Goodbye()))
        self.assertFalse(isOpen(self.host, self.port))
        self.registry.answer()
        opened = self.opened(transport)
        self.assertEqual(opened.address, self.port)
        self.assertNotEqual(opened.resume, self.token)

    def test_anAddressThatTheUserHasElsewhereIsOpenedHere(self) -> None:
        """Another process of the server may have had it."""
        release, self.registry.release = self.registry.release, lambda grant: succeed(None)  # type: ignore[method-assign]
        self.protocol.dataReceived(encode(Goodbye()))
        self.registry.release = release  # type: ignore[method-assign]
        self.assertFalse(isOpen(self.host, self.port))
        protocol, transport = self.claim(self.token)
        self.registry.answer()
        self.assertEqual(self.registry.answers, [])
        self.assertResumed(transport)
        self.assertTrue(isOpen(self.host, self.port))
        self.lose(protocol)
        self.reactor.advance(self.lease)
        self.assertNothingIsLeft()

    def test_aLeaseThatTheRegistryCannotGiveIsGivenHere(self) -> None:
        self.registry.renew = lambda grant: fail(ConnectionLost())  # type: ignore[method-assign]
        self.lose(self.protocol)
        self.assertEqual(len(self.flushLoggedErrors(ConnectionLost)), 1)
        self.reactor.advance(self.lease - 1)
        self.assertTrue(isOpen(self.host, self.port))
        self.reactor.advance(1)
        self.assertNothingIsLeft()

    def test_andEndsNothingThatWasResumed(self) -> None:
        self.registry.renew = lambda grant: fail(ConnectionLost())  # type: ignore[method-assign]
        self.lose(self.protocol)
        self.flushLoggedErrors(ConnectionLost)
        protocol, transport = self.claim(self.token)
        self.registry.answer()
        self.assertResumed(transport)
        self.live(protocol, self.lease + 1)
        self.assertTrue(isOpen(self.host, self.port))

    def test_ofTwoThatComeAtOnceTheLastHasTheTunnel(self) -> None:
        (_, first), (_, second) = self.claim(self.token), self.claim(self.token)
        self.registry.answer()
        self.registry.answer()
        self.assertEqual(self.refusal(self.former), "taken-over")
        self.assertIn(b"taken-over", first.takeWritten())
        self.assertResumed(second)
        self.assertTrue(isOpen(self.host, self.port))

    def test_thatIsSoEvenIfItHasItsAnswerFirst(self) -> None:
        (_, first), (_, second) = self.claim(self.token), self.claim(self.token)
        self.registry.answers.pop().deliver()
        self.assertResumed(second)
        self.registry.answer()
        self.assertEqual(self.refusal(first), "taken-over")
        self.assertFalse(second.disconnecting)
        self.assertTrue(isOpen(self.host, self.port))

    def test_itCanHaveAnotherPort(self) -> None:
        port = freePort(self.host)
        _, transport = self.claim(self.token, port)
        self.registry.answer()
        self.assertEqual(self.refusal(self.former), "taken-over")
        self.assertFalse(isOpen(self.host, self.port))
        self.registry.answer()
        self.assertEqual(self.opened(transport).address, port)
