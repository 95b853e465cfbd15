"""
The engine: a small atomic store that all nodes of a cluster use.

Nothing in it ends by its clock. Each node judges by its own clock how long ago another one has written its entry
(:mod:`bore.cluster.membership`). What each call decides is in :mod:`bore.cluster.rules`.

An engine may carry a call out late: after the caller has given up, and after later calls. Nothing it decides depends on
the order of calls.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from twisted.internet.defer import Deferred

from bore.wire.values import value

#: How long a call may take, in seconds; then its outcome is unknown.
ENGINE_TIMEOUT: Final = 3.0

#: The highest number of a node.
MAX_NUMBER: Final = 65535

#: The longest time to live of a member, in seconds: as of ``--cluster-ttl``.
MAX_TTL: Final = 3600

#: How many records a call of :meth:`Engine.restore` has at most: a thousand nodes may call at the same time.
MAX_RESTORED: Final = 100


class EngineAway(Exception):
    """The engine has not answered in time: whether it has carried the call out, or will, is unknown."""


class EngineRefuses(EngineAway):
    """
    The engine has answered, and has not carried the call out: it refuses that, or has what no node has written.
    """


class Voided(Exception):
    """The member has no entry, or no more: it owns nothing."""


class Recovering(Exception):
    """The engine has lost what it knew, and the nodes have not told it all they own yet."""


class UserLimit(Exception):
    """The user has as many tunnels in the cluster as it may have."""


class Taken(Exception):
    """
    Another tunnel has the address.

    :ivar record: the record of the address.
    """

    def __init__(self, record: Record) -> None:
        super().__init__(f"{record.address} belongs to another tunnel")
        self.record = record


@value
class Node:
    """
    The entry of a member: of one run of a node.

    :ivar member: ``NAME/RUN``. RUN is random, and another one in each call of :meth:`Engine.enter`.
    :ivar beat: how often the member has called: 1 in :meth:`Engine.enter`, and greater in each further call.
    :ivar number: the number of the node, from 1 to MAX_NUMBER, with which the ids of its visitors begin. No two nodes
        with different names have the same one.
    :ivar advertise: where the other nodes and its clients reach it, such as ``tls://node1.example.com:7835``.
    :ivar state: ``up`` or ``draining``.
    :ivar tunnels: the number of addresses of which it is a member.
    :ivar version: its version of the program.
    :ivar ttl: for how long it may act as owner without an answer, in seconds: others wait for as long, if their own
        time is shorter.
    """

    member: str
    beat: int
    number: int
    advertise: str
    state: str
    tunnels: int
    version: str
    ttl: int = 0

    @property
    def name(self) -> str:
        """The name of the node, which stays the same in all runs."""
        return self.member.rpartition("/")[0]


@value
class Record:
    """
    Who owns an address.

    :ivar address: the public port, from 1 to 65535.
    :ivar epoch: greater than in all earlier records of the address with another key.
    :ivar key: the digest of the tunnel's key, in hexadecimal (:func:`bore.wire.token.digest`).
    :ivar user: the name of the user.
    :ivar members: the members that own it, each with the number of its claim (:attr:`Wanted.claim`). A member without
        an entry counts as none.
    :ivar firm: whether it is beyond doubt. In doubt is what a member has restored that had ceased to act as owner
        before: another one may have been granted the address since, in the last incarnation.
    """

    address: int
    epoch: int
    key: str
    user: str
    members: Mapping[str, int]
    firm: bool = True


@value
class Beaten:
    """
    The answer to a beat.

    :ivar nodes: all entries, the own one included.
    :ivar incarnation: a random text, which is another one whenever the engine has lost anything.
    :ivar recovering: whether the engine grants nothing yet, as it has lost what it knew.
    """

    nodes: Sequence[Node]
    incarnation: str
    recovering: bool


@value
class Wanted:
    """
    What a member asks for.

    :ivar address: the public port, from 1 to 65535.
    :ivar key: see :attr:`Record.key`.
    :ivar user: the name of the user.
    :ivar member: who asks.
    :ivar claim: a number that is greater than in all earlier calls of the member.
    :ivar limit: how many records the user may have, this one included; None: any number.
    """

    address: int
    key: str
    user: str
    member: str
    claim: int
    limit: int | None = None


class Engine(Protocol):
    """
    The store.

    Each Deferred fires within ENGINE_TIMEOUT; it fails with :class:`EngineAway` if the outcome is unknown. A call that
    fails with another error has changed nothing. No call is repeated by the engine itself.

    An engine that finds that it is empty, or that it may have lost something (such as a replica that has been
    promoted), begins a new *incarnation* in the same step as the call: it forgets all entries and records, sets another
    incarnation, and is recovering. So it has no record that is out of date. The counter of the epochs stays.
    """

    def start(self) -> None:
        """Begin to connect. The engine may be away: calls fail with :class:`EngineAway` until it is there."""

    def stop(self) -> Deferred[None]:
        """Close all connections. Calls that wait fail with :class:`EngineAway`."""

    def enter(self, node: Node) -> Deferred[int]:
        """
        Add the entry of a new member.

        :param node: the entry, with the number that it would like to have.
        :returns: its number: the next free one from there, in a circle.
        """

    def beat(self, node: Node) -> Deferred[Beaten]:
        """
        Write the entry of a member anew, unless a greater beat was written already.

        :returns: fails with :class:`Voided` if there is no such entry.
        """

    def void(self, member: str, beat: int) -> Deferred[None]:
        """
        Remove a member that is presumed dead, if it has not beaten since: its entry, and it from its records, of which
        those without a member end. The entry goes first, in one step; all else may follow in others.

        :param beat: that of its entry, which the caller has seen unchanged for long enough.
        """

    def grant(self, wanted: Wanted) -> Deferred[Record]:
        """
        Make a member an owner of an address: the first one, or one more if the record has the same key and the same
        user. A record whose members all have no entry any more is replaced, with the next epoch. The greatest claim of
        a member stays, so the call may be repeated.

        :returns: the record afterwards; fails with :class:`Recovering`, :class:`Voided` (of the member that asks),
            :class:`Taken` or :class:`UserLimit`: with the first that applies, in this order.
        """

    def leave(self, member: str, address: int, claim: int) -> Deferred[None]:
        """
        Take a member from the record of an address, unless it has a greater claim there. The record ends with its last
        member that has an entry. Without a record, nothing happens.
        """

    def restore(self, member: str, records: Sequence[Record]) -> Deferred[Sequence[int]]:
        """
        Tell an engine that is recovering what a member owns. Where there is no record, it is put there; where there is
        the same one, the member is added, and the record is firm if one of both is. Of two others, one that is firm
        replaces one in doubt; if both are the same in that, a higher epoch replaces a lower one. The next epoch is
        greater than all of them. When the recovery is over, nothing changes: then this only finds out what the member
        has.

        :param records: at most MAX_RESTORED; of :attr:`Record.members` only the claim of the member matters.
        :returns: the addresses of which it is not a member with this key and epoch; fails with :class:`Voided`.
        """

    def recovered(self, incarnation: str) -> Deferred[None]:
        """End the recovery, if it is that of this incarnation."""

    def depart(self, member: str) -> Deferred[None]:
        """A member stops: see :meth:`void`, whatever its beat."""

    def records(self) -> Deferred[Sequence[Record]]:
        """All records, for people and for tests: they need not be of the same moment."""
