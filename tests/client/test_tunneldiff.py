"""What changes between two lists of tunnels."""

from __future__ import annotations

from dataclasses import fields, replace
from random import Random
from typing import Final

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bore.client.target import Target
from bore.client.tunneldiff import TunnelDiff, diff
from bore.client.tunnelspec import TunnelSpec
from bore.wire.addressrules import AddressRules, parseNetwork
from bore.wire.proxyprotocol import Version

SPECS = st.builds(
    TunnelSpec,
    st.builds(Target, st.integers(1, 3), st.sampled_from(["localhost", "nas.lan"])),
    st.integers(0, 2),
    st.sampled_from([None, Version.V2]),
    st.integers(0, 1),
    st.sampled_from("abcdef"),
)

LISTS = st.lists(SPECS, unique_by=lambda spec: spec.name).map(tuple)


def apply(specs: tuple[TunnelSpec, ...], changes: TunnelDiff) -> dict[str, TunnelSpec]:
    """Return what a client has that had these tunnels, by name."""
    have = {spec.name: spec for spec in specs}
    for gone in changes.removed:
        assert have.pop(gone.name) == gone
    for before, after in changes.changed:
        assert have[before.name] == before != after
        assert before.name == after.name
        have[after.name] = after
    for new in changes.added:
        assert new.name not in have
        have[new.name] = new
    return have


class InPlaceTests(SynchronousTestCase):
    """What changes while the tunnel stays open, with its public port and all visitors."""

    #: Another value for each field, and whether it is so. The server keeps rules, and would have to be sent others.
    FIELDS: Final[dict[str, tuple[object, bool]]] = {
        "target": (Target(2), True),
        "public": (20000, False),
        "proxyProtocol": (Version.V2, True),
        "maxVisitors": (7, True),
        "name": ("other", False),
        "rules": (AddressRules((parseNetwork("192.0.2.0/24"),)), False),
        "bandwidth": (10**6, True),
        "errorPage": (False, True),
        "probe": (False, True),
    }

    def test_eachFieldDecides(self) -> None:
        spec = TunnelSpec(Target(1), name="a")
        self.assertEqual({each.name for each in fields(TunnelSpec) if each.compare}, set(self.FIELDS))
        for name, (value, inPlace) in self.FIELDS.items():
            changed = replace(spec, **{name: value})  # type: ignore[arg-type]
            self.assertNotEqual(changed, spec)
            self.assertEqual(changed.isOpenAs(spec), inPlace, name)


class DiffTests(SynchronousTestCase):
    """The difference of two lists."""

    def test_eachTunnelIsRemovedChangedAddedOrLeft(self) -> None:
        a, b, c, d = (TunnelSpec(Target(port), name=name) for name, port in (("a", 1), ("b", 2), ("c", 3), ("d", 4)))
        other = TunnelSpec(Target(5), name="c")
        self.assertEqual(diff((a, b, c), (b, other, d)), TunnelDiff((a,), ((c, other),), (d,)))

    @given(LISTS, LISTS)
    def test_whatItIsAppliedToBecomesTheNewList(self, old: tuple[TunnelSpec, ...], new: tuple[TunnelSpec, ...]) -> None:
        self.assertEqual(apply(old, diff(old, new)), {spec.name: spec for spec in new})

    @given(LISTS, st.randoms())
    def test_itIsEmptyForTheSameTunnelsInAnyOrder(self, old: tuple[TunnelSpec, ...], random: Random) -> None:
        new = list(old)
        random.shuffle(new)
        self.assertFalse(diff(old, new))

    @given(LISTS, LISTS, LISTS)
    def test_severalInSuccessionEndAsTheLastOneAlone(
        self, first: tuple[TunnelSpec, ...], second: tuple[TunnelSpec, ...], third: tuple[TunnelSpec, ...]
    ) -> None:
        between = tuple(apply(first, diff(first, second)).values())
        self.assertEqual(apply(between, diff(between, third)), apply(first, diff(first, third)))
