"""The vocabulary of events, and the sink that passes them on."""

from __future__ import annotations

import ast
import enum
import inspect
import re
import sys
from dataclasses import FrozenInstanceError, fields, is_dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, get_args, get_type_hints

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

import bore.events
from bore.client import log as clientLog
from bore.events import Event, Sink, Stopped, VisitorEnded, VisitorEvent, client, entryOf, nameOf, server
from bore.logs import observers
from bore.server import log as serverLog
from bore.wire.errors import PortInUse
from bore.wire.publicaddress import OtherKind, UnixPath
from bore.wire.values import value


def eventsIn(*modules: ModuleType) -> list[type[Event]]:
    """The events that these modules define."""
    return [
        each
        for module in modules
        for each in vars(module).values()
        if inspect.isclass(each) and issubclass(each, Event) and each.__module__ == module.__name__
        and each not in (Event, VisitorEvent, VisitorEnded)
    ]  # fmt: skip


ALL = eventsIn(bore.events, server, client)

#: What an event may hold.
VALUES = (str, int, float, bool, type(None), enum.Enum, UnixPath, OtherKind, Exception)


@value
class Thing(Event):
    """Something that happens."""

    number: int
    text: str = "none"


@value
class Detail(VisitorEvent):
    """Something that happens to a visitor."""


@value
class End(VisitorEnded):
    """The end of a visitor."""


class VocabularyTests(SynchronousTestCase):
    """What is true of each event."""

    def test_itIsAFrozenValueWithoutAnAttributeBeyondItsFields(self) -> None:
        self.assertGreater(len(ALL), 50)
        for each in ALL:
            self.assertTrue(is_dataclass(each) and "__slots__" in vars(each), each)
            made: Any = object.__new__(each)
            self.assertFalse(hasattr(made, "__dict__"), each)
            with self.assertRaises((FrozenInstanceError, TypeError)):
                made.anything = 1

    def test_itHasTheMethodsOfADataclass(self) -> None:
        thing = Thing(1, text="a")
        self.assertEqual(thing, Thing(number=1, text="a"))
        self.assertNotEqual(thing, Thing(1))
        self.assertNotEqual(Detail(), Event())
        self.assertEqual(len({thing, Thing(1, "a"), Thing(2, "a")}), 2)
        self.assertEqual(repr(Thing(1)), "Thing(number=1, text='none')")
        match thing:
            case Thing(number, text):
                self.assertEqual((number, text), (1, "a"))

    def test_aFieldThatIsMissingOrTwiceThereOrUnknownIsAFault(self) -> None:
        make: Any = Thing
        for values, named in (((), {}), ((1, "a", 2), {}), ((1,), {"number": 1}), ((1,), {"other": 1})):
            with self.assertRaises(TypeError):
                make(*values, **named)

    def test_itHoldsValuesAndNoLiveObject(self) -> None:
        for each in ALL:
            for name, hint in get_type_hints(each).items():
                for kind in get_args(hint) or (hint,):
                    self.assertTrue(issubclass(kind, VALUES), f"{each.__name__}.{name}: {kind}")

    def test_noFieldHasANameThatTheLogKeepsForItself(self) -> None:
        taken = observers.RESERVED
        self.assertLessEqual({"time", "level", "source", "message", "format", "system", "announce"}, taken)
        for each in ALL:
            self.assertEqual({field.name for field in fields(each)} & taken, set(), each.__name__)


class TextTests(SynchronousTestCase):
    """The lines of the logs."""

    def test_noneHasANumberInFrontOfAPlural(self) -> None:
        counted = re.compile(r"\{(count|limit|others|addresses|sessions|tunnels|visitors)\} ([a-z]+ )?[a-z]+s\b")
        several = (  # there are always some
            "{count} tunnels: ",
            "({count} times)",
            "{count} local services cannot be reached",
            "more than {limit} addresses cause errors",
            "serves about {count} visitors at a time",
        )
        found = [
            (path.name, node.value)
            for path in Path(bore.events.__file__).parents[1].rglob("*.py")
            for node in ast.walk(ast.parse(path.read_text("utf-8")))
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and counted.search(node.value)
        ]
        self.assertEqual([each for each in found if not any(text in each[1] for text in several)], [])


class SinkTests(SynchronousTestCase):
    """The sink."""

    def test_itPassesAnEventToEachSubscriberInOrder(self) -> None:
        sink, got = Sink(), list[tuple[str, Event]]()
        sink.subscribe(lambda event: got.append(("first", event)))
        sink.subscribe(lambda event: got.append(("second", event)))
        sink.emit(Thing(1))
        self.assertEqual(got, [("first", Thing(1)), ("second", Thing(1))])

    def test_withoutASubscriberAnEventIsLost(self) -> None:
        Sink().emit(Thing(1))

    def test_nobodyWantsVisitorsUnlessASubscriberSaysSo(self) -> None:
        sink = Sink()
        self.assertFalse(sink.visitors)
        sink.subscribe(lambda event: None)
        self.assertFalse(sink.visitors or sink.ends)
        sink.subscribe(lambda event: None, visitors=True)
        self.assertTrue(sink.visitors and sink.ends)

    def test_visitorEventsGoOnlyToThoseThatWantThem(self) -> None:
        sink, some, all = Sink(), list[Event](), list[Event]()
        sink.subscribe(some.append)
        sink.subscribe(all.append, visitors=True)
        sink.emit(Detail())
        sink.emit(Thing(2))
        self.assertEqual(some, [Thing(2)])
        self.assertEqual(all, [Detail(), Thing(2)])

    def test_whoWantsTheEndsOfVisitorsAloneGetsThoseAndWhatIsNoVisitor(self) -> None:
        sink, ends, all = Sink(), list[Event](), list[Event]()
        sink.subscribe(ends.append, ends=True)
        self.assertEqual((sink.ends, sink.visitors), (True, False))
        sink.subscribe(all.append, visitors=True)
        for event in (Detail(), End(), Thing(1)):
            sink.emit(event)
        self.assertEqual(ends, [End(), Thing(1)])
        self.assertEqual(all, [Detail(), End(), Thing(1)])

    def test_oneThatRaisesBreaksNeitherThePathNorTheOthersAndIsReportedOnce(self) -> None:
        def broken(event: Event) -> None:
            raise ValueError("no room")

        def alsoBroken(event: Event) -> None:
            raise OSError

        reports, got = list[object](), list[Event]()
        sink = Sink(lambda subscriber, event: reports.append((subscriber, event, sys.exc_info()[0])))
        for each in (broken, got.append, alsoBroken):
            sink.subscribe(each, visitors=True)
        for event in (Thing(1), Detail(), Thing(2)):
            sink.emit(event)
        self.assertEqual(got, [Thing(1), Detail(), Thing(2)])
        self.assertEqual(reports, [(broken, Thing(1), ValueError), (alsoBroken, Thing(1), OSError)])

    def test_bothLogsReportItWithItsTraceback(self) -> None:
        for logged in (clientLog.logged, serverLog.logged):
            sink = logged(Clock())
            sink.subscribe(lambda event: 1 // 0)
            for _ in range(3):
                sink.emit(Stopped())
            self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


class NameTests(SynchronousTestCase):
    """The names of events for programs."""

    def test_itIsTheClassInKebabCase(self) -> None:
        for kind, name in ((Stopped, "stopped"), (server.TunnelOpened, "tunnel-opened"), (client.GaveUp, "gave-up")):
            self.assertEqual(nameOf(kind), name)

    def test_noRoleHasANameTwice(self) -> None:
        for role in (client, server):
            names = [nameOf(kind) for kind in eventsIn(bore.events, role)]
            self.assertEqual(len(set(names)), len(names))
            for name in names:
                self.assertRegex(name, r"^[a-z]+(-[a-z]+)*$")

    def test_aLogHasTheNameTheFieldsAndTheCode(self) -> None:
        refused = server.TunnelRefused("192.0.2.1:1", "192.0.2.1", 80, PortInUse())
        self.assertEqual(
            entryOf(refused),
            {
                "event": "tunnel-refused",
                "peer": "192.0.2.1:1",
                "network": "192.0.2.1",
                "asked": 80,
                "error": "port already in use",
                "code": "port-in-use",
            },
        )
        self.assertEqual(entryOf(server.TunnelRefused("a", "b", 80, PortInUse(), "alice"))["user"], "alice")
