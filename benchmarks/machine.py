"""The machine and the versions that the figures hold for."""

from __future__ import annotations

import os
import platform
import re
import shutil
import time
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from benchmarks.interpreter import thisBuild
from benchmarks.programs import CHECKOUT, BenchmarkError, find, run
from benchmarks.tunnels import Subject


def describe(subjects: Sequence[Subject]) -> dict[str, object]:
    """The machine, the system and the versions, as JSON has them."""
    return {
        "cores": len(os.sched_getaffinity(0)),
        "cpu": _field("/proc/cpuinfo", r"model name\s*:\s*(.+)"),
        "memoryMiB": int(_field("/proc/meminfo", r"MemTotal:\s+(\d+)") or 0) // 1024,
        "kernel": platform.release(),
        "system": _field("/etc/os-release", r'PRETTY_NAME="?([^"\n]+)'),
        "load": os.getloadavg()[0],
        "date": time.strftime("%Y-%m-%d %H:%M", time.gmtime()),
        "python": platform.python_version(),
        "build": str(thisBuild()),
        "commit": _commit(),
        "packages": {name: _package(name) for name in ("txbore", "Twisted")},
        "subjects": {subject.key: subject.version() for subject in subjects},
        "tools": {
            "iperf3": _tool(["iperf3", "--version"], r"iperf (\S+)"),
            "ab": _tool(["ab", "-V"], r"Version ([\d.]+)"),
            "wrk": _tool(["sh", "-c", "wrk -v 2>&1 || true"], r"wrk (\S+)"),
            "nginx": _tool(["sh", "-c", f"{find('nginx') or 'nginx'} -v 2>&1"], r"nginx/(\S+)"),
        },
    }


def _field(path: str, pattern: str) -> str:
    try:
        found = re.search(pattern, Path(path).read_text(errors="replace"))
    except OSError:
        return ""
    return found.group(1).strip() if found else ""


def _package(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _tool(words: list[str], pattern: str) -> str:
    try:
        found = re.search(pattern, run(words, 10))
    except BenchmarkError:
        return ""
    return found.group(1) if found else ""


def _commit() -> str:
    """The checkout's commit, with a + if it has been changed since."""
    if not shutil.which("git"):
        return ""
    try:
        name = run(["git", "-C", str(CHECKOUT), "rev-parse", "--short", "HEAD"], 10).strip()
        changed = run(["git", "-C", str(CHECKOUT), "status", "--porcelain", "--", "bore"], 10).strip()
    except BenchmarkError:
        return ""
    return name + ("+" if changed else "")
