"""What has happened is counted."""

from __future__ import annotations

import enum
import gc
import weakref
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

from twisted.trial.unittest import SynchronousTestCase

import bore.events
from bore.events import Event, Sink, VisitorEvent, client, server
from bore.status.history import RECENT, History
from bore.status.report import eventCounts, eventReports
from bore.status.slices import atOnce
from bore.wire.errors import PortInUse, ProtocolViolation, Refusal
from tests.test_events import eventsIn


def example(kind: type[Event]) -> Event:
    """An event of a kind."""
    make: Any = kind
    made: Event = make(**{name: _value(hint) for name, hint in get_type_hints(kind).items()})
    return made


def _value(hint: Any) -> object:
    if get_origin(hint) is UnionType:
        hint = get_args(hint)[0]
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return next(iter(hint))
    if isinstance(hint, type) and issubclass(hint, Refusal | ProtocolViolation):
        return PortInUse()
    return hint(1) if hint in (int, float, bool) else "text"


def history(role: Any = server) -> tuple[Sink, History]:
    """What has happened at a server, or a client."""
    sink = Sink()
    return sink, History(sink, role.VisitorRefused, wallClock=lambda: 1_700_000_000.0)


class ReachTests(SynchronousTestCase):
    """Each kind of event arrives."""

    def assertAllAreCounted(self, role: Any) -> None:
        kinds = [kind for kind in eventsIn(bore.events, role) if not issubclass(kind, VisitorEvent)]
        self.assertGreater(len(kinds), 20)
        sink, kept = history(role)
        for kind in kinds:
            sink.emit(example(kind))
        counts = eventCounts(kept)
        self.assertEqual(set(counts.values()), {1})
        self.assertEqual(len(counts), len(kinds))
        self.assertEqual([each.event for each in atOnce(eventReports(kept))], list(counts))

    def test_ofAServer(self) -> None:
        self.assertAllAreCounted(server)

    def test_ofAClient(self) -> None:
        self.assertAllAreCounted(client)

    def test_thoseOfSingleVisitorsAreNotMadeForIt(self) -> None:
        sink, _ = history()
        self.assertFalse(sink.visitors)


class HistoryTests(SynchronousTestCase):
    """Counts, refusals, and the last ones."""

    def test_theLastOnesAreKept(self) -> None:
        sink, kept = history()
        for number in range(RECENT + 1):
            sink.emit(server.AuthoritiesRead(number))
        recent = atOnce(eventReports(kept))
        self.assertEqual(len(recent), RECENT)
        self.assertEqual(recent[0].fields, {"count": 1})
        self.assertEqual(recent[-1].text, f"authorities read: count {RECENT}")
        self.assertEqual(recent[-1].at, "2023-11-14T22:13:20.000Z")
        self.assertEqual(eventCounts(kept), {"authorities-read": RECENT + 1})

    def test_aTimeIsShortInTheTextAndExactInTheFields(self) -> None:
        sink, kept = history()
        sink.emit(server.FirstMessageTimedOut("192.0.2.1:1", "192.0.2.1", 3.0123))
        [one] = atOnce(eventReports(kept))
        self.assertTrue(one.text.endswith("seconds 3.0"), one.text)
        self.assertEqual(one.fields["seconds"], 3.0123)

    def test_refusalsAreCountedByTheirCode(self) -> None:
        sink, kept = history()
        for _ in range(2):
            sink.emit(server.TunnelRefused("192.0.2.1:1", "192.0.2.1", 80, PortInUse()))
        sink.emit(server.VisitorRefused(80, "192.0.2.2", server.TurnedAway.TOO_MANY, 10, "192.0.2.2:1"))
        sink.emit(server.SessionLost("192.0.2.1:1", "192.0.2.1", server.Loss.GONE))
        self.assertEqual(kept.refused, {"port-in-use": 2, "too-many": 1})

    def test_aClientCountsWhatItWasRefused(self) -> None:
        sink, kept = history(client)
        lost = client.Stage.NO_TUNNEL, "port in use", "port-in-use", client.Verdict.RETRY, 1.0
        sink.emit(client.ServerLost("h:1", *lost))
        sink.emit(client.ServerLost("h:1", client.Stage.UNREACHED, "refused", "", client.Verdict.RETRY, 1.0))
        sink.emit(client.VisitorRefused("l:1", client.TurnedAway.TOO_MANY, 1))
        self.assertEqual(kept.refused, {"port-in-use": 1, "too-many": 1})

    def test_refusedVisitorsInARowAreKeptAsOne(self) -> None:
        sink, kept = history()
        sink.emit(server.AuthoritiesRead(1))
        for number in range(RECENT):
            sink.emit(server.VisitorRefused(80, "192.0.2.2", server.TurnedAway.TOO_MANY, 10, f"192.0.2.2:{number}"))
        sink.emit(server.AuthoritiesRead(2))
        names = [each.event for each in atOnce(eventReports(kept))]
        self.assertEqual(names, ["authorities-read", "visitor-refused", "authorities-read"])
        self.assertEqual(atOnce(eventReports(kept))[1].fields["visitor"], "192.0.2.2:0")
        self.assertEqual(kept.refused, {"too-many": RECENT})

    def test_anErrorDoesNotKeepWhatHasRaisedIt(self) -> None:
        sink, kept = history()

        class Connection:
            def refuse(self) -> None:
                try:
                    raise PortInUse
                except PortInUse as e:
                    sink.emit(server.TunnelRefused("192.0.2.1:1", "192.0.2.1", 80, e))

        connection = Connection()
        gone = weakref.ref(connection)
        connection.refuse()
        del connection
        gc.collect()
        self.assertIsNone(gone())
        self.assertEqual(atOnce(eventReports(kept))[0].fields["code"], "port-in-use")

    def test_whatTheNetworkHasSentIsTextInTheFields(self) -> None:
        sink, kept = history()
        sink.emit(server.HandshakeFailed("192.0.2.1:1", "192.0.2.1", "\x1b[2J"))
        [one] = atOnce(eventReports(kept))
        self.assertEqual(one.fields["error"], "\x1b[2J")
