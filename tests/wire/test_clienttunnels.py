"""Several tunnels in a client's session."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bore.wire.clientsession import ControlSession
from bore.wire.errors import (
    PortInUse,
    ProtocolViolation,
    TakenOver,
)
from bore.wire.extension import Close, Closed, Open, Opened, Refused, Visitor
from bore.wire.sessionevents import (
    SendData,
    TunnelClosed,
    TunnelOpened,
    TunnelRefused,
    VisitorCame,
)
from bore.wire.tunnelstates import TunnelState
from tests.wire.sessions import (
    CLIENT_STATES,
    ID,
    SERVER_STATES,
    SOURCE,
    TOKEN,
    outcomesOf,
)
from tests.wire.strategies import UNHURRIED, AnyMessage, frameOf


def _inState(name: str) -> ControlSession:
    """A session in this state."""
    return CLIENT_STATES[name]()


class ManyTunnelsTests(SynchronousTestCase):
    """Several tunnels in one session of the extension."""

    def setUp(self) -> None:
        self.session = _inState("EXTENDED")

    def test_eachIsOpenedRefusedAndClosedByItsNumber(self) -> None:
        asked = b"".join(self.session.open(number, 0) for number in (1, 2, 3))
        self.assertEqual(asked, b"".join(frameOf(Open(number, 0)) for number in (1, 2, 3)))
        refused = TunnelRefused(2, "port-in-use", "taken", True)
        answers: list[AnyMessage] = [
            Opened(3, 9003, TOKEN, 60),
            Refused("port-in-use", "taken", True, 2),
            Opened(1, 9001, None, 60),
        ]
        self.assertEqual(
            outcomesOf(self.session, *[frameOf(answer) for answer in answers]),
            [TunnelOpened(3, 9003, TOKEN), refused, TunnelOpened(1, 9001)],
        )
        self.assertIsInstance(refused.refusal, PortInUse)
        visitors = [frameOf(Visitor(number, ID, None)) for number in (1, 3)]
        self.assertEqual(outcomesOf(self.session, *visitors), [VisitorCame(1, ID), VisitorCame(3, ID)])
        self.assertEqual(self.session.close(3), frameOf(Close(3)))
        closed = TunnelClosed(1, "taken-over", "elsewhere", True)
        self.assertEqual(
            outcomesOf(self.session, frameOf(Closed(3)), frameOf(Closed(1, "taken-over", "elsewhere", True))),
            [TunnelClosed(3), closed],
        )
        self.assertIsNone(TunnelClosed(3).refusal)
        self.assertIsInstance(closed.refusal, TakenOver)

    def test_aTunnelThatIsGoneIsNotClosedAgain(self) -> None:
        for state in ("EXTENDED", "EXTENDED, leaving", "EXTENDED, gone"):
            self.assertEqual(_inState(state).close(1), b"", state)

    def test_aRefusalOfATunnelThatWasGivenBackBeforeItWasOpenEndsIt(self) -> None:
        session = _inState("EXTENDED, leaving early")
        refused = frameOf(Refused("port-in-use", "taken", True, 1))
        self.assertEqual(outcomesOf(session, refused), [TunnelRefused(1, "port-in-use", "taken", True)])
        self.assertEqual(outcomesOf(session, refused), [ProtocolViolation])

    def test_noNumberIsUsedTwice(self) -> None:
        self.session.open(2, 0)
        for number in (1, 2):
            self.assertRaises(AssertionError, self.session.open, number, 0)

    def test_aBaseServerGetsOne(self) -> None:
        self.assertRaises(AssertionError, _inState("OPEN").open, 2, 0)

    @UNHURRIED
    @given(st.lists(st.tuples(st.integers(1, 4), st.sampled_from(["open", "grant", "refuse", "take", "close"]))))
    def test_bothSidesAgreeAboutEveryTunnel(self, steps: list[tuple[int, str]]) -> None:
        """Frames of both sides are on their way at the same time; neither side takes one for a violation."""
        client, server = _inState("EXTENDED"), SERVER_STATES["OPENING"]()
        toServer, toClient = b"", b""
        for number, step in steps:
            match step:
                case "open" if client._tunnels[number] is TunnelState.UNUSED:
                    toServer += client.open(number, 0)
                case "close":
                    toServer += client.close(number)
                case "grant" if server.claims(number):
                    toClient += server.opened(number, 9000, TOKEN, 60) + server.visitor(number, ID, SOURCE)
                case "refuse" if server.claims(number):
                    toClient += server.refused(number, PortInUse())
                case "take" if server._tunnels[number] is TunnelState.OPEN:
                    toClient += server.closed(number, TakenOver())
                case _ if number % 2:
                    for event in server.feed(toServer):
                        toClient += event.data if isinstance(event, SendData) else b""
                    toServer = b""
                case _:
                    list(client.feed(toClient))
                    toClient = b""
        for event in server.feed(toServer):
            toClient += event.data if isinstance(event, SendData) else b""
        list(client.feed(toClient))
        for number in range(1, 5):
            self.assertIs(client._tunnels[number], server._tunnels[number])
