"""The log of a client."""
# Longer than 300 lines: it has a line for each event.

from __future__ import annotations

from typing import Final
from uuid import UUID

from twisted.internet.task import Clock
from twisted.logger import LogEvent, formatEvent
from twisted.trial.unittest import SynchronousTestCase

import bore.events
from bore.client.log import ClientLog
from bore.events import (
    AdminSocketFailed,
    AdminSocketOpen,
    Draining,
    Event,
    NothingToReload,
    RestartNeeded,
    SettingsKept,
    SettingsMistake,
    SettingsReloaded,
    ShortSecret,
    StatusPortOpen,
    StatusTokensNotRead,
    StatusTokenWritten,
    Stopped,
    VisitorEnd,
    VisitorEvent,
    client,
)
from bore.events.client import (
    AddressChanged,
    CheckFailed,
    Connected,
    ConnectionAstray,
    GaveUp,
    HandedOver,
    HandoverBegun,
    HandoverFailed,
    HandoverIgnored,
    LaneClosed,
    LaneFailed,
    LaneOpened,
    LocalReached,
    LocalUnreachable,
    MessageIgnored,
    NextKeyLearned,
    NodeLost,
    NodeOpened,
    NoDescriptors,
    PortGivenUp,
    ServerLost,
    ServerMoved,
    ServerNew,
    ServerNotRemembered,
    ServerRemembered,
    ServerTrusted,
    SettingsAccepted,
    SettingsRefused,
    SettingsTried,
    Stage,
    StateFileFailed,
    StateFileTaken,
    StateTrouble,
    TookOver,
    TunnelGivenUp,
    TunnelUp,
    TurnedAway,
    UploadsUnlimited,
    Verdict,
    VisitorCame,
    VisitorLeft,
    VisitorNotUnderstood,
    VisitorRefused,
    VisitorServed,
    VisitorUnaccepted,
    VisitorUnserved,
)
from bore.wire.secret import SHORT_SECRET
from tests.fakes import captureLog
from tests.test_events import eventsIn

A, LOCAL, ID = "a:7835", "localhost:8000", str(UUID(int=0))


def lost(verdict: Verdict, stage: Stage = Stage.UNREACHED) -> ServerLost:
    return ServerLost(A, stage, "it is away", "", verdict, 1.234)


#: Events, and the lines of each: level and text.
LINES: Final[tuple[tuple[Event, tuple[str, ...]], ...]] = (
    (ShortSecret(), (f"warn {SHORT_SECRET}",)),
    (AdminSocketOpen("/run/a"), ()),
    (AdminSocketFailed("/run/a", "no"), ("warn no admin socket at /run/a: no",)),
    (Draining(7.0), ("info no new visitors from now on; running ones have 7 s, then the client ends",)),
    (StatusPortOpen("http://127.0.0.1:7836/"), ("info status at http://127.0.0.1:7836/",)),
    (StatusTokenWritten("/a"), ("info a new token for the status port was written to /a",)),
    (StatusTokensNotRead("/a is empty"), ("error the status port accepts no token: /a is empty",)),
    (NothingToReload(), ("info nothing to reload: restart the client for other options",)),
    (SettingsReloaded("/x", "1 added"), ("info /x reloaded: 1 added",)),
    (SettingsMistake("/x:1: a: wrong"), ("error /x:1: a: wrong",)),
    (SettingsKept("/x"), ("error /x has mistakes: the settings stay as they are",)),
    (RestartNeeded("a, b"), ("warn restart the program to change a, b",)),
    (Stopped(), ()),
    (Connected(A), ()),
    (ServerTrusted(A, "SHA256:x", "known"), ("info TLS with a:7835: key SHA256:x, known",)),
    (
        ServerNew(A, "SHA256:x"),
        (
            "warn the server a:7835 is new, and trusted on first use: compare its key SHA256:x with the one that the "
            "server has logged",
        ),
    ),
    (NextKeyLearned(A, "k"), ("info a:7835 has announced its next key, k, which is known from now on",)),
    (ServerRemembered(A, "/x"), ("info the key of a:7835 was added to /x",)),
    (
        ServerNotRemembered(A, "SHA256:x", "No space left"),
        ("warn what a:7835 has shown cannot be written down (No space left): give --tls-fingerprint SHA256:x",),
    ),
    (lost(Verdict.RETRY), ("warn cannot reach a:7835: it is away", "info next attempt in 1.2 s")),
    (lost(Verdict.LATER, Stage.NO_TUNNEL), ("warn no tunnel from a:7835: it is away", "info next attempt in 1.2 s")),
    (lost(Verdict.CLOCK, Stage.TUNNEL), ("error lost a:7835: it is away", "info next attempt in 1.2 s")),
    (
        lost(Verdict.UNPROVEN),
        (
            "error cannot reach a:7835: it is away; nothing proves that this is the right server, so the client goes "
            "on trying",
            "info next attempt in 1.2 s",
        ),
    ),
    (
        lost(Verdict.DROP),
        (
            "error cannot reach a:7835: it is away; it is not tried again before there was a tunnel at another server",
            "info next attempt in 1.2 s",
        ),
    ),
    (
        lost(Verdict.DROP_FOR_GOOD),
        ("error cannot reach a:7835: it is away; it is not tried again", "info next attempt in 1.2 s"),
    ),
    (
        ServerLost(A, Stage.NO_TUNNEL, "in use", "port-in-use", Verdict.RETRY, 1.2, "db"),
        ("warn db: no tunnel from a:7835: in use", "info db: next attempt in 1.2 s"),
    ),
    (
        PortGivenUp(A, "in use", "db"),
        ("warn db: in use: the public port cannot be had back, any other will do",),
    ),
    (NodeOpened(A), ("info the tunnels are at a:7835, too",)),
    (
        NodeLost(A, Stage.UNREACHED, "it is away"),
        ("warn cannot reach a:7835: it is away; the tunnels are up at another node",),
    ),
    (AddressChanged("a:1", "a:2", LOCAL, "db"), ("warn db: the public address changed from a:1 to a:2",)),
    (CheckFailed(LOCAL, 1, 3, "refused", "db"), ("warn db: check 1 of 3: refused",)),
    (
        VisitorRefused(LOCAL, TurnedAway.TOO_MANY, 7, "db"),
        ("warn db: the limit of visitors is reached, 7: more are turned away",),
    ),
    (PortGivenUp(A, "in use"), ("warn in use: the public port cannot be had back, any other will do",)),
    (ServerMoved(A, "", "", 0.5), ("info a:7835 asks this client to come again, in 0.5 s",)),
    (ServerMoved(A, "", "", 0.04), ("info a:7835 asks this client to come again, at once",)),
    (ServerMoved(A, "b:7835", "", 0.5), ("info a:7835 moves this client to b:7835, in 0.5 s",)),
    (
        ServerMoved(A, "", "tls://c", 0.5),
        (
            "warn a:7835 sends this client to tls://c, which is not followed: that needs TLS, and a server that is "
            "known",
            "info a:7835 asks this client to come again, in 0.5 s",
        ),
    ),
    (
        SettingsTried(A),
        ("info the new settings are tried at a:7835: the tunnels stay as they are until a server accepts them",),
    ),
    (HandoverIgnored("it stops"), ("warn no successor is started: it stops",)),
    (HandoverBegun(), ("info a successor is started, to take over when it has all tunnels",)),
    (HandoverFailed("late"), ("error the successor has not taken over, and this process goes on: late",)),
    (
        HandedOver(7, 3, 3600.0),
        ("info process 7 has taken over; this one ends with its last visitor, or in 3600 s: 3 now",),
    ),
    (TookOver(6), ("info taken over from process 6",)),
    (SettingsAccepted(A), ("info a:7835 has accepted the new settings",)),
    (
        SettingsRefused("invalid secret", 64.0),
        (
            "error the new settings are not in effect, and the tunnels stay open with the former ones: invalid secret. "
            "They are tried again in 64 s",
        ),
    ),
    (
        SettingsRefused("invalid secret", 0),
        (
            "error the new settings are not in effect, and the tunnels stay open with the former ones: invalid secret. "
            "They are tried again at the next reload",
        ),
    ),
    (TunnelGivenUp("db", LOCAL, "in use"), ("error db: in use: this tunnel is given up",)),
    (GaveUp("it is away"), ()),
    (MessageIgnored(A, "Hello(1)"), ("warn the server sent Hello(1): ignored, and so are others like it",)),
    (
        ConnectionAstray(A, "another key"),
        ("error a further connection to the server was closed: another key",),
    ),
    (TunnelUp("a:20001", LOCAL, True), ("info listening at a:20001 -> localhost:8000",)),
    (AddressChanged("a:1", "a:2", LOCAL), ("warn the public address changed from a:1 to a:2",)),
    (CheckFailed(LOCAL, 1, 3, "refused"), ("warn check 1 of 3: refused",)),
    (StateFileFailed("/x", StateTrouble.IGNORED, "it is a link"), ("warn /x is ignored: it is a link",)),
    (
        StateFileFailed("/x", StateTrouble.UNWRITABLE, "No space left"),
        ("warn /x cannot be written: No space left; if it stays so, the public port is not remembered",),
    ),
    (StateFileFailed("/x", StateTrouble.UNUSABLE, "it is a link"), ("warn /x cannot be used: it is a link",)),
    (
        StateFileTaken(A, LOCAL),
        ("info another client has a tunnel from a:7835 to localhost:8000: this client starts without its saved port",),
    ),
    (UploadsUnlimited(LOCAL), ("warn localhost:8000 is a Unix socket: the bandwidth limits only what it sends",)),
    (LocalUnreachable(LOCAL, "refused"), ("warn the local service localhost:8000 cannot be reached: refused",)),
    (LocalReached(LOCAL, 1, 1.0), ()),
    (VisitorUnaccepted(LOCAL, "refused"), ("warn no connection to the server for a visitor: refused",)),
    (
        VisitorRefused(LOCAL, TurnedAway.TOO_MANY, 7),
        ("warn the limit of visitors is reached, 7: more are turned away",),
    ),
    (
        VisitorRefused(LOCAL, TurnedAway.TOO_MANY_WAITING, 7),
        ("warn the limit of visitors that wait is reached, 7: more are ignored",),
    ),
    (VisitorNotUnderstood("no id"), ("warn a visitor that the server does not describe as it should: no id",)),
    (
        NoDescriptors(7),
        (
            "warn no descriptors are left for visitors: new ones wait until others leave; 7 may be open, the limit "
            "(ulimit -n) less a few",
        ),
    ),
    (LaneFailed(A, "refused"), ("warn a lane could not be opened: refused",)),
    (VisitorCame(ID, LOCAL, None), (f"debug visitor {ID}",)),
    (VisitorCame(ID, LOCAL, 7), (f"debug visitor {ID} on lane 7",)),
    (VisitorUnserved(ID, LOCAL, "refused"), (f"debug visitor {ID} was not served: refused",)),
    (VisitorServed(ID, LOCAL), ()),
    (
        VisitorLeft(ID, LOCAL, 1, 2, 3.0, VisitorEnd.FINISHED),
        (f"debug visitor {ID} is gone: both directions ended in order; 1 B from it, 2 B to it",),
    ),
    (LaneOpened(A, 7), ("debug lane 7 opened",)),
    (LaneClosed(A, 7), ("debug lane 7 is gone",)),
)


class LogCase(SynchronousTestCase):
    """A log, and what is written to it."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.log = ClientLog(self.clock)
        self.events: list[LogEvent] = captureLog(self)
        self.addCleanup(lambda: self.log(Stopped()))

    def takeLines(self) -> tuple[str, ...]:
        """What was logged since the last call."""
        lines = tuple(f"{event['log_level'].name} {formatEvent(event)}" for event in self.events)
        self.events.clear()
        return lines


class LineTests(LogCase):
    """The line of each event."""

    def test_eachEventHasItsLinesOrExplicitlyNone(self) -> None:
        self.assertEqual({type(event) for event, _ in LINES}, set(eventsIn(bore.events, client)))
        for event, lines in LINES:
            self.log = ClientLog(self.clock)
            self.log(event)
            self.clock.advance(1)
            self.assertEqual(self.takeLines(), lines, event)
            self.log(Stopped())

    def test_anUnknownEventIsAFault(self) -> None:
        class Other(Event):
            """Another fact."""

        self.assertRaises(AssertionError, self.log, Other())

    def test_linesOfSingleVisitorsAreForDebugging(self) -> None:
        for event, lines in LINES:
            self.assertEqual(
                any(line.startswith("debug") for line in lines), isinstance(event, VisitorEvent) and bool(lines)
            )

    def test_onlyANewAddressIsAnnounced(self) -> None:
        for new in (True, False):
            self.log(TunnelUp("a:20001", LOCAL, new))
        self.assertEqual([event["announce"] for event in self.events], [True, False])


class BurstTests(LogCase):
    """What comes by the thousand."""

    def test_eachKindHasOneLineInABurst(self) -> None:
        for event in (ConnectionAstray(A, "x"), VisitorNotUnderstood("x"), NoDescriptors(7), LaneFailed(A, "x")):
            for _ in range(50):
                self.log(event)
                self.clock.advance(1)
            self.assertEqual(len(self.takeLines()), 1, event)
            self.clock.advance(10)
            self.log(event)
            self.assertEqual(len(self.takeLines()), 1, event)

    def test_messagesAreIgnoredWithOneLineForEachConnection(self) -> None:
        for _ in range(3):
            self.log(Connected(A))
            for _ in range(50):
                self.log(MessageIgnored(A, "Hello(1)"))
        self.assertEqual(len(self.takeLines()), 3)

    def test_theEndSumsUpAndLeavesNoTimer(self) -> None:
        for _ in range(5):
            self.log(VisitorUnaccepted(LOCAL, "refused"))
        self.takeLines()
        self.log(Stopped())
        self.assertEqual(self.takeLines(), ("warn no connection to the server for a visitor: refused (5 times)",))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_afterTheEndItLogsAgain(self) -> None:
        for _ in range(2):
            self.log(Connected(A))
            self.log(VisitorUnaccepted(LOCAL, "refused"))
            self.assertEqual(len(self.takeLines()), 1)
            self.log(Stopped())

    def test_aVisitorThatFailsAfterTheEndHasNoLineAndNoTimer(self) -> None:
        self.log(VisitorUnaccepted(LOCAL, "refused"))
        self.log(Stopped())
        self.takeLines()
        self.log(VisitorUnaccepted(LOCAL, "refused"))
        self.assertEqual((self.takeLines(), self.clock.getDelayedCalls()), ((), []))
