"""What a node owns, as its membership sees it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from bore.cluster.engine import Record


class Claimed(NamedTuple):
    """A record that was granted, and the number of the claim."""

    record: Record
    claim: int


class Estate(Protocol):
    """What a node owns (:class:`bore.cluster.registry.ClusterRegistry`)."""

    def __len__(self) -> int:
        """How many addresses it owns."""

    def addresses(self) -> list[int]:
        """The addresses that it owns."""

    def record(self, address: int, member: str, firm: bool) -> Record | None:
        """What it owns, as the record of a member; None: it has given the address back."""

    def lost(self, addresses: Sequence[int]) -> None:
        """It does not own some addresses any more. Those that it does not know are ignored."""
