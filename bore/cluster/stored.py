"""Entries and records in JSON, as they are stored."""

from __future__ import annotations

import json
from typing import Final

from bore.cluster.engine import MAX_NUMBER, MAX_TTL, Node, Record
from bore.wire.serde import BadContent, Object, boolean, decodeValue, fields, integer, port, text

#: The greatest beat, claim or epoch: what a number of JSON holds exactly everywhere.
_MOST: Final = (1 << 53) - 1


def textOf(stored: Node | Record) -> str:
    """An entry or a record as text."""
    return json.dumps({name: getattr(stored, name) for name in stored.__match_args__}, separators=(",", ":"))


def nodeFrom(stored: str) -> Node:
    """
    Read an entry.

    :raises bore.wire.errors.MalformedMessage: when it is none.
    """
    return decodeValue(_node, stored.encode("utf-8"))


def recordFrom(stored: str) -> Record:
    """
    Read a record.

    :raises bore.wire.errors.MalformedMessage: when it is none.
    """
    return decodeValue(_record, stored.encode("utf-8"))


def _node(content: object) -> Node:
    member, beat, number, advertise, state, tunnels, version, ttl = fields(content, *Node.__match_args__)
    return Node(
        text(member),
        _count(beat),
        integer(number, MAX_NUMBER, "not the number of a node"),
        text(advertise),
        text(state),
        _count(tunnels),
        text(version),
        integer(ttl, MAX_TTL, "not a time to live"),
    )


def _record(content: object) -> Record:
    address, epoch, key, user, members, firm = fields(content, *Record.__match_args__)
    if not isinstance(members, Object):
        raise BadContent("not an object")
    claims = {member: _count(claim) for member, claim in members}
    return Record(port(address), _count(epoch), text(key), text(user), claims, boolean(firm))


def _count(content: object) -> int:
    return integer(content, _MOST, "not a number")
