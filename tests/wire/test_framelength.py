"""How long a frame may be, on either side, before and behind the agreement on the extension."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from bore.wire.errors import FrameTooLong, OverlongProof, Refusal
from bore.wire.extension import Alive, Extended, Open, Opened, markedHello
from bore.wire.limits import MAX_EXTENDED_FRAME, MAX_FRAME
from bore.wire.messages import Error, Heartbeat, Hello
from bore.wire.sessionevents import SendData, ServerAlive, SessionAsked, SessionOpened, TunnelAsked, TunnelOpened
from tests.wire.sessions import CLIENT_STATES, SECRET, SERVER_STATES, TOKEN, outcomesOf, padded, serverSession
from tests.wire.strategies import frameOf


class FrameLengthTests(SynchronousTestCase):
    """Frames of up to 4096 bytes are taken once the extension is agreed upon; before, up to 256."""

    def test_theLimitsAreWhatTheProtocolSays(self) -> None:
        self.assertEqual((MAX_FRAME, MAX_EXTENDED_FRAME), (256, 4096))

    def test_aServerTakesLongFramesBehindAMarkedHelloOnly(self) -> None:
        hello = padded(Hello(1), 256)
        self.assertEqual(outcomesOf(serverSession(None), hello), [TunnelAsked(1, 1)])
        self.assertEqual(outcomesOf(serverSession(None), b" " + hello), [FrameTooLong])
        self.assertEqual(outcomesOf(serverSession(SECRET), b" " * 257), [OverlongProof])
        agreed = SessionAsked()
        for size in (256, 257, 4096):
            for portions in ([markedHello(1) + padded(Open(1, 1), size)], [markedHello(1), padded(Open(1, 1), size)]):
                self.assertEqual(outcomesOf(serverSession(None), *portions), [agreed, TunnelAsked(1, 1)])
        for tooLong in (padded(Open(1, 1), 4097), b" " * 4097):
            for state in ("OPENING", "EXTENDED, open"):
                self.assertEqual(outcomesOf(SERVER_STATES[state](), tooLong), ["frame-too-long"])

    def test_aClientTakesLongFramesBehindExtendedOnly(self) -> None:
        for state in ("CHALLENGE", "ANSWER", "OPEN"):
            longest = padded(Error("no"), 256)
            self.assertEqual(outcomesOf(CLIENT_STATES[state](), longest), [Refusal])
            self.assertEqual(outcomesOf(CLIENT_STATES[state](), b" " + longest), [FrameTooLong])
        agreed, opened = frameOf(Extended(1)), Opened(1, 1, TOKEN, 60)
        for size in (256, 257, 4096):
            session = CLIENT_STATES["ANSWER"]()
            self.assertEqual(outcomesOf(session, agreed), [SessionOpened()])
            session.open(1, 8000)
            self.assertEqual(outcomesOf(session, padded(opened, size)), [TunnelOpened(1, 1, TOKEN)])
            behind = outcomesOf(CLIENT_STATES["ANSWER"](), agreed + padded(Heartbeat(), size))
            self.assertEqual(behind, [SessionOpened(), SendData(frameOf(Alive())), ServerAlive()])
        for state in ("EXTENDED", "EXTENDED, open"):
            for tooLong in (padded(opened, 4097), b" " * 4097):
                self.assertEqual(outcomesOf(CLIENT_STATES[state](), tooLong), [FrameTooLong])

    def test_extendedItselfIsAShortFrame(self) -> None:
        self.assertEqual(outcomesOf(CLIENT_STATES["ANSWER"](), padded(Extended(1), 256)), [SessionOpened()])
        self.assertEqual(outcomesOf(CLIENT_STATES["ANSWER"](), padded(Extended(1), 257)), [FrameTooLong])

    def test_aPlainHelloKeepsFramesShort(self) -> None:
        session = CLIENT_STATES["ANSWER"]()
        self.assertEqual(
            outcomesOf(session, frameOf(Hello(1)) + padded(Error("no"), 257)), [TunnelOpened(1, 1), FrameTooLong]
        )
