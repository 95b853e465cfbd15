"""What the benchmark makes of its samples: figures, tables, the page on speed and flame graphs."""

from __future__ import annotations

import io
import tempfile
from contextlib import redirect_stderr
from dataclasses import replace
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from benchmarks.__main__ import FOLDER, folderFor, options
from benchmarks.bench import Trouble, withoutFolders
from benchmarks.cases import CASES, FULL, QUICK, unreachable
from benchmarks.figures import FIGURES, Sample, Spread, cutOff, spread, summarize, withMemoryOfEach
from benchmarks.goals import GOALS, standings
from benchmarks.profile import LOADS, boxes, ownShares
from benchmarks.results import Results, load
from benchmarks.subjects import SUBJECTS
from benchmarks.tables import details, fragment, replaceBetween, simpleTable

GRAPH = """\
<svg id="frames"><g><title>main (a.py:1) (8 samples, 80.00%)</title><rect x="0.0000%" y="52" width="80.0000%" \
height="15" fill="rgb(227,0,7)" fg:x="0" fg:w="8"/><text x="0.25%" y="62.50"></text></g>\
<g><title>&lt;lambda&gt; (b.py:2) (5 samples, 50.00%)</title><rect x="10.0000%" y="68" width="50.0000%" height="15" \
fill="rgb(0,0,7)" fg:x="1" fg:w="5"/></g>\
<g><title>other (c.py:3) (2 samples, 20.00%)</title><rect x="80.0000%" y="52" width="20.0000%" height="15" \
fill="rgb(0,0,7)" fg:x="8" fg:w="2"/></g>\
<g><title>all (10 samples, 100%)</title><rect x="0.0000%" y="36" width="100.0000%" height="15" fill="rgb(1,1,1)" \
fg:x="0" fg:w="10"/></g></svg>
"""


def sample(subject: str, round: int, rate: float, case: str = "bulk", point: str = "1 stream in") -> Sample:
    return Sample(case, point, subject, round, {"rate": rate})


class FiguresTests(SynchronousTestCase):
    """Medians and ratios."""

    def test_theMedianHasTheLowestAndTheHighestBesideIt(self) -> None:
        self.assertEqual(spread([3.0, 9.0, 1.0]), Spread(3.0, 1.0, 9.0, 3))
        self.assertEqual(spread([1.0, 2.0]).median, 1.5)

    def test_theRatioIsTakenWithinARound(self) -> None:
        # The machine was ten times as fast in the second round: the medians' ratio would be 1.
        samples = [
            sample(subject, round, rate)
            for round, rates in ((1, (2.0, 1.0)), (2, (20.0, 10.0)), (3, (1.0, 2.0)))
            for subject, rate in zip(("splice", "original"), rates, strict=True)
        ]
        summary = summarize(samples, ["original"])[("bulk", "1 stream in", "splice", "rate")]
        self.assertEqual(summary.value, Spread(2.0, 1.0, 20.0, 3))
        self.assertEqual(summary.ratios["original"], Spread(2.0, 0.5, 2.0, 3))

    def test_aRoundThatOneOfBothLacksDoesNotCount(self) -> None:
        samples = [sample("splice", 1, 4.0), sample("splice", 2, 9.0), sample("original", 1, 2.0)]
        samples.append(sample("original", 3, 1.0))
        summary = summarize(samples, ["original"])[("bulk", "1 stream in", "splice", "rate")]
        self.assertEqual(summary.ratios["original"], Spread(2.0, 2.0, 2.0, 1))

    def test_withoutAReferenceThereIsNoRatio(self) -> None:
        samples = [sample("splice", 1, 4.0), sample("original", 1, 0.0)]
        summary = summarize(samples, ["original", "haproxy"])[("bulk", "1 stream in", "splice", "rate")]
        self.assertEqual(summary.ratios, {})

    def test_anotherPointIsNoReference(self) -> None:
        samples = [sample("splice", 1, 4.0), sample("original", 1, 2.0, point="4 streams in")]
        summary = summarize(samples, ["original"])[("bulk", "1 stream in", "splice", "rate")]
        self.assertEqual(summary.ratios, {})

    def test_anIdleVisitorTakesWhatIsMoreThanWithoutAny(self) -> None:
        none = Sample("memory", "0", "splice", 1, {"rss": 60.0})
        thousand = Sample("memory", "1000", "splice", 1, {"rss": 62.5})
        self.assertEqual(withMemoryOfEach([thousand, none])[0].figures, {"rss": 62.5, "each": 2.56})
        self.assertEqual(withMemoryOfEach([thousand, replace(none, round=2)])[0], thousand)

    def test_onlyABarThatHidesAllOthersIsCutOff(self) -> None:
        self.assertEqual(cutOff([1.0, 2.0, 37.0]), 4.0)
        self.assertEqual(cutOff([1.0, 2.0, 11.0]), 11.0)
        self.assertEqual(cutOff([37.0]), 37.0)
        self.assertEqual(cutOff([0.0, 37.0]), 37.0)


class CasesTests(SynchronousTestCase):
    """What is measured."""

    def test_everyCaseHasFiguresAndPoints(self) -> None:
        keys = {case.key for case in CASES}
        for table in (FIGURES, FULL.points, QUICK.points):
            self.assertEqual(set(table), keys)

    def test_whatTheQuickRunMeasuresTheFullOneDoes(self) -> None:
        for case, points in QUICK.points.items():
            self.assertTrue(set(points) <= set(FULL.points[case]), case)

    def test_everyGoalIsMeasured(self) -> None:
        subjects = {subject.key for subject in SUBJECTS}
        for goal in GOALS:
            self.assertIn(goal.figure, FIGURES[goal.case])
            self.assertTrue(set(goal.points) <= set(FULL.points[goal.case]), goal.title)
            self.assertIn(goal.reference, subjects | {None})
            self.assertIn(goal.subject, subjects)

    def test_nobodyWhomAGoalIsAboutIsLeftOut(self) -> None:
        for effort in (FULL, QUICK):
            for goal in GOALS:
                self.assertFalse({goal.subject, goal.reference} & set(effort.without.get(goal.case, ())), goal.title)

    def test_aPointThatNeedsTooManyDescriptorsIsSkipped(self) -> None:
        self.assertIn("17024 are needed", unreachable("memory", "8000", 4096) or "")
        self.assertIsNone(unreachable("memory", "8000", 20000))
        self.assertIsNone(unreachable("visitors", "256", 1024))


def results(*samples: Sample) -> Results:
    facts = ("cores", 2), ("cpu", "A CPU"), ("kernel", "6.1"), ("python", "3.11.7"), ("date", "2026-01-02 03:04")
    machine = dict(facts) | {
        "packages": {"Twisted": "26.10.0"},
        "subjects": {subject.key: "1.0" for subject in SUBJECTS},
    }
    return Results(machine, 2, 3, {"ssh": "apt install it"}, [Trouble("bulk", "", "rathole", 1, "why")], samples)


RESULTS = results(
    sample("direct", 1, 40.0), sample("splice", 1, 12.0), sample("original", 1, 8.0), sample("splice", 2, 14.0)
)


class ResultsTests(SynchronousTestCase):
    """JSON, tables and the page on speed."""

    def test_whatIsSavedIsLoaded(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            RESULTS.save(Path(folder) / "new")
            found = load(Path(folder) / "new")
        self.assertEqual(found.summaries, RESULTS.summaries)
        self.assertEqual((found.troubles, found.machine), (RESULTS.troubles, RESULTS.machine))

    def test_aTableIsAsWideAsItsCells(self) -> None:
        self.assertEqual(
            simpleTable(["what", "no\ntunnel"], [["a long label", "1"], ["b", ""]]),
            "============ ======\n"
            "what         no\n"
            "             tunnel\n"
            "============ ======\n"
            "a long label 1\n"
            "b\n"
            "============ ======\n",
        )

    def test_theFragmentHasMediansAndRatiosOfThoseWhoWereMeasured(self) -> None:
        text = fragment(RESULTS)
        self.assertIn("Gbit/s in, 1 stream 40.0 (5.00) 13.0 (1.50) 8.0", text)
        self.assertIn("ours (splice) 1.0, original bore 1.0. Medians of 2", " ".join(text.split()))
        self.assertNotIn("HAProxy", text)
        self.assertNotIn("visitors/s", text)
        self.assertTrue(all(len(line) <= 120 for line in text.splitlines()))

    def test_theEncryptedOnesHaveTablesOfTheirOwn(self) -> None:
        values = {"splice": 24.0, "tls": 9.0, "ssh": 6.0, "rathole-noise": 3.0, "rathole": 1.0}
        text = fragment(results(*(sample(subject, 1, rate) for subject, rate in values.items())))
        clear, _, encrypted = text.partition("\nEncrypted")
        self.assertIn("Gbit/s in, 1 stream 24.0     1.0\n", clear)
        self.assertIn("Gbit/s in, 1 stream 24.0 (4.00) 9.0 (1.50) 6.0 3.0 (0.50)\n", encrypted)
        self.assertIn("bulk in TLS, to ssh -R 1 stream in at least 1.3 1.50 reached\n", encrypted)

    def test_theTablesOfEverybodyFitIntoThePage(self) -> None:
        rows = [sample(subject.key, 1, 98765.0, "visitors", "256") for subject in SUBJECTS]
        self.assertTrue(all(len(line) <= 120 for line in fragment(results(*rows)).splitlines()))

    def test_whatCouldNotBeMeasuredIsShown(self) -> None:
        """An empty cell would look like something that was not to be measured."""
        samples = [sample("original", 1, 8.0, point=point) for point in ("1 stream in", "4 streams in")]
        found = results(*samples, sample("splice", 1, 9.0), sample("haproxy", 1, 7.0))
        found = replace(found, troubles=[Trouble("bulk", "4 streams in", "splice", 1, "why")])
        self.assertIn("Gbit/s in, 4 streams failed     8.0\n", fragment(found))
        self.assertIn("failed", details(found))
        self.assertEqual(fragment(found).count("failed"), 2)  # the rate and the CPU time

    def test_aRoundThatHasFailedIsNoMissingFigure(self) -> None:
        found = replace(RESULTS, troubles=[Trouble("bulk", "1 stream in", "splice", 3, "why")])
        self.assertNotIn("failed", fragment(found))

    def test_reasonsHaveNoFoldersOfTheMachine(self) -> None:
        for text, expected in (
            ("/usr/sbin/nginx ended with 1: no /tmp/bore-x/web.", "nginx ended with 1: no web."),
            ("http://127.0.0.1:80/a/b is 3/4 of it", "http://127.0.0.1:80/a/b is 3/4 of it"),
            ("'/home/me/.venv/bin/python'", "'python'"),
        ):
            self.assertEqual(withoutFolders(text), expected)

    def test_theDetailsHaveTheSpread(self) -> None:
        text = details(RESULTS)
        self.assertIn("13.0 [12.0, 14.0] x 1.50", text)
        self.assertIn("* bulk, rathole: ``why``", text)

    def test_onlyWhatIsBetweenTheCommentsIsReplaced(self) -> None:
        text = "before\n\n.. benchmark begin\n\nold\n\n.. benchmark end\n\nbehind\n"
        expected = "before\n\n.. benchmark begin\n\nnew\n\n.. benchmark end\n\nbehind\n"
        self.assertEqual(replaceBetween(text, "new\n"), expected)
        self.assertEqual(replaceBetween(expected, "new\n"), expected)

    def test_aPageWithoutTheCommentsIsLeftAlone(self) -> None:
        for text in ("nothing\n", "\n.. benchmark end\n\n.. benchmark begin\n", "\n.. benchmark begin\n"):
            self.assertRaises(ValueError, replaceBetween, text, "new")

    def test_aGoalIsJudgedByTheMedianRatio(self) -> None:
        found = {standing.goal.title: standing for standing in standings(RESULTS.summaries)}
        self.assertEqual(set(found), {"bulk, to the original"})
        self.assertEqual(found["bulk, to the original"].value, 1.5)
        self.assertTrue(found["bulk, to the original"].reached)

    def test_whatIsNoWholeRunDoesNotWriteOverOne(self) -> None:
        for words, folder in (
            ([], FOLDER),
            (["--rounds", "3"], FOLDER),
            (["--quick"], FOLDER / "quick"),
            (["--only", "bulk"], FOLDER / "partial"),
            (["--without", "ssh"], FOLDER / "partial"),
            (["--only", "bulk", "--results", "/elsewhere"], Path("/elsewhere")),
        ):
            self.assertEqual(folderFor(options(words)), folder)

    def test_wrongOptionsAreRefused(self) -> None:
        for words in (["--rounds", "0"], ["--only", "nonsense"], ["--without", "nonsense"]):
            with redirect_stderr(io.StringIO()):
                self.assertRaises(SystemExit, options, words)


class ProfileTests(SynchronousTestCase):
    """A flame graph of py-spy's, as recorded, and what is put on the ends meanwhile."""

    def test_everyLoadIsACaseThatIsMeasured(self) -> None:
        self.assertLessEqual({case for case, _ in LOADS.values()}, {case.key for case in CASES})
        self.assertLessEqual({subject for _, subject in LOADS.values()}, {subject.key for subject in SUBJECTS})

    def test_aLinesOwnTimeIsWithoutWhatItHasCalled(self) -> None:
        shares = dict(ownShares(boxes(GRAPH)))
        self.assertEqual(shares, {"<lambda> (b.py:2)": 0.5, "main (a.py:1)": 0.3, "other (c.py:3)": 0.2})
