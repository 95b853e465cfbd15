"""Snapshots in parts, and as values again."""

from __future__ import annotations

import json
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bore.status.merging import Closed, Worker, merged
from bore.status.parts import Assembly, parts, read
from bore.status.report import EventReport, ProcessReport, ServerReport, TunnelReport
from bore.status.slices import atOnce
from bore.status.totals import NOTHING
from bore.wire.workermessages import MAX_PART
from tests.status.pagereports import HOSTILE, busyServer, serverReport, tunnelReport
from tests.status.reports import server, tunnel
from tests.wire.strategies import UNHURRIED


def assembled(*written: bytes) -> ServerReport:
    assembly = Assembly(ServerReport)
    for each in written:
        assembly.add(each)
    return assembly.whole()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
KEYS = st.sampled_from([name.rstrip("_") for name in ServerReport.__match_args__])


class PartsTests(SynchronousTestCase):
    """What a worker sends."""

    def test_aSnapshotIsTheSameAgain(self) -> None:
        for report in (
            server(),
            busyServer(400),
            serverReport(tunnelReport("unix:/run/a", 5, 2, True, user=HOSTILE), text=HOSTILE),
            replace(server(tunnel(1)), supervisor=ProcessReport(1.25, 3, 4)),
            atOnce(
                merged(server(), [Worker(1, 1, 2, "serving", "T", 1.0, True, server(tunnel(2)))], Closed(NOTHING, []))
            ),
        ):
            self.assertEqual(list(parts(assembled(*parts(report)))), list(parts(report)))
            self.assertEqual(assembled(*parts(report)).tunnels, list(report.tunnels))

    def test_partsHaveABound(self) -> None:
        written = list(parts(busyServer(1000)))
        self.assertGreater(len(written), 5)
        self.assertLessEqual(max(map(len, written)), MAX_PART)

    def test_whatIsLongerThanAPartIsLeftOut(self) -> None:
        long = EventReport("T", "x", "x" * MAX_PART, {})
        report = replace(server(tunnel(1)), recent=[long, EventReport("U", "y", "y", {})])
        self.assertEqual([each.event for each in assembled(*parts(report)).recent], ["y"])

    def test_anotherVersionMayHaveOtherKeys(self) -> None:
        content = [["weather", "fine"], ["pid", "no number"], ["tunnels", {"address": 7, "mood": 1}], ["tunnels", None]]
        found = assembled(json.dumps(content).encode())
        self.assertEqual((found.pid, found.sessions, found.workers, found.totals.events), (0, [], None, {}))
        self.assertEqual([each.address for each in found.tunnels], [7, 0])
        self.assertEqual(read(TunnelReport, {"visitors": {"open": 3}}).visitors.open, 3)

    def test_whatIsNoPartIsRefused(self) -> None:
        for wrong in (b"", b"{}x", b"7", b"[7]", b"[[1]]", b"\xff", b"[" * 100_000):
            with self.assertRaises(ValueError, msg=wrong[:9]):
                assembled(wrong)

    @UNHURRIED
    @given(st.lists(st.tuples(KEYS, JSON), max_size=5))
    def test_anythingCanBeMerged(self, content: list[tuple[str, object]]) -> None:
        found = assembled(json.dumps(content).encode())
        worker = Worker(1, 1, 1, "serving", "T", 0.0, True, found)
        whole = atOnce(merged(server(), [worker], Closed(NOTHING, []).plus(worker), 3))
        assembled(*parts(whole))
