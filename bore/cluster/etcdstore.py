"""
The keys of the engine in etcd, and what each transaction with them needs: the incarnation.

The keys, behind the prefix:

* ``state``: the incarnation, whether it is recovering, and what is added to a revision to make an epoch;
* ``entered``: the member that has entered last: no two enter at the same time, and none twice;
* ``node/NAME/RUN``: an entry, with its beat in front;
* ``record/ADDRESS``: a record; empty when it has ended, as a key that is deleted and written again looks unchanged;
* ``user/USER/ADDRESS``: the user has this record.

The counter of the epochs is etcd's revision, which each write increments.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from secrets import token_hex
from typing import Final
from urllib.parse import quote

from bore.cluster.engine import Node, Record
from bore.cluster.etcdclient import EtcdClient
from bore.cluster.etcdgateway import (
    Answer,
    Entry,
    Found,
    Part,
    countBetween,
    delete,
    deleteAll,
    get,
    getBetween,
    holds,
    put,
    unchanged,
)
from bore.cluster.stored import nodeFrom, recordFrom, textOf
from bore.wire.serde import boolean, decodeValue, fields, integer, text
from bore.wire.values import value

#: How many records a transaction writes: etcd takes up to 128 operations in one, and a record needs two.
MAX_WRITTEN: Final = 60

#: How many records a transaction reads, and the first address of each part of that length: as many parts as a
#: transaction counts.
_PAGE: Final = 547
_STARTS: Final = range(0, 65536, _PAGE)

#: The digits of a beat in front of an entry, in which texts have the order of numbers.
_DIGITS: Final = 16

#: The greatest epoch.
_MOST: Final = (1 << 53) - 1


@value
class State:
    """
    What the engine is in.

    :ivar incarnation: see :attr:`bore.cluster.engine.Beaten.incarnation`.
    :ivar recovering: see :attr:`bore.cluster.engine.Beaten.recovering`.
    :ivar base: what is added to a revision of etcd to make an epoch.
    """

    incarnation: str
    recovering: bool
    base: int


@value
class View:
    """
    What a transaction has found.

    :ivar state: the state, before it.
    :ivar revision: the revision of etcd.
    :ivar succeeded: whether its conditions were met.
    :ivar found: the results of its operations.
    """

    state: State
    revision: int
    succeeded: bool
    found: Sequence[Found]

    @property
    def nextEpoch(self) -> int:
        """
        The epoch for a record that is written if its key is unchanged.

        Each earlier record of the address was written in a revision up to this one, on the sight of an earlier one.
        """
        return self.state.base + self.revision + 1


@value
class _Seen:
    """
    The last that was seen of etcd. Whoever asks later cannot see less: if they do, etcd is another cluster, or is back
    in an earlier state.
    """

    cluster: str
    incarnation: str
    revision: int


class EtcdStore:
    """
    Transactions in an incarnation.

    :param prefix: what the names of all keys begin with.
    :ivar nodes: what the names of the keys of entries begin with.
    :ivar records: the same of records.
    :ivar entered: the name of the key with the member that has entered last.
    """

    def __init__(self, client: EtcdClient, prefix: str) -> None:
        self._client = client
        self._stateKey = f"{prefix}state"
        self._users = f"{prefix}user/"
        self.nodes = f"{prefix}node/"
        self.records = f"{prefix}record/"
        self.entered = f"{prefix}entered"
        self._seen: _Seen | None = None
        self._highest = 0

    def nodeKey(self, member: str) -> str:
        """The name of the key of an entry."""
        return self.nodes + member

    def membersIn(self, nodes: Found) -> Mapping[str, Entry]:
        """The members that have an entry. One that has none gets none again."""
        return {each.key.removeprefix(self.nodes): each for each in nodes.entries}

    def recordKey(self, address: int) -> str:
        """The name of the key of a record."""
        return f"{self.records}{address:05}"

    async def pages(self, until: float) -> list[Part]:
        """
        The operations that read all records, each a part of them.

        A limit would be no help: etcd 3.4 goes through the whole range for it.
        """
        keys = [self.recordKey(start) for start in (*_STARTS, _STARTS.stop)]
        view = await self.read(until, *map(countBetween, keys, keys[1:]))
        pages, begin, held = [], keys[0], 0
        for key, found in zip(keys, view.found, strict=False):
            if held and held + found.count > _PAGE:
                pages.append(getBetween(begin, key))
                begin, held = key, 0
            held += found.count
        return [*pages, getBetween(begin, keys[-1])]

    def recordsOf(self, user: str) -> str:
        """What the names of the keys begin with that say which records a user has."""
        return f"{self._users}{quote(user, safe='')}/"

    def recordWritten(self, address: int, before: Record | None, after: Record | None) -> list[Part]:
        """The operations that replace a record; None: there is none."""
        parts = [put(self.recordKey(address), textOf(after) if after else "")]
        if before and (after is None or before.user != after.user):
            parts.append(delete(f"{self.recordsOf(before.user)}{address:05}"))
        if after and (before is None or before.user != after.user):
            parts.append(put(f"{self.recordsOf(after.user)}{address:05}", ""))
        return parts

    def stateWritten(self, state: State) -> Part:
        """The operation that replaces the state."""
        return put(self._stateKey, _stateText(state))

    async def read(self, until: float, *operations: Part) -> View:
        """See :meth:`transact`, without conditions."""
        return await self.transact(until, [], operations)

    async def write(self, until: float, view: View, conditions: Sequence[Part], operations: Sequence[Part]) -> bool:
        """
        Write, if the state is as it was when all was read.

        :returns: whether the conditions were met.
        """
        same = holds(self._stateKey, _stateText(view.state))
        return (await self.transact(until, [same, *conditions], operations)).succeeded

    async def transact(
        self,
        until: float,
        conditions: Sequence[Part],
        success: Sequence[Part],
        failure: Sequence[Part] = (),
        urgent: bool = False,
    ) -> View:
        """
        Carry a transaction out: see :meth:`bore.cluster.etcdclient.EtcdClient.transact`. If etcd has lost anything, a
        new incarnation begins first.
        """
        state = get(self._stateKey)
        while True:
            seen = self._seen
            answer = await self._client.transact(until, conditions, [state, *success], [state, *failure], urgent)
            entry = answer.found[0].only
            if entry is not None:
                view = View(_stateFrom(entry.text), answer.revision, answer.succeeded, answer.found[1:])
                wrote = answer.succeeded and any("request_put" in each for each in success)
                if not _hasLost(seen, view.state, answer, wrote):
                    self._note(view, answer.cluster)
                    return view
            await self._begin(until, entry)

    async def lost(self, until: float, view: View) -> None:
        """A new incarnation begins, as what was found in this one is older than what was there before."""
        entry = (await self._client.transact(until, [], [get(self._stateKey)])).found[0].only
        if entry is not None and _stateFrom(entry.text).incarnation == view.state.incarnation:
            await self._begin(until, entry)

    async def _begin(self, until: float, entry: Entry | None) -> None:
        """
        Begin a new incarnation.

        :param entry: the state before, which is still there, or another node has begun one; None: there is none.
        """
        base = _stateFrom(entry.text).base if entry is not None else 0
        fresh = State(token_hex(8), True, max(base, self._highest))
        forgotten = [deleteAll(each) for each in (self.nodes, self.records, self._users)]
        begun = [*forgotten, delete(self.entered), self.stateWritten(fresh)]
        await self._client.transact(until, [unchanged(self._stateKey, entry)], begun)
        self._seen = None

    def _note(self, view: View, cluster: str) -> None:
        seen, incarnation = self._seen, view.state.incarnation
        self._highest = max(self._highest, view.state.base + view.revision)
        if seen is None or seen.incarnation != incarnation or seen.revision < view.revision:
            self._seen = _Seen(cluster, incarnation, view.revision)


def beatText(beat: int) -> str:
    """What stands in front of an entry."""
    return f"{beat:0{_DIGITS}}"


def entryText(node: Node) -> str:
    """The text of an entry."""
    return f"{beatText(node.beat)} {textOf(node)}"


def entryIn(entry: Entry | None) -> Node | None:
    """Read an entry."""
    return None if entry is None else nodeFrom(entry.text[_DIGITS:])


def recordIn(entry: Entry | None) -> Record | None:
    """Read a record; None: there is none, or it has ended."""
    return recordFrom(entry.text) if entry is not None and entry.text else None


def _hasLost(seen: _Seen | None, state: State, answer: Answer, wrote: bool) -> bool:
    """
    Whether an answer shows less than was seen before it was asked for, and nobody has begun a new incarnation.

    :param wrote: whether the revision is that of a write of the same transaction.
    """
    if seen is None or seen.incarnation != state.incarnation:
        return False
    return seen.cluster != answer.cluster or seen.revision > answer.revision - wrote


def _stateText(state: State) -> str:
    return json.dumps({name: getattr(state, name) for name in state.__match_args__})


def _stateFrom(stored: str) -> State:
    return decodeValue(_state, stored.encode("utf-8"))


def _state(content: object) -> State:
    incarnation, recovering, base = fields(content, *State.__match_args__)
    return State(text(incarnation), boolean(recovering), integer(base, _MOST, "not a number"))
