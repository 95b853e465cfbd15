"""A link with many tunnels: one session for all of them, in which each of them fails on its own."""

from __future__ import annotations

from dataclasses import replace
from typing import cast
from uuid import uuid4

from twisted.internet.error import ConnectionLost

from bore.client.reasons import CheckFailed
from bore.client.state import NoMemory, Remembered
from bore.client.target import Target
from bore.client.tunnel import Tunnel
from bore.client.tunnelspec import TunnelSpec
from bore.streams.reactor import IReactor
from bore.wire.errors import PortForbidden, PortNotAllowed, TakenOver
from bore.wire.extension import Close, Closed, Extended, Goodbye, Open, Opened, Refused, Visitor, encode, markedHello
from tests.client.case import tunnelOf
from tests.client.manycase import IN_USE, TOKENS, ManyCase
from tests.client.test_publicport import FakeMemory


class SessionTests(ManyCase):
    """One session."""

    def test_theHelloHasThePortOfTheFirstAndAllAreAskedForBehindExtended(self) -> None:
        protocol, transport = self.connect()
        self.assertEqual(transport.takeWritten(), markedHello(0))
        self.hear(protocol, Extended(1))
        self.assertEqual(transport.takeWritten(), b"".join(map(encode, (Open(1, 0), Open(2, 9001), Open(3, 0)))))

    def test_eachIsUpWhenItsAnswerHasCome(self) -> None:
        protocol, _ = self.begin()
        waiting = [tunnel.whenOpened() for tunnel in self.tunnels]
        for number in (2, 0, 1):
            self.assertNoResult(waiting[number])
            self.hear(protocol, Opened(number + 1, 20000 + number, None, 60))
            self.assertEqual(self.successResultOf(waiting[number]), 20000 + number)

    def test_aVisitorIsOneOfItsTunnel(self) -> None:
        protocol, _ = self.session()
        seen: list[str] = []
        for tunnel in self.tunnels:
            tunnel.witness = lambda name=tunnel.name: seen.append(name)
        session = protocol.session
        assert session is not None
        self.visitors.announced = lambda id, at, source: seen.append(at.tunnel.name)  # type: ignore[method-assign]
        for number in (3, 1, 2):
            self.hear(protocol, Visitor(number, uuid4(), None))
        self.assertEqual(seen, ["localhost:8002", "localhost:8000", "localhost:8001"])

    def test_allComeBackWithTheirTokensAndOneLineSaysThatTheyWereLost(self) -> None:
        protocol, _ = self.session()
        self.lose(protocol, ConnectionLost())
        self.assertEqual(len([line for line in self.logged if line.startswith("lost ")]), 1)
        self.delayToNextAttempt()
        protocol, transport = self.connect()
        self.assertEqual(transport.takeWritten(), markedHello(20000))
        self.hear(protocol, Extended(1))
        requests = Open(1, 20000, TOKENS[0]), Open(2, 9001, TOKENS[1]), Open(3, 20002, TOKENS[2])
        self.assertEqual(transport.takeWritten(), b"".join(map(encode, requests)))

    def test_aSessionThatIsRefusedIsSoForAll(self) -> None:
        self.make(reconnect=False)
        protocol, _ = self.connect()
        self.hear(protocol, Extended(1), Refused("draining", "server is shutting down", True))
        self.lose(protocol)
        reasons = [self.failureResultOf(tunnel.whenGaveUp()).value for tunnel in self.tunnels]
        self.assertEqual({str(why) for why in reasons}, {"server is shutting down"})

    def test_goodbyeGivesAllBack(self) -> None:
        protocol, transport = self.session()
        left = self.link.stop()
        self.assertEqual(transport.takeWritten(), encode(Goodbye()))
        self.lose(protocol)
        self.successResultOf(left)
        self.assertEqual(self.reactor.getDelayedCalls(), [])


class RefusedTests(ManyCase):
    """One of them cannot be."""

    def test_itIsAskedForAgainAfterDelaysOfItsOwnAndTheSessionGoesOn(self) -> None:
        protocol, transport = self.begin()
        self.hear(protocol, Opened(1, 20000, None, 60), Refused(*IN_USE, 2), Opened(3, 20002, None, 60))
        self.assertFalse(transport.aborted)
        self.assertIn("b: no tunnel from example.com:7835: server error: port already in use: ", "\n".join(self.logged))
        delays = []
        for number in range(4, 9):
            begin = self.reactor.seconds()
            while not (sent := transport.takeWritten()):
                self.hear(protocol, *[])
                self.reactor.advance(0.1)
                protocol.silence and protocol.silence.frameReceived()  # type: ignore[func-returns-value]
            delays.append(self.reactor.seconds() - begin)
            self.assertEqual(sent, encode(Open(number, 9001)))
            self.hear(protocol, Refused(*IN_USE, number))
        self.assertGreater(delays[-1], delays[0])
        for delay, bound in zip(delays, (1.1, 2.1, 4.1, 8.1, 16.1), strict=True):
            self.assertLess(delay, bound)
        self.assertFalse(transport.aborted)
        self.assertEqual(self.connector.attempts, 0)

    def test_aRandomPortThatIsForbiddenNowIsReplacedAtOnce(self) -> None:
        protocol, _ = self.session()
        self.lose(protocol, ConnectionLost())
        self.delayToNextAttempt()
        protocol, transport = self.begin()
        self.hear(protocol, Refused(PortForbidden.code, "permission denied", False, 3))
        self.assertEqual(transport.takeWritten(), encode(Open(4, 0)))

    def test_withoutFurtherAttemptsItAloneIsGivenUp(self) -> None:
        self.make(reconnect=False)
        protocol, transport = self.begin()
        self.hear(protocol, Refused(PortNotAllowed.code, "x", False, 2))
        self.failureResultOf(self.tunnels[1].whenGaveUp(), PortNotAllowed)
        self.hear(protocol, Opened(1, 20000, None, 60), Opened(3, 20002, None, 60))
        self.reactor.advance(5)
        self.assertEqual(self.asked(transport)[3:], [])
        self.assertFalse(transport.aborted)
        self.assertNoResult(self.tunnels[0].whenGaveUp())

    def test_aPortOutsideTheServersRangeIsExplainedWithWhatTheUserHasWritten(self) -> None:
        protocol, _ = self.begin()
        outside = Refused("port-not-allowed", "no", False, 2, (20000, 20999))
        self.hear(protocol, Opened(1, 20000, None, 60), outside)
        expected = "port 9001 is outside this server's range, 20000 to 20999: choose one of these as {}, or omit it"
        line = f"b: no tunnel from example.com:7835: server error: {expected.format('--port')}"
        self.assertIn(f"{line}; a retry is unlikely to help", self.logged)
        spec = replace(self.tunnels[1].spec, written={"--port": "tunnel.b.port"})
        self.assertEqual(
            str(spec.explain(PortNotAllowed.outside(9001, 20000, 20999))), expected.format("tunnel.b.port")
        )

    def test_oneBeyondALimitOfTheServerIsAskedForAsLateAsMayBe(self) -> None:
        protocol, transport = self.begin()
        limit = Refused("too-many-tunnels-from-address", "too many tunnels from your address", True, 2)
        self.hear(protocol, Opened(1, 20000, None, 60), limit, Opened(3, 20002, None, 60))
        transport.takeWritten()
        self.live(protocol, 31)
        self.assertNotIn(b"Open", transport.takeWritten())
        self.live(protocol, 33)
        self.assertIn(encode(Open(4, 9001)), transport.takeWritten())

    def test_aSessionWithoutATunnelEndsAndTheNextAttemptIsForAll(self) -> None:
        self.make("a.example", "b.example")
        protocol, transport = self.begin()
        for number in (1, 2, 3):
            self.assertFalse(transport.aborted)
            self.hear(protocol, Refused(*IN_USE, number))
        self.assertTrue(transport.aborted)
        self.lose(protocol)
        self.delayToNextAttempt()
        self.reactor.advance(1)
        self.assertIn("c: no tunnel from a.example:7835: server error: port already in use: ", self.logged[-2])
        self.assertEqual(self.servers.current.address.host, "b.example")
        protocol, transport = self.connect()
        transport.takeWritten()
        self.hear(protocol, Extended(1))
        self.assertEqual(len(self.asked(transport)), 3)
        self.reactor.advance(5)
        self.assertEqual(self.asked(transport), [], "no request of the former session")

    def test_oneThatTheServerTakesAwayIsAskedForAgainWithoutItsToken(self) -> None:
        protocol, transport = self.session()
        self.hear(protocol, Closed(2, TakenOver.code, TakenOver.text, True))
        self.assertIn(
            "b: lost example.com:7835: server error: another session has taken the tunnel over", self.logged[0]
        )
        self.reactor.advance(1.1)
        self.assertEqual(transport.takeWritten(), encode(Open(4, 9001)))

    def test_oneWhoseVisitorsDoNotComeThroughIsOpenedAgain(self) -> None:
        protocol, transport = self.session()
        self.link.tunnels.checkFailed(2, CheckFailed("visitors do not come through"))
        self.assertEqual(transport.takeWritten(), encode(Close(2)))
        self.hear(protocol, Visitor(2, uuid4(), None), Closed(2))
        self.reactor.advance(1.1)
        self.assertEqual(transport.takeWritten(), encode(Open(4, 9001, TOKENS[1])))
        self.assertFalse(transport.aborted)

    def test_checksOfOneThatFailNowAndThenAreNotFailuresInARow(self) -> None:
        self.make(exitAfterFailures=2)
        protocol, transport = self.session()
        for number, again in ((2, 4), (4, 5), (5, 6)):
            self.live(protocol, 70)
            self.link.checked(number)
            self.link.tunnels.checkFailed(number, CheckFailed("visitors do not come through"))
            self.assertNoResult(self.tunnels[1].whenGaveUp())
            self.hear(protocol, Closed(number))
            transport.takeWritten()
            self.live(protocol, 2)
            self.assertIn(encode(Open(again, 9001, TOKENS[1])), transport.takeWritten())
            self.hear(protocol, Opened(again, 9001, TOKENS[1], 60))


class ChangeTests(ManyCase):
    """Tunnels come and go."""

    def test_aCheckThatEndsBehindTheFarewellChangesNothing(self) -> None:
        protocol, transport = self.session()
        for tunnel in self.tunnels:
            self.link.remove(tunnel)
        transport.takeWritten()
        self.link.checked(3)
        self.link.tunnels.checkFailed(3, CheckFailed("visitors do not come through"))
        self.assertEqual((transport.takeWritten(), transport.aborted), (b"", False))
        self.lose(protocol)

    def test_oneMoreIsAskedForAtOnce(self) -> None:
        protocol, transport = self.session()
        more = tunnelOf(self.reactor, self.sink, TunnelSpec(Target(8003), name="d"))
        self.link.tunnels.add(more)
        self.assertEqual(transport.takeWritten(), encode(Open(4, 0)))
        self.hear(protocol, Opened(4, 20003, None, 60))
        self.assertEqual(self.successResultOf(more.whenOpened()), 20003)

    def test_oneWhosePortIsWantedForAnotherDoesNotShowTheTokenThatWouldKeepIt(self) -> None:
        reserved = {9001}
        spec = TunnelSpec(Target(8003), name="d", probe=False)
        more = Tunnel(cast(IReactor, self.reactor), spec, lambda spec, server: NoMemory(), self.sink, reserved)
        protocol, _ = self.session()
        self.link.tunnels.add(more)
        self.hear(protocol, Opened(4, 9009, TOKENS[3], 60))
        self.lose(protocol, ConnectionLost())
        reserved.add(9009)
        self.delayToNextAttempt()
        protocol, transport = self.connect()
        transport.takeWritten()
        self.hear(protocol, Extended(1))
        self.assertIn(encode(Open(4, 0)), transport.takeWritten())

    def test_oneMoreWaitsForTheAnswerOfTheServer(self) -> None:
        protocol, transport = self.connect()
        transport.takeWritten()
        memory = FakeMemory(Remembered(20007, TOKENS[3]))
        spec = TunnelSpec(Target(8003), name="d", probe=False)
        more = Tunnel(cast(IReactor, self.reactor), spec, lambda spec, server: memory, self.sink)
        self.link.tunnels.add(more)
        self.assertEqual(transport.takeWritten(), b"")
        self.hear(protocol, Extended(1))
        frames = self.asked(transport)
        self.assertEqual((len(frames), frames[3] + b"\0"), (4, encode(Open(4, 20007, TOKENS[3]))))

    def test_oneThatIsRemovedIsGivenBack(self) -> None:
        protocol, transport = self.session()
        closed = self.link.remove(self.tunnels[1])
        self.assertEqual(transport.takeWritten(), encode(Close(2)))
        self.hear(protocol, Visitor(2, uuid4(), None))
        self.assertEqual(self.visitors.ids, [])
        self.assertNoResult(closed)
        self.hear(protocol, Closed(2))
        self.successResultOf(closed)
        self.assertEqual(self.logged, [])

    def test_oneThatIsRemovedBeforeItsAnswerIsNeverUp(self) -> None:
        protocol, transport = self.begin()
        closed = self.link.remove(self.tunnels[1])
        self.hear(protocol, Opened(2, 20001, None, 60))
        self.assertNoResult(self.tunnels[1].whenOpened())
        self.hear(protocol, Closed(2))
        self.successResultOf(closed)
        closed = self.link.remove(self.tunnels[2])
        self.hear(protocol, Refused(*IN_USE, 3))
        self.successResultOf(closed)
        self.assertFalse(transport.aborted)

    def test_oneThatIsRemovedIsClosedWhenTheSessionIsLost(self) -> None:
        protocol, _ = self.session()
        closed = self.link.remove(self.tunnels[1])
        self.lose(protocol, ConnectionLost())
        self.successResultOf(closed)
        self.delayToNextAttempt()
        protocol, transport = self.connect()
        transport.takeWritten()
        self.hear(protocol, Extended(1))
        frames = [encode(Open(1, 20001, TOKENS[1])), encode(Close(1)), encode(Open(2, 20000, TOKENS[0]))]
        self.assertEqual([frame + b"\0" for frame in self.asked(transport)][:3], frames, "it may not have been read")

    def test_oneThatWaitsForItsNextRequestIsNotAskedForWhenItIsRemoved(self) -> None:
        protocol, transport = self.begin()
        self.hear(protocol, Opened(1, 20000, None, 60), Refused(*IN_USE, 2), Opened(3, 20002, None, 60))
        transport.takeWritten()
        self.successResultOf(self.link.remove(self.tunnels[1]))
        self.reactor.advance(5)
        self.assertEqual(transport.takeWritten(), b"")

    def test_theSessionEndsWithTheLast(self) -> None:
        protocol, transport = self.session()
        for tunnel in self.tunnels[:2]:
            self.link.remove(tunnel)
        transport.takeWritten()
        closed = self.link.remove(self.tunnels[2])
        self.assertEqual(transport.takeWritten(), encode(Goodbye()))
        self.assertTrue(self.link.stopped)
        self.lose(protocol)
        self.successResultOf(closed)
        self.assertEqual(self.reactor.getDelayedCalls(), [])
