"""Entries and records, as they are stored, and as somebody may have altered them."""

from __future__ import annotations

import json

from twisted.trial.unittest import SynchronousTestCase

from bore.cluster.engine import MAX_NUMBER, MAX_TTL, Node, Record
from bore.cluster.stored import nodeFrom, recordFrom, textOf
from bore.wire.errors import MalformedMessage

NODE = Node("one/1", 7, MAX_NUMBER, "tls://192.0.2.1", "up", 3, "1.0", MAX_TTL)
RECORD = Record(2001, 9, "ab", "alice", {"one/1": 4}, False)

#: What no number that is counted can be.
_NUMBERS = (-1, 1 << 53, 1e3, "7", None, True, [7], float("nan"))


class StoredTests(SynchronousTestCase):
    """What is read is what was written, or an error."""

    def test_whatIsWrittenIsRead(self) -> None:
        self.assertEqual(nodeFrom(textOf(NODE)), NODE)
        self.assertEqual(recordFrom(textOf(RECORD)), RECORD)

    def test_valuesThatNoNodeWritesAreRefused(self) -> None:
        texts: tuple[object, ...] = (None, 7, [], {}, "\ud800")
        altered = {
            "member": texts,
            "beat": _NUMBERS,
            "number": (*_NUMBERS, MAX_NUMBER + 1),
            "advertise": texts,
            "state": texts,
            "tunnels": _NUMBERS,
            "version": texts,
            "ttl": (*_NUMBERS, MAX_TTL + 1),
        }
        self.assertEqual(set(altered), set(json.loads(textOf(NODE))))
        for name, values in altered.items():
            for value in values:
                text = json.dumps({**json.loads(textOf(NODE)), name: value})
                self.assertRaises(MalformedMessage, nodeFrom, text)

    def test_soAreThoseOfRecords(self) -> None:
        members: tuple[object, ...] = (None, [], "one/1", *({"one/1": number} for number in _NUMBERS))
        altered = {"address": (*_NUMBERS, 65536), "epoch": _NUMBERS, "key": (None, 7), "members": members, "firm": (1,)}
        for name, values in altered.items():
            for value in values:
                text = json.dumps({**json.loads(textOf(RECORD)), name: value})
                self.assertRaises(MalformedMessage, recordFrom, text)

    def test_whatIsNoObjectOrLacksAValueIsRefused(self) -> None:
        for text in ("", "7", "[]", "{}", "[" * 100000, '{"member":"one/1"}', "\x00"):
            self.assertRaises(MalformedMessage, nodeFrom, text)
            self.assertRaises(MalformedMessage, recordFrom, text)
