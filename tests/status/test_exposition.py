"""The text of the metrics, their names, and the documents about them."""

from __future__ import annotations

import json
import os
import re
from dataclasses import replace

from prometheus_client import ProcessCollector
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openMetrics
from twisted.internet.defer import Deferred, succeed

import bore.events
from bore.events import Sink, VisitorEvent, client, nameOf, server
from bore.status.clientmetrics import ClientMetrics
from bore.status.exposition import SLICE, metricsRoute, slices
from bore.status.history import History
from bore.status.metrics import ofProcess
from bore.status.questions import Question
from bore.status.report import ClusterReport, eventCounts
from bore.status.servermetrics import ServerMetrics
from tests.status import reports
from tests.status.test_history import example
from tests.status.test_metrics import CLIENT, SERVER, WITH_WORKERS, MetricsCase, Values, scrape, values
from tests.support import CHECKOUT
from tests.test_events import eventsIn

OPEN_METRICS = "application/openmetrics-text;version=1.0.0,text/plain;q=0.5"


def both() -> tuple[list[Metric], list[Metric]]:
    """The metrics of a server, which has workers and is a node of a cluster, and of a client."""
    server = replace(WITH_WORKERS, cluster=ClusterReport("node1", "acting", None, False, None, []))
    return list(ServerMetrics()(server)), list(ClientMetrics()(CLIENT))


class ExpositionTests(MetricsCase):
    """The text."""

    def test_bothFormatsHaveTheSameSamples(self) -> None:
        for text, plain in (
            (scrape(SERVER, ServerMetrics(), OPEN_METRICS), scrape(SERVER, ServerMetrics())),
            (scrape(CLIENT, ClientMetrics(), OPEN_METRICS), scrape(CLIENT, ClientMetrics())),
        ):
            found = {
                (sample.name, frozenset(sample.labels.items())): sample.value
                for metric in openMetrics(text)
                for sample in metric.samples
            }
            self.assertEqual(found, values(plain))
            self.assertEqual(text.count("# EOF"), 1)

    def test_theTypeSaysWhich(self) -> None:
        for accept, kind in ((OPEN_METRICS, "application/openmetrics-text"), ("text/html, */*", "text/plain")):
            question = Question("GET", "/metrics", {}, {"accept": accept}, b"", "unix")
            answered = metricsRoute(lambda: succeed(SERVER), ServerMetrics())(question)
            assert isinstance(answered, Deferred)
            self.assertTrue(self.successResultOf(answered).kind.startswith(kind))

    def test_anAcceptHeaderThatCannotBeUsedIsLeftOut(self) -> None:
        for version in ("x", "1.x", "1", "99.9.9", "", "-1.0.0", "1.0.0.0", "1.0.0\t", "\ud800"):
            for kind in ("application/openmetrics-text", "text/plain"):
                for escaping in ("", ";escaping=x", ";escaping=allow-utf-8"):
                    accept = {"accept": f"{kind};version={version}{escaping}"}
                    question = Question("GET", "/", {}, accept, b"", "")
                    answered = metricsRoute(lambda: succeed(SERVER), ServerMetrics())(question)
                    assert isinstance(answered, Deferred)
                    answer = self.successResultOf(answered)
                    assert not isinstance(answer.body, bytes)
                    self.assertIn("txbore_server_tunnels", "".join(answer.body))

    def test_aLongMetricIsWrittenInSlicesUnderOneHead(self) -> None:
        report = reports.server(*(reports.tunnel(n) for n in range(1, 2 * SLICE + 7)))
        for accept in ("", OPEN_METRICS):
            parts = list(slices(ServerMetrics()(report), accept))
            self.assertLessEqual(max(part.count("\n") for part in parts), SLICE + 3)
            text = "".join(parts)
            self.assertEqual(text.count("# TYPE txbore_server_tunnel_up "), 1)
            self.assertEqual(text.count("\ntxbore_server_tunnel_up{"), 2 * SLICE + 6)

    def test_namesFollowTheRulesOfPrometheus(self) -> None:
        for metrics in both():
            self.assertEqual(len({metric.name for metric in metrics}), len(metrics))
            for metric in metrics:
                self.assertRegex(metric.name, r"^txbore_(server|client|cluster|build)(_[a-z]+)*$")
                self.assertTrue(metric.documentation.endswith("."), metric.name)
                for sample in metric.samples:
                    self.assertEqual(sample.name.endswith("_total"), metric.type == "counter", sample.name)
                    self.assertFalse(sample.name.endswith("_created"))
                if any(unit in metric.name.split("_") for unit in ("bytes", "seconds", "ratio")):
                    self.assertTrue(metric.unit and metric.name.endswith(metric.unit), metric.name)

    def test_theProcessHasTheMetricsOfPrometheusLibrary(self) -> None:
        theirs, ours = values("".join(slices(ProcessCollector(registry=None).collect(), ""))), self.ofProcess()
        self.assertEqual(ours.keys(), theirs.keys())
        for (name, _), value in theirs.items():
            own = ours[name, frozenset()]
            self.assertLess(abs(own - value), 0.1 * value if "memory" in name else 3, name)

    def test_openDescriptorsAreCounted(self) -> None:
        before = self.ofProcess()["process_open_fds", frozenset()]
        pipe = os.pipe()
        self.assertEqual(self.ofProcess()["process_open_fds", frozenset()], before + 2)
        for each in pipe:
            os.close(each)

    def ofProcess(self) -> Values:
        return values("".join(slices(ofProcess(), "")))


class DocumentTests(MetricsCase):
    """docs/metrics.rst, and the examples."""

    def documented(self) -> dict[str, str]:
        """The metrics in the tables, with their types."""
        text = (CHECKOUT / "docs" / "metrics.rst").read_text(encoding="utf-8")
        return dict(re.findall(r"^``(txbore_\w+)``\s+(gauge|counter|info)\s", text, re.MULTILINE))

    def there(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for metrics in both():
            for metric in metrics:
                ending = {"counter": "_total", "info": "_info"}.get(metric.type, "")
                found[metric.name + ending] = metric.type
        return found

    def test_everyMetricIsInTheTables(self) -> None:
        self.assertEqual(self.documented(), self.there())

    def test_everyLabelIsInTheRowOfItsMetric(self) -> None:
        text = (CHECKOUT / "docs" / "metrics.rst").read_text(encoding="utf-8")
        for metrics in both():
            for metric in metrics:
                for sample in metric.samples:
                    row = text.split(f"``{sample.name}``", 1)[1].split("\n``", 1)[0]
                    for label in sample.labels:
                        self.assertIn(f"``{label}``", row, sample.name)

    def test_theExamplesUseMetricsThatExist(self) -> None:
        known = {*self.there(), "process_open_fds", "process_max_fds", "process_resident_memory_bytes",
                 "process_cpu_seconds_total"}  # fmt: skip
        for name in ("grafana-dashboard.json", "alerts.yml"):
            text = (CHECKOUT / "examples" / name).read_text(encoding="utf-8")
            used = set(re.findall(r"\b(?:txbore|process)_[a-z_]+\b", text))
            self.assertGreater(len(used), 5)
            self.assertEqual(used - known, set(), name)

    def test_theDashboardIsWhole(self) -> None:
        found = json.loads((CHECKOUT / "examples" / "grafana-dashboard.json").read_text(encoding="utf-8"))
        panels = found["panels"]
        self.assertEqual(len({panel["id"] for panel in panels}), len(panels))
        places = list[tuple[int, int]]()
        for panel in panels:
            at = panel["gridPos"]
            places += [(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])]
            if panel["type"] != "row":
                self.assertTrue(panel["description"] and panel["targets"], panel["title"])
        self.assertEqual(len(set(places)), len(places), "panels overlap")
        self.assertLess(max(x for x, _ in places), 24)


class EventsTests(MetricsCase):
    """Events."""

    def test_eachIsCountedUnderItsName(self) -> None:
        for role, turnedAway in ((server, server.VisitorRefused), (client, client.VisitorRefused)):
            sink = Sink()
            history = History(sink, turnedAway)
            kinds = [kind for kind in eventsIn(bore.events, role) if not issubclass(kind, VisitorEvent)]
            for count, kind in enumerate(kinds, 1):
                for _ in range(count):
                    sink.emit(example(kind))
            text = scrape(reports.server(events=eventCounts(history)), ServerMetrics())
            self.assertValues(
                values(text),
                {f'txbore_server_events_total{{event="{nameOf(kind)}"}}': count for count, kind in enumerate(kinds, 1)},
            )
