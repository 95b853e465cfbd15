"""The unit tests are what they should be, and the packages on disk are those that are installed."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Sequence
from configparser import ConfigParser
from typing import cast

import pytest
from twisted.trial.unittest import SynchronousTestCase

from tests.conftest import BEGUN, UNIT, NotAUnitTest, isUnit, spreadOut
from tests.support import CHECKOUT, eventually

TESTS = CHECKOUT / "tests"


class UnitTests(SynchronousTestCase):
    """A test that is not a unit test fails if it stands among them."""

    def test_thisIsOne(self) -> None:
        self.assertTrue(isUnit(TESTS / "test_conftest.py"))
        self.assertTrue(isUnit(TESTS / "wire" / "test_lane.py"))
        self.assertFalse(isUnit(TESTS / "processes" / "test_bore.py"))

    def test_itCannotStartAProcess(self) -> None:
        self.assertRaises(NotAUnitTest, subprocess.run, [sys.executable, "-c", ""], check=False)

    def test_itCannotWait(self) -> None:
        self.assertRaises(NotAUnitTest, eventually, lambda: False, "what never is")

    def test_allThatAreListedExist(self) -> None:
        self.assertEqual([unit for unit in UNIT if not (TESTS / unit).exists()], [])


class Named:
    """As much of a test as its order depends on."""

    def __init__(self, nodeid: str) -> None:
        self.nodeid = nodeid


class OrderTests(SynchronousTestCase):
    """Where several processes share the tests, those that mostly wait begin among the others."""

    def order(self, *names: str) -> list[str]:
        items = cast(Sequence[pytest.Item], [Named(name) for name in names])
        return [item.nodeid for item in spreadOut(items)]

    def test_theTestsOfAClassStayTogether(self) -> None:
        names = ["tests/a.py::B::one", "tests/a.py::C::one", "tests/a.py::B::two", "tests/a.py::C::two"]
        self.assertEqual(self.order(*names), [names[0], names[2], names[1], names[3]])

    def test_theLargestClassOfAKindIsFirst(self) -> None:
        names = ["tests/a.py::B::one", "tests/a.py::C::one", "tests/a.py::C::two"]
        self.assertEqual(self.order(*names), [*names[1:], names[0]])

    def test_noneThatWaitsIsAtTheEnd(self) -> None:
        others = [f"tests/wire/test_{n}.py::A::one" for n in range(100)]
        waiting = [f"tests/laboratory/test_{n}.py::A::one" for n in range(10)]
        places = [n for n, name in enumerate(self.order(*others, *waiting)) if name in waiting]
        self.assertLess(places[-1], 75)
        self.assertLessEqual(max(b - a for a, b in itertools.pairwise(places)), 9, "they are spread evenly")

    def test_theFoldersExist(self) -> None:
        self.assertEqual([folder for folder in BEGUN if not (TESTS / folder).is_dir()], [])


class PackagesTests(SynchronousTestCase):
    """setup.cfg."""

    def test_everyPackageOnDiskIsInstalled(self) -> None:
        config = ConfigParser()
        config.read(CHECKOUT / "setup.cfg")
        packages = {
            path.parent.relative_to(CHECKOUT).as_posix().replace("/", ".") for path in (CHECKOUT / "bore").rglob("*.py")
        }
        listed = config["options"]["packages"].split()
        self.assertEqual(sorted(listed), sorted({*packages, "twisted.plugins"}))
