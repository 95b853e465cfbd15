"""
The transactions of etcd in the form of its JSON gateway, without the network.

A transaction of etcd compares what is in some keys, and carries one of two lists of operations out. The gateway
(etcd 3.4 and later, ``/v3/kv/txn``) takes it as JSON: names and values in Base64, 64-bit numbers as text, and values
that are zero or empty left out of the answer.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from bore.wire.values import value

#: A condition, or an operation.
Part: TypeAlias = Mapping[str, object]


class BadAnswer(Exception):
    """An answer is none of etcd's."""


@value
class Entry:
    """
    What a key has.

    :ivar key: its name.
    :ivar text: its value.
    :ivar modified: the revision of the store in which it was written last.
    """

    key: str
    text: str
    modified: int


@value
class Found:
    """
    The result of an operation.

    :ivar entries: the keys that were read; of a :func:`put` what the key had before.
    :ivar count: how many keys there are in the range, also if they were not read.
    """

    entries: tuple[Entry, ...] = ()
    count: int = 0

    @property
    def only(self) -> Entry | None:
        """The key that was read; None if it does not exist."""
        return self.entries[0] if self.entries else None


@value
class Answer:
    """
    The answer to a transaction.

    :ivar cluster: the id of the cluster.
    :ivar revision: the revision of the store, which each transaction that writes counts on.
    :ivar succeeded: whether all conditions were met.
    :ivar found: the results of the operations, in their order.
    """

    cluster: str
    revision: int
    succeeded: bool
    found: tuple[Found, ...]


def get(key: str) -> Part:
    """Read a key."""
    return {"request_range": {"key": _encoded(key)}}


def getAll(prefix: str) -> Part:
    """Read the keys whose names begin so, in their order."""
    return {"request_range": {"key": _encoded(prefix), "range_end": _end(prefix)}}


def getNames(prefix: str) -> Part:
    """Read the names of the keys that begin so, without what they have."""
    return {"request_range": {"key": _encoded(prefix), "range_end": _end(prefix), "keys_only": True}}


def countAll(prefix: str) -> Part:
    """Count the keys whose names begin so."""
    return {"request_range": {"key": _encoded(prefix), "range_end": _end(prefix), "count_only": True}}


def getBetween(first: str, end: str) -> Part:
    """Read the keys from a name to another one, without that, in their order."""
    return {"request_range": {"key": _encoded(first), "range_end": _encoded(end)}}


def countBetween(first: str, end: str) -> Part:
    """Count the keys from a name to another one, without that."""
    return {"request_range": {"key": _encoded(first), "range_end": _encoded(end), "count_only": True}}


def put(key: str, text: str) -> Part:
    """Write a key, and read what it had before."""
    return {"request_put": {"key": _encoded(key), "value": _encoded(text), "prev_kv": True}}


def delete(key: str) -> Part:
    """Delete a key, if it exists."""
    return {"request_delete_range": {"key": _encoded(key)}}


def deleteAll(prefix: str) -> Part:
    """Delete all keys whose names begin so."""
    return {"request_delete_range": {"key": _encoded(prefix), "range_end": _end(prefix)}}


def unchanged(key: str, found: Entry | None) -> Part:
    """
    The condition that a key was not written since it was read.

    :param found: what it had; None: it did not exist, and does not.
    """
    return _condition(key, "MOD", "EQUAL", mod_revision=str(found.modified if found else 0))


def unchangedAll(prefix: str, revision: int) -> Part:
    """The condition that no key whose name begins so was written since this revision. Some may have been deleted."""
    return _condition(prefix, "MOD", "LESS", range_end=_end(prefix), mod_revision=str(revision + 1))


def holds(key: str, text: str) -> Part:
    """The condition that a key has this value."""
    return _condition(key, "VALUE", "EQUAL", value=_encoded(text))


def isLess(key: str, text: str) -> Part:
    """The condition that a key exists, and has a value before this one in the order of bytes."""
    return _condition(key, "VALUE", "LESS", value=_encoded(text))


def exists(key: str) -> Part:
    """The condition that a key exists."""
    return _condition(key, "CREATE", "GREATER", create_revision="0")


def transaction(conditions: Sequence[Part], success: Sequence[Part], failure: Sequence[Part] = ()) -> bytes:
    """
    Encode a transaction.

    :param success: the operations if all conditions are met.
    :param failure: the operations otherwise.
    """
    return json.dumps({"compare": conditions, "success": success, "failure": failure}).encode("ascii")


def readAnswer(body: bytes) -> Answer:
    """
    Decode the answer to a transaction.

    :raises BadAnswer: when it is none.
    """
    content = _parse(body)
    header = _object(content.get("header"))
    found = tuple(_readResult(_object(each)) for each in _list(content.get("responses", [])))
    return Answer(_text(header, "cluster_id"), _number(header, "revision"), content.get("succeeded") is True, found)


def readToken(body: bytes) -> str:
    """
    Decode the answer to the password of a user.

    :raises BadAnswer: when it is none.
    """
    return _text(_parse(body), "token")


def readError(body: bytes) -> tuple[int, str]:
    """The code of gRPC, and the text, of the answer to a request that has failed; 0 if it is not in JSON."""
    answer = body.decode("utf-8", "replace")
    try:
        # Some versions append a trailer of HTTP to the object.
        content = _object(json.JSONDecoder().raw_decode(answer)[0])
    except (ValueError, RecursionError, BadAnswer):
        return 0, answer
    code, text = content.get("code"), content.get("message", content.get("error"))
    return (code, text) if isinstance(code, int) and isinstance(text, str) else (0, answer)


def _readResult(result: Mapping[str, object]) -> Found:
    for name, content in result.items():
        inside = _object(content)
        if name == "response_range":
            entries = tuple(_readEntry(_object(each)) for each in _list(inside.get("kvs", [])))
            return Found(entries, _number(inside, "count"))
        if name == "response_put" and "prev_kv" in inside:
            return Found((_readEntry(_object(inside["prev_kv"])),), 1)
    return Found()


def _readEntry(content: Mapping[str, object]) -> Entry:
    key, text = _decoded(_text(content, "key")), _decoded(_text(content, "value"))
    return Entry(key, text, _number(content, "mod_revision"))


def _condition(key: str, target: str, result: str, **what: str) -> Part:
    return {"key": _encoded(key), "target": target, "result": result, **what}


def _end(prefix: str) -> str:
    """The first name behind all that begin with this ASCII text."""
    return _encoded(prefix[:-1] + chr(ord(prefix[-1]) + 1))


def _encoded(text: str) -> str:
    return b64encode(text.encode("utf-8")).decode("ascii")


def _decoded(text: str) -> str:
    try:
        return b64decode(text, validate=True).decode("utf-8")
    except ValueError:
        raise BadAnswer("a name or a value is not a text") from None


def _parse(body: bytes) -> Mapping[str, object]:
    try:
        return _object(json.loads(body))
    except (ValueError, RecursionError):
        raise BadAnswer("it does not answer in JSON") from None


def _object(content: object) -> Mapping[str, object]:
    if isinstance(content, dict):
        return content
    raise BadAnswer("its answer lacks an object")


def _list(content: object) -> Sequence[object]:
    if isinstance(content, list):
        return content
    raise BadAnswer("its answer lacks a list")


def _text(content: Mapping[str, object], name: str) -> str:
    found = content.get(name, "")
    if isinstance(found, str):
        return found
    raise BadAnswer(f"in its answer {name} is not a text")


def _number(content: Mapping[str, object], name: str) -> int:
    found = content.get(name, "0")
    if isinstance(found, str) and found.isascii() and found.isdigit() and len(found) < 20:
        return int(found)
    raise BadAnswer(f"in its answer {name} is not a number")
