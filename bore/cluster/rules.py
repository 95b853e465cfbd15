"""
What each call of an engine decides, without any storage.

:mod:`bore.cluster.memory` uses it; the scripts for Redis and the transactions for etcd decide the same. All are held to
it by ``tests/cluster/enginecontract.py``.
"""

from __future__ import annotations

from collections.abc import Collection, Container
from dataclasses import replace

from bore.cluster.engine import MAX_NUMBER, Node, Record, Recovering, Taken, UserLimit, Voided, Wanted


def numberFor(node: Node, entries: Collection[Node]) -> int:
    """
    The number of a new member: the one that it would like, or the next free one, in a circle. Entries of its own name
    are earlier runs of the node, which may have had the same.
    """
    taken = {each.number for each in entries if each.name != node.name}
    return next(
        number
        for number in ((node.number - 1 + step) % MAX_NUMBER + 1 for step in range(MAX_NUMBER))
        if number not in taken
    )


def beaten(stored: Node | None, node: Node) -> Node:
    """
    The entry after a beat. One that comes late writes nothing: else an entry could be again as it was when another node
    began to wait for its end.

    :raises Voided: if there is no entry.
    """
    if stored is None:
        raise Voided
    return node if node.beat > stored.beat else stored


def mayVoid(stored: Node | None, beat: int) -> bool:
    """Whether a member is removed that was seen with this beat for long enough."""
    return stored is not None and stored.beat == beat


def granted(
    record: Record | None, wanted: Wanted, alive: Container[str], recovering: bool, others: int, epoch: int
) -> Record:
    """
    The record of an address after :meth:`bore.cluster.engine.Engine.grant`.

    :param record: the record before; None: there is none.
    :param alive: the members that have an entry.
    :param others: how many records of other addresses the user has.
    :param epoch: the next one.
    :raises Recovering: and the other errors that the call fails with.
    """
    if recovering:
        raise Recovering
    if wanted.member not in alive:
        raise Voided
    owners = {} if record is None else living(record, alive)
    if record is not None and owners:
        if (record.key, record.user) != (wanted.key, wanted.user):
            raise Taken(record)
        owners[wanted.member] = max(wanted.claim, owners.get(wanted.member, 0))
        return replace(record, members=owners)
    if wanted.limit is not None and others >= wanted.limit:
        raise UserLimit
    return Record(wanted.address, epoch, wanted.key, wanted.user, {wanted.member: wanted.claim}, True)


def left(record: Record, member: str, claim: int, alive: Container[str]) -> Record | None:
    """The record of an address after a member has left it; None: it has ended."""
    return record if record.members.get(member, claim) > claim else without(record, member, alive)


def without(record: Record, member: str, alive: Container[str]) -> Record | None:
    """The record of an address after a member has ended; None: the record has, too."""
    members = {each: one for each, one in living(record, alive).items() if each != member}
    return replace(record, members=members) if members else None


def restored(stored: Record | None, own: Record, member: str, recovering: bool) -> Record | None:
    """
    The record of an address after a member has told an engine that it owns it; None: it does not own it any more.

    :param stored: the record before; None: there is none.
    :param own: what the member owns.
    """
    same = stored is not None and (stored.epoch, stored.key, stored.user) == (own.epoch, own.key, own.user)
    if stored is not None and same:
        if member in stored.members:
            return stored
        if recovering:
            members = {**stored.members, member: own.members[member]}
            return replace(stored, members=members, firm=stored.firm or own.firm)
    elif recovering and (stored is None or (own.firm, own.epoch) > (stored.firm, stored.epoch)):
        return replace(own, members={member: own.members[member]})
    return None


def living(record: Record, alive: Container[str]) -> dict[str, int]:
    """The members of a record that have an entry, with their claims."""
    return {member: claim for member, claim in record.members.items() if member in alive}
