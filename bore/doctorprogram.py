"""What ``bore doctor`` runs, and prints."""

from __future__ import annotations

import datetime
import json
import os
import sys
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

import bore
from bore import exits
from bore.commandline import printable
from bore.doctor.examination import Examination
from bore.doctor.findings import Finding, codeOf, forPrograms, lines, summary
from bore.doctor.serverchecks import Surroundings
from bore.options.doctor import DoctorCommand
from bore.startup import IProgramReactor
from bore.system.signals import stop


def examine(reactor: IProgramReactor, command: DoctorCommand) -> int:
    """
    Examine everything, print the findings, and return the exit code.

    What servers and services have sent may be made to control a terminal: it is printed escaped.
    """
    found: list[Finding] = []
    ended: list[Failure | None] = []

    def report(finding: Finding) -> None:
        found.append(finding)
        if not command.json:
            _print(*lines(finding))

    def finish(result: Failure | None) -> None:
        ended.append(result)
        stop(reactor)

    def begin() -> None:
        client = command.client
        whole = Examination(reactor, client.settings, client.tunnels, command.hasServices, surroundings(), report)
        Deferred.fromCoroutine(whole.run()).addBoth(finish)

    reactor.callWhenRunning(begin)
    reactor.run()
    if not ended:
        print("stopped before the end", file=sys.stderr)  # noqa: T201 - by a signal
        return exits.FAILURE
    if ended[0] is not None:
        ended[0].raiseException()
    if command.json:
        print(json.dumps(forPrograms(found, bore.__version__), indent=2).replace("\x7f", "\\u007f"), flush=True)  # noqa: T201
    else:
        _print(summary(found))
    return codeOf(found)


def surroundings() -> Surroundings:
    """What is around this process."""
    written = os.stat(Path(bore.__file__)).st_mtime
    installed = datetime.datetime.fromtimestamp(written, datetime.UTC)
    return Surroundings(os.environ, lambda: datetime.datetime.now(datetime.UTC), installed)


def _print(*texts: str) -> None:
    for text in texts:
        print(printable(text), flush=True)  # noqa: T201
