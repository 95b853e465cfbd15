"""The log of a server: every event has a line, or none on purpose, and a line says what its event says."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import fields
from enum import Enum
from io import StringIO
from typing import get_args, get_type_hints

from twisted.internet.task import Clock
from twisted.logger import LogEvent, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from bore import events
from bore.events import Event, VisitorEnd, entryOf, nameOf
from bore.events import server as facts
from bore.events.server import Admission, Limit, Loss, TunnelEnd, TurnedAway
from bore.logs.observers import JSONObserver
from bore.server.log import LINES, SILENT, ServerLog, logged
from bore.wire.errors import (
    CertificateRefused,
    InvalidSecret,
    PresumedGone,
    ProtocolViolation,
    ProxyHeader,
    Refusal,
    ShuttingDown,
    TooManyTunnels,
)
from bore.wire.publicaddress import OtherKind, UnixPath
from tests.fakes import captureLog
from tests.test_events import eventsIn

#: Fields that a line has beside those of its event, as they are parts of its text.
DERIVED = {facts.Listening: {"tls", "secret"}, facts.ConnectionRefused: {"address"}}
DERIVED[facts.TunnelRefused] = DERIVED[facts.SessionClosed] = DERIVED[facts.ConnectionRefused]


def samples(kind: type[object]) -> list[object]:
    """Values of a type that a field may have."""
    if issubclass(kind, Enum):
        return list(kind)
    if issubclass(kind, Refusal):
        return [InvalidSecret(), ProxyHeader(), TooManyTunnels(), CertificateRefused(), ShuttingDown(), PresumedGone()]
    if issubclass(kind, ProtocolViolation):
        return [ProtocolViolation("no message")]
    values: dict[type[object], list[object]] = {
        str: ["192.0.2.1:4711"],
        int: [0, 7],
        float: [1.5],
        bool: [True, False],
        type(None): [None],
        OtherKind: [],  # no tunnel has one
        UnixPath: [UnixPath("/run/bore/web.sock")],
    }
    return values[kind]


def examples(kind: type[Event]) -> Iterator[Event]:
    """Events of one kind, with all that their fields may be."""
    hints = get_type_hints(kind)
    names = [field.name for field in fields(kind)]
    choices = [[each for part in get_args(hints[name]) or (hints[name],) for each in samples(part)] for name in names]
    for values in itertools.product(*choices):
        yield kind(**dict(zip(names, values, strict=True)))


class LogCase(SynchronousTestCase):
    """A log of its own, and what it has written."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.log = ServerLog(self.clock)
        self.logged = captureLog(self)
        self.addCleanup(self.log, events.Stopped())

    def lines(self) -> list[str]:
        """What was logged since the last call."""
        lines = [f"{event['log_level'].name}: {formatEvent(event)}" for event in self.logged]
        self.logged.clear()
        return lines


class EveryEventTests(LogCase):
    """What is true for each event of a server."""

    def test_itHasALineOrNoneOnPurpose(self) -> None:
        for kind in eventsIn(events, facts):
            written = 0
            for event in examples(kind):
                log = ServerLog(Clock())
                log(event)
                written += len(self.lines())
            self.assertEqual(written > 0, kind not in SILENT | {events.Stopped}, kind.__name__)

    def test_theFieldsOfALineAsJsonAreThoseOfItsEvent(self) -> None:
        for kind in eventsIn(events, facts):
            for event in examples(kind):
                ServerLog(Clock())(event)
                expected = {name: str(value) for name, value in entryOf(event).items()}
                for line in map(self.asJson, self.logged):
                    for name in ("time", "level", "source"):
                        del line[name]
                    self.assertEqual(line["event"], nameOf(kind))
                    self.assertNotIn("unable to format", str(line.pop("message")).lower(), kind.__name__)
                    self.assertEqual(line.keys() - expected.keys() - DERIVED.get(kind, set()), set(), kind.__name__)
                    found = {name: str(line[name]) for name in expected.keys() & line.keys()}
                    self.assertEqual(found, {name: expected[name] for name in found}, kind.__name__)
                self.logged.clear()

    def asJson(self, event: LogEvent) -> dict[str, object]:
        """A line, as it is written with --log-format json."""
        file = StringIO()
        JSONObserver(file)(event)
        line: dict[str, object] = json.loads(file.getvalue())
        return line

    def test_noEventHasTwoPlaces(self) -> None:
        self.assertEqual(LINES.keys() & SILENT, set())

    def test_anEventThatNobodyHasThoughtOfIsAFault(self) -> None:
        self.assertRaises(AssertionError, self.log, Event())


class LinesTests(LogCase):
    """Lines that depend on more than their event's kind."""

    def test_theServerSaysWhereItListensAndWhoMayOpenTunnels(self) -> None:
        self.log(facts.Listening("192.0.2.1:7835", None, "::", 1, 9, Admission.SECRET))
        self.log(facts.Listening("192.0.2.1:443", "sha256:ab", "::", 1, 9, Admission.CERTIFICATE))
        self.assertEqual([event["announce"] for event in self.logged], [True, True])
        self.assertEqual(
            self.lines(),
            [
                "info: listening on 192.0.2.1:7835, tunnels on :: 1-9, with a secret",
                "info: listening on 192.0.2.1:443 with TLS, key sha256:ab, tunnels on :: 1-9, without a secret: anyone "
                "with a certificate may open tunnels",
            ],
        )

    def test_anEngineThatIsAwayHasALineThatTellsWhatFollows(self) -> None:
        self.log(facts.EngineUnanswered("the engine cannot be used: connection refused", 50.2))
        self.log(facts.EngineUnanswered("the engine cannot be used: connection refused", 0.0))
        self.assertEqual(
            self.lines(),
            [
                "warn: the engine cannot be used: connection refused; tunnels go on for 50 s, new ones are refused",
                "warn: the engine cannot be used: connection refused; no tunnel is opened",
            ],
        )

    def test_theLifeOfATunnel(self) -> None:
        peer, network = "192.0.2.1:4711", "192.0.2.1"
        self.log(facts.TunnelOpened(7, peer, network))
        self.log(facts.TunnelLost(7, peer, network, Loss.NO_ANSWER, 60))
        self.log(facts.TunnelBack(7, peer, network))
        self.log(facts.TunnelLost(7, peer, network, Loss.GONE, 0))
        for end in TunnelEnd:
            self.log(facts.TunnelClosed(7, network, end))
        self.assertEqual(
            self.lines(),
            [
                "info: port 7: opened for 192.0.2.1:4711",
                "info: port 7: 192.0.2.1:4711 does not answer, kept for 60 s",
                "info: port 7: 192.0.2.1:4711 is back",
                "info: port 7: 192.0.2.1:4711 is gone",
                "info: port 7: closed",
                "info: port 7: given back",
                "info: port 7: the client did not come back, the port is free",
                "info: port 7: closed, as its user may not have it any more",
                "info: port 7: closed by the operator",
                "info: port 7: its client gives no sign of life, and another one needs its place",
            ],
        )

    def test_aWrongSecretHasALineForFail2ban(self) -> None:
        for number in range(3):
            self.log(facts.ConnectionRefused(f"[2001:db8::1]:{number}", "2001:db8::", InvalidSecret()))
        self.clock.pump([1.0] * 10)
        line = "warn: wrong secret from 2001:db8::1"
        self.assertEqual(self.lines(), [line, f"{line}: 2 more in 10 s"])

    def test_visitorsThatAreTurnedAwayAreCountedForEachTunnel(self) -> None:
        for port in (7, 8):
            for _ in range(5):
                self.log(facts.VisitorRefused(port, "192.0.2.1", TurnedAway.TOO_MANY, 3, "192.0.2.1:4711"))
        text = "the limit of visitors is reached, 3: more are closed"
        self.assertEqual(self.lines(), [f"warn: port 7: {text}", f"warn: port 8: {text}"])
        self.clock.pump([1.0] * 20)
        self.assertEqual(self.lines(), [f"warn: port 7: {text} (5 times)", f"warn: port 8: {text} (5 times)"])

    def test_aTunnelThatIsClosedLeavesItsSumsAndNothingElse(self) -> None:
        for _ in range(2):
            self.log(facts.VisitorRefused(7, "192.0.2.1", TurnedAway.NO_CLIENT, 0, "192.0.2.1:4711"))
        self.log(facts.TunnelClosed(7, "192.0.2.1", TunnelEnd.STOPPED))
        self.assertEqual(self.log._visitors, {})
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertTrue(self.lines()[-1].endswith("(2 times)"))

    def test_visitorsThatAreHeldBackAreReportedOnceForABurst(self) -> None:
        for _ in range(3):
            self.log(facts.VisitorsHeldBack(7, 128))
            self.log(facts.VisitorsLetIn(7))
        self.log(facts.VisitorsHeldBack(8, 0))
        self.assertEqual(
            self.lines(), ["warn: port 7: visitors that wait for the client: 128; more are not accepted yet"]
        )  # fmt: skip

    def test_aTimeWithoutDescriptorsIsReportedWhenItBeginsAndWhenItIsOver(self) -> None:
        for second in range(20):
            if second < 8:
                self.log(facts.AcceptFailed("192.0.2.1:7835", "Too many open files"))
            self.clock.advance(1)
        self.assertEqual(
            self.lines(),
            [
                "warn: cannot accept on 192.0.2.1:7835: Too many open files; new connections wait",
                "info: new connections are accepted again",
            ],
        )

    def test_theEndOfTheServerLeavesNoSumUnwrittenAndNoTimer(self) -> None:
        for _ in range(2):
            self.log(facts.LimitReached(Limit.TUNNELS, 4096))
            self.log(facts.VisitorNotTaken(7, "192.0.2.9:80", 10.0))
            self.log(facts.ConnectionRefused("192.0.2.1:1", "192.0.2.1", InvalidSecret()))
        self.log(facts.AcceptFailed("192.0.2.1:7835", "Too many open files"))
        self.lines()
        self.log(events.Stopped())
        self.assertEqual(len(self.lines()), 3)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class SinkTests(SynchronousTestCase):
    """A sink that is logged."""

    def test_singleVisitorsAreLoggedOnlyIfThatIsAskedFor(self) -> None:
        lines = captureLog(self)
        for visitors in (False, True):
            sink = logged(Clock(), visitors)
            self.assertEqual(sink.visitors, visitors)
            sink.emit(facts.VisitorLeft("1", 7, 10, 20, 1.5, VisitorEnd.VISITOR_CUT, "192.0.2.1:4711"))
            self.assertEqual(len(lines), visitors)
        self.assertEqual(
            formatEvent(lines[0]),
            "the visitor 1 is gone: the visitor's side was cut; 10 B to the client, 20 B to the visitor",
        )
