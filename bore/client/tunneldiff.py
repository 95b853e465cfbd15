"""What changes between two lists of tunnels."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from bore.client.tunnelspec import TunnelSpec


@dataclass(frozen=True, slots=True)
class TunnelDiff:
    """
    What turns one list of tunnels into another one. Tunnels are the same if they have the same name.

    :ivar removed: the tunnels that are no longer wanted.
    :ivar changed: the tunnels that are wanted otherwise: before and after.
    :ivar added: the new tunnels, in their order.
    """

    removed: tuple[TunnelSpec, ...] = ()
    changed: tuple[tuple[TunnelSpec, TunnelSpec], ...] = ()
    added: tuple[TunnelSpec, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.removed or self.changed or self.added)


def diff(old: Iterable[TunnelSpec], new: Iterable[TunnelSpec]) -> TunnelDiff:
    """
    Return what changes.

    :param old: the tunnels before, each with a name of its own.
    :param new: the tunnels after, each with a name of its own.
    """
    before = {each.name: each for each in old}
    after = {each.name: each for each in new}
    return TunnelDiff(
        tuple(each for name, each in before.items() if name not in after),
        tuple((before[name], each) for name, each in after.items() if name in before and each != before[name]),
        tuple(each for name, each in after.items() if name not in before),
    )
