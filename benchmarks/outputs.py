"""Reads what ab, wrk and iperf3 print."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.programs import BenchmarkError


@dataclass(frozen=True, slots=True)
class Requests:
    """
    What ab and wrk have found.

    :ivar count: requests that were answered.
    :ivar failed: requests that were not, or not as expected.
    :ivar rate: answers per second.
    :ivar p50: time to an answer, in milliseconds, that half of the requests needed at most.
    :ivar p99: the same of 99 in 100.
    """

    count: int
    failed: int
    rate: float
    p50: float
    p99: float


@dataclass(frozen=True, slots=True)
class Transfer:
    """
    What iperf3 has found, at the receiver.

    :ivar size: in bytes.
    :ivar rate: in Gbit/s.
    """

    size: int
    rate: float


def _number(pattern: str, text: str, program: str) -> float:
    found = re.search(pattern, text, re.MULTILINE)
    if found is None:
        raise BenchmarkError(f"{program} has not said what was expected of it: {text.strip()[-200:]!r}")
    return float(found.group(1))


def parseAb(text: str, percentiles: str) -> Requests:
    """
    Read the output of ``ab -e FILE``.

    :param percentiles: the content of the file: ``ab`` itself prints whole milliseconds only.
    """
    times = dict(line.split(",") for line in percentiles.splitlines()[1:])
    if not {"50", "99"} <= set(times):
        raise BenchmarkError("ab has not written its percentiles")
    return Requests(
        int(_number(r"Complete requests:\s+(\d+)", text, "ab")),
        int(_number(r"Failed requests:\s+(\d+)", text, "ab")),
        _number(r"Requests per second:\s+([\d.]+)", text, "ab"),
        float(times["50"]),
        float(times["99"]),
    )


def _milliseconds(share: int, text: str) -> float:
    found = re.search(rf"^\s*{share}%\s+([\d.]+)(us|ms|s|m)\s*$", text, re.MULTILINE)
    if found is None:
        raise BenchmarkError(f"wrk has not said what was expected of it: {text.strip()[-200:]!r}")
    return float(found.group(1)) * {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60000.0}[found.group(2)]


def parseWrk(text: str) -> Requests:
    """Read the output of ``wrk --latency``."""
    errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    failed = sum(int(n) for n in errors.groups()) if errors else 0
    return Requests(
        int(_number(r"(\d+) requests in ", text, "wrk")),
        failed + (int(refused.group(1)) if refused else 0),
        _number(r"Requests/sec:\s+([\d.]+)", text, "wrk"),
        _milliseconds(50, text),
        _milliseconds(99, text),
    )


def parseIperf(text: str) -> Transfer:
    """Read the output of ``iperf3 --json``."""
    try:
        said: dict[str, Any] = json.loads(text)
        if "error" in said:
            raise BenchmarkError(f"iperf3: {said['error']}")
        received = said["end"]["sum_received"]
        transfer = Transfer(int(received["bytes"]), float(received["bits_per_second"]) / 1e9)
    except (ValueError, KeyError, TypeError) as e:
        raise BenchmarkError(f"iperf3 has not said what was expected of it: {e!r}") from None
    if transfer.size <= 0:
        raise BenchmarkError("iperf3: nothing has arrived")
    return transfer


def parseStrace(text: str) -> int:
    """The number of system calls in the summary of ``strace -c``."""
    # The number of errors, in front of the name, may be missing.
    return int(_number(r"^100\.00\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?total$", text, "strace"))


def percentile(values: Sequence[float], share: float) -> float:
    """
    The value that a share of all values does not exceed, without interpolation.

    :param share: from 0 to 100.
    """
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share / 100))]
