"""Tidying up behind members of a cluster that have ended, in etcd."""

from __future__ import annotations

from bore.cluster.etcdgateway import Part, getNames, unchanged
from bore.cluster.etcdstore import MAX_WRITTEN, EtcdStore, recordIn
from bore.cluster.rules import without


async def sweep(store: EtcdStore, until: float, member: str) -> None:
    """
    Take a member that has no entry from its records, and all others that have none.

    :param until: when it has to be done, by the reactor's clock.
    :raises EngineAway: when it is not; the rest can be done later.
    """
    for page in await store.pages(until):
        while not await _sweepPage(store, until, member, page):
            pass


async def _sweepPage(store: EtcdStore, until: float, member: str, page: Part) -> bool:
    """Sweep some records; return whether none of them has changed meanwhile."""
    view = await store.read(until, getNames(store.nodes), page)
    names, stored = view.found
    alive = store.membersIn(names)
    found = [(entry, record) for entry in stored.entries if (record := recordIn(entry))]
    changes = [(entry, record, left) for entry, record in found if (left := without(record, member, alive)) != record]
    for start in range(0, len(changes), MAX_WRITTEN):
        part = changes[start : start + MAX_WRITTEN]
        conditions = [unchanged(entry.key, entry) for entry, _, _ in part]
        written = [each for _, record, left in part for each in store.recordWritten(record.address, record, left)]
        if not await store.write(until, view, conditions, written):
            return False
    return True
