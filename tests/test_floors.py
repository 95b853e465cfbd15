"""Imports go down the floors only: never up, and never sideways between server and client."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.support import CHECKOUT

#: What each room may import from the rest of the package. The entry points may import everything.
ALLOWED = {
    "admin": {"admin", "commandline", "exits", "users"},
    "wire": {"wire"},
    "events": {"events", "wire"},
    "timing": {"timing"},
    "system": {"system", "timing"},
    "streams": {"streams", "events", "system", "timing", "wire"},  # of wire the frames of a channel: see below
    "tls": {"tls", "events", "streams", "system", "timing", "wire"},
    "relay": {"relay", "streams", "timing", "wire"},  # of wire the lanes' frames: see below
    "users": {"users", "wire"},
    "server": {"server", "users", "events", "relay", "tls", "streams", "system", "timing", "wire"},
    "config": {"config", "commandline", "option", "system", "users", "wire"},
    "client": {"client", "events", "relay", "tls", "streams", "system", "timing", "wire"},
    "status": {"status", "server", "client", "events", "relay", "streams", "system", "timing", "version", "wire"},
    "workers": {
        "workers",
        "exits",
        "status",
        "server",
        "users",
        "events",
        "relay",
        "tls",
        "streams",
        "system",
        "timing",
        "version",
        "wire",
    },
    "cluster": {
        "cluster",
        "client",
        "server",
        "users",
        "status",
        "events",
        "relay",
        "tls",
        "streams",
        "system",
        "timing",
        "version",
        "wire",
    },
    "screen": {"screen", "client", "events", "logs", "startup", "status"},
    "doctor": {"doctor", "exits", "client", "events", "relay", "streams", "system", "tls", "timing", "wire"},
}

#: The relay is a stack: each of its modules imports only from those before it.
RELAY = (
    "interface",
    "lingering",
    "pairs",
    "pipes",
    "readout",
    "portable",
    "halves",
    "flow",
    "loop",
    "splice",
    "carriedpair",
    "lanedeadlines",
    "tolane",
    "fromlane",
    "lane",
    "lanepair",
    "lanes",
    "backend",
)

#: These rooms are pure.
PURE = ("wire", "events", "users")
FORBIDDEN_IN_PURE = {"socket", "twisted", "time", "select", "asyncio", "threading", "os"}

#: What the screen shows is decided without a terminal and a clock.
SCREEN_CORE = ("cells", "figures", "header", "heading", "lines", "live", "qr", "returns", "visits", "words")

#: What stands beside the package, and is not installed with it.
ASIDE = {"benchmarks", "fuzz", "laboratory", "tests"}


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def importsInside() -> dict[str, set[str]]:
    """What each module of the package imports from the package, inside functions and for type checkers included."""
    files = {}
    for file in (CHECKOUT / "bore").rglob("*.py"):
        parts = file.relative_to(CHECKOUT).with_suffix("").parts
        files[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    found = {}
    for module, file in files.items():
        names = {name if name in files else name.rpartition(".")[0] for name in imports(file)}
        found[module] = {name for name in names if name in files and name != module}
    return found


class FloorsTests(SynchronousTestCase):
    """The shape of the house."""

    def test_everyRoomImportsOnlyFromBelow(self) -> None:
        for room, allowed in ALLOWED.items():
            files = list((CHECKOUT / "bore" / room).glob("*.py"))
            self.assertTrue(files, room)
            for file in files:
                for name in imports(file):
                    parts = name.split(".")
                    if parts[0] == "bore":
                        self.assertIn(parts[1], allowed, f"{file} imports {name}")

    def test_pureRoomsKnowNeitherSocketsNorTime(self) -> None:
        for room in PURE:
            for file in (CHECKOUT / "bore" / room).glob("*.py"):
                for name in imports(file):
                    self.assertNotIn(name.split(".")[0], FORBIDDEN_IN_PURE, f"{file} imports {name}")

    def test_whatIsShownIsDecidedWithoutATerminal(self) -> None:
        for name in SCREEN_CORE:
            for imported in imports(CHECKOUT / "bore" / "screen" / f"{name}.py"):
                parts = imported.split(".")
                self.assertNotIn(parts[0], FORBIDDEN_IN_PURE, f"{name} imports {imported}")
                if parts[0] == "bore":
                    self.assertIn(parts[1], ("screen", "events"), f"{name} imports {imported}")
                    self.assertIn(parts[2] if parts[1] == "screen" else "cells", SCREEN_CORE, f"{name}: {imported}")

    def test_ofTheWireTheRelayKnowsTheFramesOfLanesAlone(self) -> None:
        for file in (CHECKOUT / "bore" / "relay").glob("*.py"):
            for name in imports(file):
                if name.startswith("bore.wire"):
                    self.assertIn(name.rsplit(".", 1)[0], ("bore.wire.lane", "bore.wire.errors"), f"{file}: {name}")

    def test_ofTheWireStreamsKnowFramesAlone(self) -> None:
        for file in (CHECKOUT / "bore" / "streams").glob("*.py"):
            for name in imports(file):
                if name.startswith("bore.wire"):
                    self.assertIn(name.rsplit(".", 1)[0], ("bore.wire.framing", "bore.wire.errors"), f"{file}: {name}")

    def test_noModulesImportEachOther(self) -> None:
        graph = importsInside()
        self.assertIn("bore.wire.lane", graph["bore.relay.lane"])
        try:
            TopologicalSorter(graph).prepare()
        except CycleError as e:
            self.fail(f"a circle: {' imports '.join(reversed(e.args[1]))}")

    def test_theRelayIsAStack(self) -> None:
        graph = importsInside()
        modules = [f"bore.relay.{name}" for name in RELAY]
        self.assertEqual({name for name in graph if name.startswith("bore.relay.")}, set(modules))
        for number, module in enumerate(modules):
            self.assertEqual(graph[module] & set(modules[number:]), set(), f"{module} imports from above")

    def test_onlyTheEntryPointsImportTheReactor(self) -> None:
        for file in (CHECKOUT / "bore").rglob("*.py"):
            room = file.relative_to(CHECKOUT / "bore").parts[0]
            if room in ALLOWED:
                self.assertNotIn("twisted.internet.reactor", set(imports(file)), str(file))

    def test_whatUsesTheRelayKnowsItsInterfaceAlone(self) -> None:
        for module, found in importsInside().items():
            if not module.startswith("bore.relay"):
                used = {name for name in found if name.startswith("bore.relay")}
                self.assertLessEqual(used, {"bore.relay.interface", "bore.relay.backend"}, module)

    def test_onlyItsCommandsImportWhatAsksRunningPrograms(self) -> None:
        users = {module for module, found in importsInside().items() if any(n.startswith("bore.admin") for n in found)}
        commands = {"cli", "adminprogram", "takeover", "userprogram", "options.admincommands", "options.usercommands"}
        self.assertEqual({n for n in users if not n.startswith("bore.admin.")}, {f"bore.{name}" for name in commands})

    def test_nothingUsesTheReactorsThreads(self) -> None:
        """They are joined when the process ends, however long that takes."""
        words = ("deferToThread", "callInThread", "getThreadPool", "nameResolver", "HostnameEndpoint", "FromString")
        for file in (CHECKOUT / "bore").rglob("*.py"):
            text = file.read_text()
            self.assertEqual([word for word in words if word in text], [], str(file))

    def test_nothingInThePackageImportsWhatStandsBesideIt(self) -> None:
        for file in (CHECKOUT / "bore").rglob("*.py"):
            self.assertFalse([name for name in imports(file) if name.split(".")[0] in ASIDE], str(file))

    def test_onlyItsCommandImportsTheDoctor(self) -> None:
        for module, found in importsInside().items():
            if not module.startswith("bore.doctor."):
                used = [name for name in found if name.startswith("bore.doctor.")]
                self.assertTrue(not used or module == "bore.doctorprogram", module)

    def test_aLongFileSaysWhyItIsLong(self) -> None:
        for folder in ("bore", "twisted", *ASIDE):
            for file in (CHECKOUT / folder).rglob("*.py"):
                text = file.read_text(encoding="utf-8")
                if text.count("\n") > 300:
                    self.assertIn("\n# Longer than 300 lines: ", text, str(file))
