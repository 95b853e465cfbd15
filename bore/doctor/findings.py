"""What was found: as values, as lines, and for programs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from bore import exits


class Check(Enum):
    """What is examined, in this order. The values are for people and programs."""

    NAME = "name"
    ROUTE = "route"
    PORT = "port"
    TLS = "tls"
    CLOCK = "clock"
    PROTOCOL = "protocol"
    SECRET = "secret"  # noqa: S105 - the name of a check
    RANGE = "range"
    LOCAL = "local service"
    END_TO_END = "end to end"


class State(Enum):
    """How it is. The values are for people; programs get them in lower case."""

    OK = "ok"
    WARN = "warn"
    FAIL = "FAIL"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class Finding:
    """
    The result of a check.

    :ivar text: what was found.
    :ivar advice: what to do.
    :ivar seconds: how long it took; None: that means nothing.
    :ivar server: the server that it concerns; empty: none.
    :ivar tunnel: the tunnel that it concerns; empty: all, or the only one.
    :ivar code: the exit code, if it is the first one that fails.
    """

    check: Check
    state: State
    text: str
    advice: tuple[str, ...] = ()
    seconds: float | None = None
    server: str = ""
    tunnel: str = ""
    code: int = exits.FAILURE


#: What lines of advice begin with.
_INDENT: Final = " " * 5


def lines(finding: Finding) -> list[str]:
    """Return the line of a finding, and those of its advice."""
    about = f"{finding.tunnel}: " if finding.tunnel else ""
    first = f"{finding.state.value:<4} {finding.check.value}: {about}{finding.text}"
    return [first, *(f"{_INDENT}{each}" for each in finding.advice)]


def failures(findings: Iterable[Finding]) -> list[Finding]:
    """Return those that fail."""
    return [finding for finding in findings if finding.state is State.FAIL]


def codeOf(findings: Iterable[Finding]) -> int:
    """Return the exit code: that of the first failure."""
    failed = failures(findings)
    return failed[0].code if failed else exits.OK


def summary(findings: Sequence[Finding]) -> str:
    """Return the sentence at the end."""
    failed = failures(findings)
    warned = [finding for finding in findings if finding.state is State.WARN]
    if failed:
        first = failed[0]
        where = f" of {first.tunnel}" if first.tunnel else ""
        count = "1 check has failed" if len(failed) == 1 else f"{len(failed)} checks have failed"
        return f"{count}: begin with {first.check.value}{where}, as later checks depend on earlier ones."
    if warned:
        return f"It works, with {'a warning' if len(warned) == 1 else f'{len(warned)} warnings'}."
    return "All is well."


def forPrograms(findings: Sequence[Finding], version: str) -> dict[str, object]:
    """
    Return everything as values for JSON; docs/doctor.rst describes them.

    :param version: that of this program.
    """
    return {
        "program": "doctor",
        "version": version,
        "code": codeOf(findings),
        "summary": summary(findings),
        "checks": [
            {
                "check": each.check.value,
                "state": each.state.value.lower(),
                "server": each.server or None,
                "tunnel": each.tunnel or None,
                "text": each.text,
                "advice": list(each.advice),
                "seconds": None if each.seconds is None else round(each.seconds, 3),
            }
            for each in findings
        ],
    }
