"""Tunnels that are resumed while the registry does not answer at once."""

from __future__ import annotations

from bore.events import Event
from bore.events.server import TunnelBack, TunnelLost
from bore.server.session import CLAIM_TIMEOUT
from bore.wire.extension import Goodbye, encode
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

    def test_theFormerSessionHasTheTunnelUntilTheAnswerComes(self) -> None:
        _, transport = self.claim(self.token)
        self.assertFalse(self.former.disconnecting)
        self.registry.answer()
        self.assertEqual(self.refusal(self.former), "taken-over")
        self.assertEqual(self.opened(transport).resume, self.token)
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
            self.assertEqual(self.opened(self.former).resume, self.token)
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
        self.assertEqual(self.opened(transport).resume, self.token)
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
        self.registry.answer()
        opened = self.opened(transport)
        self.assertEqual(opened.address, self.port)
        self.assertNotEqual(opened.resume, self.token)

    def test_ofTwoThatComeAtOnceTheLastHasTheTunnel(self) -> None:
        (_, first), (_, second) = self.claim(self.token), self.claim(self.token)
        self.registry.answer()
        self.registry.answer()
        self.assertEqual(self.refusal(self.former), "taken-over")
        self.assertIn(b"taken-over", first.takeWritten())
        self.assertEqual(self.opened(second).resume, self.token)
        self.assertTrue(isOpen(self.host, self.port))

    def test_thatIsSoEvenIfItHasItsAnswerFirst(self) -> None:
        (_, first), (_, second) = self.claim(self.token), self.claim(self.token)
        self.registry.answers.pop().deliver()
        self.assertEqual(self.opened(second).resume, self.token)
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
