"""The values of a snapshot as JSON."""

from __future__ import annotations

import json
from typing import Any, get_type_hints

from twisted.trial.unittest import SynchronousTestCase

from bore.status import report
from bore.status.report import (
    BytesReport,
    ControlReport,
    CountsReport,
    LanesReport,
    LimitReport,
    PortsReport,
    ServerReport,
    ServerTotals,
    SessionReport,
    TunnelReport,
    VisitorReport,
    addressOf,
    jsonParts,
    timeText,
    toJson,
)
from bore.status.routes import withList
from bore.wire.publicaddress import UnixPath

TUNNEL = TunnelReport(
    20000, "alice", "192.0.2.1", None, "away", "2026-01-01T00:00:00.000Z", None, 3.5, CountsReport(1, 0, 5, 2),
    BytesReport(10, 20),
)  # fmt: skip

SESSION = SessionReport("192.0.2.1:1", "192.0.2.1", "", True, "t", 1.0, None, LanesReport(4, 1), [20000, "unix:/a"])

SERVER = ServerReport(
    "server", "1", 7, "running", "t", 1.5, [ControlReport("h:7835", False, None)], "0.0.0.0", PortsReport(1024, 65535),
    "anyone", [SESSION], [TUNNEL] * 3, [], [], ServerTotals(5, 10, 20, {"port-in-use": 1}, {"tunnel-opened": 3}), [],
)  # fmt: skip


class JsonTests(SynchronousTestCase):
    """Names and values."""

    def test_itHasTheKeysOfTheDocumentation(self) -> None:
        found: Any = toJson(SERVER)
        self.assertEqual(found["ports"], {"from": 1024, "to": 65535})
        self.assertEqual(found["control"], [{"at": "h:7835", "tls": False, "fingerprint": None}])
        self.assertEqual(found["sessions"][0]["tunnels"], [20000, "unix:/a"])
        self.assertEqual(found["tunnels"][0]["visitors"], {"open": 1, "waiting": 0, "total": 5, "refused": 2})
        self.assertEqual(found["totals"]["refused"], {"port-in-use": 1})
        self.assertIsNone(found["tunnels"][0]["peer"])

    def test_inPartsItIsTheSame(self) -> None:
        parts = list(jsonParts(SERVER))
        self.assertGreater(len(parts), 20)
        self.assertEqual(json.loads("".join(parts)), toJson(SERVER))

    def test_theVisitorsOfATunnelAreInPartsOfTheirOwn(self) -> None:
        visitors = [VisitorReport(str(number), "192.0.2.9:5", "t", 1.0, "served", None, 1, 2) for number in range(9)]
        parts = list(jsonParts(withList(TUNNEL, visitors)))
        found = json.loads("".join(parts))
        self.assertEqual(max(part.count("192.0.2.9:5") for part in parts), 1)
        self.assertEqual(found.pop("list"), toJson(visitors))
        self.assertEqual(found, toJson(TUNNEL))

    def test_aVisitorHasTheKeyFrom(self) -> None:
        found: Any = toJson(VisitorReport("id", "192.0.2.9:5", "t", 1.0, "served", None, 1, 2))
        self.assertEqual(found["from"], "192.0.2.9:5")

    def test_noFieldOfAnyReportIsLeftOut(self) -> None:
        for name, kind in vars(report).items():
            if name.endswith(("Report", "Totals", "Counts", "Bytes")) and isinstance(kind, type):
                self.assertEqual(getattr(kind, "__match_args__"), tuple(get_type_hints(kind)))  # noqa: B009

    def test_timesAndAddresses(self) -> None:
        self.assertEqual(timeText(0.25), "1970-01-01T00:00:00.250Z")
        self.assertEqual([addressOf(80), addressOf(UnixPath("/run/a"))], [80, "unix:/run/a"])

    def test_aLimitIsNearlyReachedFromFourFifthsOn(self) -> None:
        self.assertEqual(
            [LimitReport("tunnels", None, used, 10).isNearlyReached for used in (7, 8, 11)], [False, True, True]
        )
