"""The metrics of a snapshot."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, TypeVar

from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families as plainText
from twisted.trial.unittest import SynchronousTestCase

from bore.status.clientmetrics import ClientMetrics
from bore.status.exposition import slices
from bore.status.report import LimitReport, ProcessReport, WorkerReport, jsonParts
from bore.status.series import MAX_NAMED
from bore.status.servermetrics import ServerMetrics
from tests.status import reports

R = TypeVar("R")

#: Values by name and labels.
Values = dict[tuple[str, frozenset[tuple[str, str]]], float]


SERVER = reports.server(
    reports.tunnel(20000, counts=(3, 1, 10, 2), moved=(100, 200), user="alice"),
    reports.tunnel("unix:/run/bore/web.sock", "away", (0, 4, 5, 0), (7, 8)),
    sessions=[reports.session(lanes=(5, 3)), reports.session(extended=False)],
    users=[reports.user("alice", (1, 1, 4))],
    limits=[LimitReport("tunnels", None, 2, 8), LimitReport("tunnels", "192.0.2.1", 4, 5)],
    totals=(20, 1000, 2000),
    refused={"invalid-secret": 3},
    events={"tunnel-opened": 6},
)

WITH_WORKERS = replace(
    SERVER,
    workers=[
        WorkerReport(1, 1, 7, "retired", reports.SINCE, 1.0, False, 0, 0, 4, ProcessReport(1.5, 2048, 9)),
        WorkerReport(2, 2, 8, "serving", reports.SINCE, 1.0, True, 5, 6, 7, None),
        WorkerReport(3, 2, 9, "serving", reports.SINCE, 1.0, True, 0, 0, 0, None),
    ],
    deaths=3,
)

CLIENT = reports.client(
    reports.clientTunnel("web", counts=(2, 9, 1), moved=(11, 12)),
    reports.clientTunnel("db", "refused", "unknown"),
    links=[reports.link(roundTrip=0.01, lanes=(4, 1)), reports.link("away", 0.02)],
    totals=(9, 1, 30, 40),
    refused={"too-many": 2},
    events={"tunnel-up": 1},
)


def scrape(report: R, families: Callable[[R], Iterator[Metric]], accept: str = "") -> str:
    return "".join(slices(families(report), accept))


def values(text: str) -> Values:
    """The samples of a text, each of which must be there once."""
    found: Values = {}
    for metric in plainText(text):
        for sample in metric.samples:
            key = sample.name, frozenset(sample.labels.items())
            assert key not in found, key
            found[key] = sample.value
    return found


class MetricsCase(SynchronousTestCase):
    def assertValues(self, found: Values, expected: dict[str, float]) -> None:
        """Compare some samples, which are written as in the text."""
        for line, value in expected.items():
            name, _, labels = line.partition("{")
            key = name, frozenset(re.findall(r'(\w+)="([^"]*)"', labels))
            self.assertEqual(found.get(key), value, line)


class ServerTests(MetricsCase):
    """A server."""

    def test_theFiguresAreThoseOfTheSnapshot(self) -> None:
        self.assertValues(
            values(scrape(SERVER, ServerMetrics())),
            {
                "txbore_server_start_time_seconds": 1795723200.0,
                'txbore_server_state{state="running"}': 1,
                'txbore_server_state{state="draining"}': 0,
                'txbore_server_sessions{protocol="extended"}': 1,
                'txbore_server_sessions{protocol="base"}': 1,
                'txbore_server_lanes{state="busy"}': 3,
                'txbore_server_lanes{state="idle"}': 2,
                'txbore_server_tunnels{state="up"}': 1,
                'txbore_server_tunnels{state="away"}': 1,
                'txbore_server_tunnels{state="heldBack"}': 0,
                "txbore_server_visitors_open": 3,
                "txbore_server_visitors_waiting": 5,
                "txbore_server_visitors_total": 20,
                'txbore_server_bytes_total{direction="toClient"}': 1000,
                'txbore_server_bytes_total{direction="toVisitors"}': 2000,
                'txbore_server_refused_total{reason="invalid-secret"}': 3,
                'txbore_server_events_total{event="tunnel-opened"}': 6,
                'txbore_server_limit_usage_ratio{limit="tunnels"}': 0.8,
            },
        )

    def test_eachTunnelAndUserHasSeriesOfItsOwn(self) -> None:
        self.assertValues(
            values(scrape(SERVER, ServerMetrics())),
            {
                'txbore_server_tunnel_up{address="20000",user="alice"}': 1,
                'txbore_server_tunnel_up{address="unix:/run/bore/web.sock",user=""}': 0,
                'txbore_server_tunnel_visitors_open{address="20000"}': 3,
                'txbore_server_tunnel_visitors_waiting{address="unix:/run/bore/web.sock"}': 4,
                'txbore_server_tunnel_visitors_total{address="20000"}': 10,
                'txbore_server_tunnel_refused_total{address="20000"}': 2,
                'txbore_server_tunnel_bytes_total{address="20000",direction="toVisitors"}': 200,
                'txbore_server_user_sessions{user="alice"}': 1,
                'txbore_server_user_tunnels{user="alice"}': 1,
                'txbore_server_user_visitors{user="alice"}': 4,
            },
        )

    def test_aTunnelThatHoldsVisitorsBackIsUp(self) -> None:
        found = values(scrape(reports.server(reports.tunnel(20000, "heldBack")), ServerMetrics()))
        self.assertValues(found, {'txbore_server_tunnel_up{address="20000",user=""}': 1})

    def test_workersHaveSeriesOfTheirOwn(self) -> None:
        found = values(scrape(WITH_WORKERS, ServerMetrics()))
        self.assertValues(
            found,
            {
                'txbore_server_workers{generation="1",state="retired"}': 1,
                'txbore_server_workers{generation="1",state="serving"}': 0,
                'txbore_server_workers{generation="2",state="serving"}': 2,
                "txbore_server_generation": 2,
                "txbore_server_worker_deaths_total": 3,
                'txbore_server_worker_answers{worker="1",generation="1"}': 0,
                'txbore_server_worker_answers{worker="2",generation="2"}': 1,
                'txbore_server_worker_sessions{worker="2",generation="2"}': 5,
                'txbore_server_worker_visitors_open{worker="1",generation="1"}': 4,
                'txbore_server_worker_cpu_seconds_total{worker="1",generation="1"}': 1.5,
                'txbore_server_worker_resident_memory_bytes{worker="1",generation="1"}': 2048,
                'txbore_server_worker_open_fds{worker="1",generation="1"}': 9,
            },
        )
        self.assertNotIn(("txbore_server_worker_open_fds", frozenset({("worker", "2"), ("generation", "2")})), found)

    def test_aServerWithoutWorkersHasNone(self) -> None:
        self.assertFalse([name for name, _ in values(scrape(SERVER, ServerMetrics())) if "worker" in name])

    def test_itHasNoneIfThatIsNotWanted(self) -> None:
        names = {name for name, _ in values(scrape(SERVER, ServerMetrics(perTunnel=False)))}
        self.assertFalse([name for name in names if "_tunnel_" in name or "_user_" in name])
        self.assertIn("txbore_server_bytes_total", names)

    def test_beyondALimitTheyAreSummed(self) -> None:
        many = [reports.tunnel(20000 + n, counts=(1, 2, 3, 4), moved=(5, 6)) for n in range(MAX_NAMED + 5)]
        users = [reports.user(f"user-{n}", (1, 2, 3)) for n in range(MAX_NAMED + 3)]
        found = values(scrape(reports.server(*many, users=users), ServerMetrics()))
        self.assertValues(
            found,
            {
                'txbore_server_tunnel_up{address="other",user=""}': 5,
                'txbore_server_tunnel_visitors_open{address="other"}': 5,
                'txbore_server_tunnel_visitors_waiting{address="other"}': 10,
                'txbore_server_tunnel_visitors_total{address="other"}': 15,
                'txbore_server_tunnel_refused_total{address="other"}': 20,
                'txbore_server_tunnel_bytes_total{address="other",direction="toClient"}': 25,
                'txbore_server_user_visitors{user="other"}': 9,
            },
        )
        self.assertLess(len(found), 12 * (MAX_NAMED + 10))

    def test_theSumOfTheOthersDoesNotGoDownWhenOneOfThemCloses(self) -> None:
        metrics = ServerMetrics()
        many = [reports.tunnel(n, counts=(0, 0, 3, 0)) for n in range(1, MAX_NAMED + 3)]
        scrape(reports.server(*many), metrics)
        for left in (many[:-1], many[:-2]):
            found = values(scrape(reports.server(*left), metrics))
            self.assertValues(found, {'txbore_server_tunnel_visitors_total{address="other"}': 6})

    def test_scrapesThatOverlapEachHaveTheirOwnSnapshot(self) -> None:
        metrics = ServerMetrics()
        many = [[reports.tunnel(n, counts=(0, 0, total, 0)) for n in range(1, MAX_NAMED + 2)] for total in (3, 4)]
        first, second = (metrics(reports.server(*tunnels)) for tunnels in many)
        parts = [next(first), next(second), *second, *first]
        names = [metric.name for metric in parts]
        found = [metric for metric in parts if metric.name == "txbore_server_tunnel_visitors"]
        self.assertEqual([names.count(name) for name in set(names)], [2] * len(set(names)))
        self.assertEqual([{sample.value for sample in metric.samples} for metric in found], [{4}, {3}])

    def test_namesOfUsersCannotBreakTheText(self) -> None:
        name = 'a"b\\c\nd{}é'
        found = values(scrape(reports.server(users=[reports.user(name, (7, 0, 0))]), ServerMetrics()))
        self.assertEqual(found["txbore_server_user_sessions", frozenset({("user", name)})], 7)

    def test_aUserWithTheNameOfTheOthersIsOneOfThem(self) -> None:
        users = [reports.user("other", (1, 0, 0)), reports.user("alice", (2, 0, 0))]
        found = values(scrape(reports.server(users=users), ServerMetrics()))
        self.assertValues(found, {'txbore_server_user_sessions{user="other"}': 1})


class ClientTests(MetricsCase):
    """A client."""

    def test_theFiguresAreThoseOfTheSnapshot(self) -> None:
        self.assertValues(
            values(scrape(CLIENT, ClientMetrics())),
            {
                'txbore_client_state{state="up"}': 1,
                'txbore_client_servers{state="away"}': 1,
                "txbore_client_round_trip_seconds": 0.02,
                'txbore_client_lanes{state="idle"}': 3,
                'txbore_client_tunnels{state="refused"}': 1,
                'txbore_client_tunnels{state="givenUp"}': 0,
                'txbore_client_local_services{state="unknown"}': 1,
                "txbore_client_visitors_open": 2,
                "txbore_client_visitors_total": 9,
                "txbore_client_unserved_total": 1,
                'txbore_client_bytes_total{direction="fromVisitors"}': 30,
                'txbore_client_refused_total{reason="too-many"}': 2,
                'txbore_client_events_total{event="tunnel-up"}': 1,
                'txbore_client_tunnel_up{tunnel="db"}': 0,
                'txbore_client_tunnel_local_up{tunnel="web"}': 1,
                'txbore_client_tunnel_visitors_total{tunnel="web"}': 9,
                'txbore_client_tunnel_unserved_total{tunnel="web"}': 1,
                'txbore_client_tunnel_bytes_total{tunnel="web",direction="toVisitors"}': 12,
            },
        )

    def test_whetherAServiceAnswersIsNotKnownBeforeAVisitorHasCome(self) -> None:
        found = values(scrape(CLIENT, ClientMetrics()))
        self.assertNotIn(("txbore_client_tunnel_local_up", frozenset({("tunnel", "db")})), found)

    def test_itHasNoSeriesOfTunnelsIfThatIsNotWanted(self) -> None:
        self.assertNotIn("_tunnel_", scrape(CLIENT, ClientMetrics(perTunnel=False)))

    def test_beyondALimitTheyAreSummed(self) -> None:
        many = [reports.clientTunnel(f"t{n}", counts=(1, 2, 0), moved=(3, 4)) for n in range(MAX_NAMED + 2)]
        self.assertValues(
            values(scrape(reports.client(*many), ClientMetrics())),
            {
                'txbore_client_tunnel_up{tunnel="other"}': 2,
                'txbore_client_tunnel_visitors_total{tunnel="other"}': 4,
                'txbore_client_tunnel_bytes_total{tunnel="other",direction="fromVisitors"}': 6,
            },
        )


class SnapshotTests(MetricsCase):
    """The JSON of the snapshot, which /status has."""

    def test_ofAServerItHasTheSameFigures(self) -> None:
        found, report = values(scrape(SERVER, ServerMetrics())), json.loads("".join(jsonParts(SERVER)))
        for tunnel in report["tunnels"]:
            address = ("address", str(tunnel["address"]))
            for name in ("open", "waiting", "total", "refused"):
                metric = name + "_total" if name == "refused" else f"visitors_{name}"
                key = f"txbore_server_tunnel_{metric}", frozenset({address})
                self.assertEqual(found[key], tunnel["visitors"][name], key)
            for direction, count in tunnel["bytes"].items():
                key = "txbore_server_tunnel_bytes_total", frozenset({address, ("direction", direction)})
                self.assertEqual(found[key], count, key)
        self.assertTotals(found, "server", report["totals"])

    def test_ofAClientItHasTheSameFigures(self) -> None:
        found, report = values(scrape(CLIENT, ClientMetrics())), json.loads("".join(jsonParts(CLIENT)))
        for tunnel in report["tunnels"]:
            name = ("tunnel", tunnel["name"])
            for metric, count in (
                ("visitors_open", tunnel["visitors"]["open"]),
                ("visitors_total", tunnel["visitors"]["total"]),
                ("unserved_total", tunnel["visitors"]["unserved"]),
            ):
                self.assertEqual(found[f"txbore_client_tunnel_{metric}", frozenset({name})], count)
        self.assertTotals(found, "client", report["totals"])

    def assertTotals(self, found: Values, role: str, totals: dict[str, Any]) -> None:
        for name, value in totals.items():
            if isinstance(value, dict):
                label = {"refused": "reason", "events": "event"}[name]
                for key, count in value.items():
                    self.assertEqual(found[f"txbore_{role}_{name}_total", frozenset({(label, key)})], count)
            elif name == "open":
                self.assertEqual(found[f"txbore_{role}_visitors_open", frozenset()], value)
            elif name in ("visitors", "unserved"):
                self.assertEqual(found[f"txbore_{role}_{name}_total", frozenset()], value)
            else:
                self.assertEqual(found[f"txbore_{role}_bytes_total", frozenset({("direction", name)})], value)
