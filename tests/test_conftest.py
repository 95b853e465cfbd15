"""The unit tests are what they should be, and the packages on disk are those that are installed."""

from __future__ import annotations

import subprocess
import sys
from configparser import ConfigParser

from twisted.trial.unittest import SynchronousTestCase

from tests.conftest import UNIT, NotAUnitTest, isUnit
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
