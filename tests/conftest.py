"""
Which tests are unit tests, and what holds them to it.

A unit test starts no process, runs no reactor and never waits: it moves the clock, and takes the steps of the reactor
itself. It may use sockets of this machine, whose system calls return at once.
"""

from __future__ import annotations

import functools
import gc
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import hypothesis
import pytest
from twisted.trial import util
from twisted.trial.unittest import TestCase

from tests.effort import examples

_HERE: Final = Path(__file__).parent

#: Folders and files of unit tests, which ``make unit`` runs: what runs the reactor in them is left out.
UNIT: Final = (
    "admin/test_layout.py",
    "admin/test_pages.py",
    "admin/test_screen.py",
    "admin/test_sockets.py",
    "admin/test_units.py",
    "benchmarks",
    "client",
    "cluster/test_etcdgateway.py",
    "cluster/test_lending.py",
    "cluster/test_inturn.py",
    "cluster/test_membership.py",
    "cluster/test_model.py",
    "cluster/test_neighbours.py",
    "cluster/test_offers.py",
    "cluster/test_offersequences.py",
    "cluster/test_recovery.py",
    "cluster/test_reports.py",
    "cluster/test_right.py",
    "cluster/test_sentinelpoll.py",
    "cluster/test_url.py",
    "config",
    "entrypoints",
    "server",
    "streams/test_addresses.py",
    "system/test_clock.py",
    "system/test_descriptors.py",
    "test_conftest.py",
    "test_events.py",
    "test_floors.py",
    "timing",
    "tls/test_badfiles.py",
    "tls/test_certificatenames.py",
    "tls/test_certificates.py",
    "tls/test_oddcertificates.py",
    "tls/test_servercertificate.py",
    "tls/test_trust.py",
    "tls/test_verdict.py",
    "users",
    "wire",
)

#: Audit events, of the interpreter and of tests/support.py, that a unit test must not cause.
FORBIDDEN: Final = {
    "os.fork": "starts a process",
    "os.posix_spawn": "starts a process",
    "os.system": "starts a process",
    "subprocess.Popen": "starts a process",
    "tests.wait": "waits",
}

#: The part of a run in which the classes of some folders are begun, spread evenly: they wait more than they use the
#: processor, and at the end nothing else would use it meanwhile.
BEGUN: Final = {"laboratory": 0.7, "processes": 0.9, "interop": 0.8, "doctor": 0.9, "cluster": 0.8, "relay": 0.8}

#: How long a test that runs the reactor may take, in seconds. pytest-timeout cannot end these: the reactor logs what a
#: signal's handler raises, and goes on. setup.cfg has the time limit of all others.
util.DEFAULT_TIMEOUT_DURATION = 75.0

# How long an example takes says nothing on a machine that is busy. pytest-timeout ends what hangs. Where the tests are
# run again, for other versions, fewer examples do; make stress tries far more, and make fuzz searches.
hypothesis.settings.register_profile(
    "busy", deadline=None, max_examples=examples(50), suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("busy")

# Programs that the tests start inherit signals that are ignored, as those are that nohup or a shell's & starts: without
# this they would never be interrupted.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if sys.platform != "win32" and signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

_unit = pytest.StashKey[bool]()
_running: str | None = None


class NotAUnitTest(Exception):
    """A test does what a unit test must not."""


@functools.cache
def isUnit(path: Path) -> bool:
    """Whether a file is among the unit tests, or a folder is or contains some."""
    if not path.is_relative_to(_HERE):
        return False
    inside = path.relative_to(_HERE)
    return any(inside.is_relative_to(unit) or Path(unit).is_relative_to(inside) for unit in UNIT)


def _audit(event: str, arguments: tuple[object, ...]) -> None:
    if _running is not None and event in FORBIDDEN and threading.current_thread() is threading.main_thread():
        raise NotAUnitTest(
            f"{_running} {FORBIDDEN[event]} ({event}): it belongs among other tests, see tests/conftest.py"
        )


sys.addaudithook(_audit)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Do not even import the other tests if only unit tests are wanted."""
    return True if config.option.markexpr == "unit" and not isUnit(collection_path) else None


def pytest_configure(config: pytest.Config) -> None:
    """
    Let the order of the tests be the one in which pytest-xdist begins them.

    Nothing of what is made while the tests are collected is garbage; looking for it takes a third of that time.
    """
    gc.disable()
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark the unit tests, and order all where several processes share them."""
    for item in items:
        item.stash[_unit] = isUnit(item.path) and not runsReactor(item)
        if item.stash[_unit]:
            item.add_marker("unit")
    if hasattr(config, "workerinput"):
        items[:] = spreadOut(items)


def pytest_collection_finish() -> None:
    """Look for garbage again, but not among the tests."""
    gc.freeze()
    gc.enable()


def spreadOut(items: Sequence[pytest.Item]) -> list[pytest.Item]:
    """The tests, class by class, with those that mostly wait among those that use the processor."""
    scopes: dict[str, list[pytest.Item]] = {}
    for item in items:
        scopes.setdefault(item.nodeid.rpartition("::")[0], []).append(item)
    kinds: dict[float, list[list[pytest.Item]]] = {}
    for name, scope in scopes.items():
        kinds.setdefault(BEGUN.get(Path(name).parts[1], 1.0), []).append(scope)
    places = []
    for begun, kind in kinds.items():
        kind.sort(key=lambda scope: -len(scope))
        places += [(n / len(kind) * begun, scope) for n, scope in enumerate(kind)]
    places.sort(key=lambda place: place[0])
    return [item for _, scope in places for item in scope]


def runsReactor(item: pytest.Item) -> bool:
    """Whether it is a test of trial's ``TestCase``, which runs the reactor, as ``SynchronousTestCase`` does not."""
    return isinstance(item, pytest.Function) and item.cls is not None and issubclass(item.cls, TestCase)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Watch what a unit test does."""
    global _running
    _running = item.nodeid if item.stash[_unit] else None
    try:
        return (yield)
    finally:
        _running = None
