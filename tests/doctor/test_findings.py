"""The result of an examination: lines, exit code, sentence, and JSON."""

from __future__ import annotations

import json

from twisted.trial.unittest import SynchronousTestCase

from bore import __version__, exits
from bore.doctor.findings import Check, Finding, State, codeOf, forPrograms, lines, summary

OK = Finding(Check.NAME, State.OK, "a is 192.0.2.1", seconds=0.0123)
WARN = Finding(Check.RANGE, State.WARN, "port 20000 is in use now", ("give another one",), tunnel="web")
FAIL = Finding(Check.PORT, State.FAIL, "connection refused", ("start it", "or not"), code=exits.UNAVAILABLE)
LATER = Finding(Check.LOCAL, State.FAIL, "connection refused", tunnel="db")
SKIP = Finding(Check.SECRET, State.SKIP, "as port fails", server="a:7835")


class LineTests(SynchronousTestCase):
    """What people read."""

    def test_aFindingIsALineAndItsAdviceIsBelow(self) -> None:
        self.assertEqual(lines(OK), ["ok   name: a is 192.0.2.1"])
        self.assertEqual(lines(FAIL), ["FAIL port: connection refused", "     start it", "     or not"])
        self.assertEqual(lines(WARN), ["warn range: web: port 20000 is in use now", "     give another one"])
        self.assertEqual(lines(SKIP), ["skip secret: as port fails"])

    def test_theSentenceNamesTheFirstFailure(self) -> None:
        for findings, text in (
            ([OK, SKIP], "All is well."),
            ([OK, WARN], "It works, with a warning."),
            ([WARN, WARN], "It works, with 2 warnings."),
            ([OK, FAIL], "1 check has failed: begin with port, as later checks depend on earlier ones."),
            ([LATER, FAIL], "2 checks have failed: begin with local service of db, as later checks depend on earlier "
             "ones."),
        ):  # fmt: skip
            self.assertEqual(summary(findings), text)

    def test_theExitCodeIsThatOfTheFirstFailure(self) -> None:
        for findings, code in (([OK, WARN, SKIP], 0), ([OK, FAIL, LATER], 69), ([LATER, FAIL], 1)):
            self.assertEqual(codeOf(findings), code)


class JsonTests(SynchronousTestCase):
    """What programs read."""

    def test_itHasEveryFindingWithAllKeys(self) -> None:
        found = json.loads(json.dumps(forPrograms([OK, WARN, SKIP, FAIL], __version__)))
        self.assertEqual(set(found), {"program", "version", "code", "summary", "checks"})
        self.assertEqual((found["program"], found["version"], found["code"]), ("doctor", __version__, 69))
        self.assertEqual(
            found["checks"][:3],
            [
                {
                    "check": "name", "state": "ok", "server": None, "tunnel": None, "text": "a is 192.0.2.1",
                    "advice": [], "seconds": 0.012,
                },
                {
                    "check": "range", "state": "warn", "server": None, "tunnel": "web",
                    "text": "port 20000 is in use now", "advice": ["give another one"], "seconds": None,
                },
                {
                    "check": "secret", "state": "skip", "server": "a:7835", "tunnel": None, "text": "as port fails",
                    "advice": [], "seconds": None,
                },
            ],
        )  # fmt: skip
        self.assertEqual({each["state"] for each in found["checks"]}, {"ok", "warn", "skip", "fail"})
