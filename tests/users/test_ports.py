"""Sets of ports, compared with sets of numbers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bore.users.ports import ALL_PORTS, NO_PORTS, Ports, parsePorts, ports
from tests.wire.strategies import UNHURRIED

SETS = st.sets(st.sampled_from([1, 2, 3, 5, 8, 9, 65533, 65534, 65535]))


def made(numbers: set[int]) -> Ports:
    return ports((number, number) for number in numbers)


class PortsTests(SynchronousTestCase):
    """A set of ports."""

    @UNHURRIED
    @given(SETS, SETS)
    def test_itIsASet(self, first: set[int], second: set[int]) -> None:
        one, two = made(first), made(second)
        self.assertEqual(one | two, made(first | second))
        self.assertEqual(one & two, made(first & second))
        self.assertEqual(one - two, made(first - second))
        self.assertEqual(len(one), len(first))
        self.assertEqual(bool(one), bool(first))
        for port in first | second:
            self.assertEqual(port in one, port in first)

    @UNHURRIED
    @given(SETS)
    def test_itsTextIsReadAgain(self, numbers: set[int]) -> None:
        texts = str(made(numbers)).split(", ") if numbers else []
        self.assertEqual(ports(map(parsePorts, texts)), made(numbers))

    def test_neighboursAreOneRange(self) -> None:
        self.assertEqual(ports([(5, 9), (1, 4), (2, 3), (11, 12)]).ranges, ((1, 9), (11, 12)))
        self.assertEqual(ALL_PORTS - ALL_PORTS, NO_PORTS)

    def test_whatIsNoPortIsRefused(self) -> None:
        for text in ("", "0", "65536", "-1", "1-", "1-2-3", "9-8", "a", "\u0661", "1 - 2"):
            with self.assertRaises(ValueError):
                parsePorts(text)
