"""What goes to etcd's gateway, and what comes from it, without etcd."""

from __future__ import annotations

import contextlib
import json
from base64 import b64encode

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bore.cluster.etcdgateway import (
    Answer,
    BadAnswer,
    Entry,
    Found,
    getAll,
    put,
    readAnswer,
    readError,
    readToken,
    transaction,
    unchanged,
)

HEADER = {"cluster_id": "324952591200643719", "revision": "3"}

#: Objects with the names of answers, and other values of JSON.
NAMES = st.sampled_from(("header", "responses", "response_range", "response_put", "kvs", "prev_kv", "code", "token"))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
)


def encoded(text: str) -> str:
    return b64encode(text.encode()).decode()


def body(**content: object) -> bytes:
    return json.dumps({"header": HEADER, **content}).encode()


class GatewayTests(SynchronousTestCase):
    """Transactions, and their answers."""

    def test_aTransactionIsAnObjectWithConditionsAndOperations(self) -> None:
        sent = json.loads(transaction([unchanged("a", None)], [put("a", "1")], [getAll("a/")]))
        condition = {"key": "YQ==", "target": "MOD", "result": "EQUAL", "mod_revision": "0"}
        written = {"request_put": {"key": "YQ==", "value": "MQ==", "prev_kv": True}}
        read = {"request_range": {"key": encoded("a/"), "range_end": encoded("a0")}}
        self.assertEqual(sent, {"compare": [condition], "success": [written], "failure": [read]})

    def test_valuesThatAreZeroAreLeftOutOfAnAnswer(self) -> None:
        found = readAnswer(body(responses=[{"response_range": {"header": HEADER}}, {"response_put": {}}]))
        self.assertEqual(found, Answer("324952591200643719", 3, False, (Found(), Found())))
        self.assertEqual(readAnswer(body(succeeded=True)), Answer("324952591200643719", 3, True, ()))

    @given(st.lists(st.tuples(st.text(), st.text(), st.integers(0, 1 << 62))))
    def test_entriesAreReadAsTheyWereWritten(self, entries: list[tuple[str, str, int]]) -> None:
        kvs = [{"key": encoded(key), "value": encoded(text), "mod_revision": str(n)} for key, text, n in entries]
        ranged = {"response_range": {"kvs": kvs, "count": str(len(kvs))}}
        (found,) = readAnswer(body(responses=[ranged])).found
        self.assertEqual(found, Found(tuple(Entry(*each) for each in entries), len(entries)))

    @given(st.binary() | VALUES.map(lambda value: json.dumps(value).encode()))
    def test_whatIsNoAnswerIsAnErrorAndNothingElse(self, answer: bytes) -> None:
        for read in (readAnswer, readToken):
            with contextlib.suppress(BadAnswer):
                read(answer)
        readError(answer)

    def test_whatIsAlmostAnAnswerIsNone(self) -> None:
        entry = {"key": "YQ==", "value": "MQ==", "mod_revision": "1"}
        wrongs: tuple[dict[str, object], ...] = (
            {"header": []},
            {"header": {"revision": 3}},
            {"header": {"revision": "-3"}},
            {"header": {"cluster_id": 7}},
            {"responses": {}},
            {"responses": [[]]},
            {"responses": [{"response_range": {"kvs": {}}}]},
            {"responses": [{"response_range": {"kvs": [entry | {"key": "?"}]}}]},
            {"responses": [{"response_range": {"kvs": [entry | {"value": "/w=="}]}}]},
            {"responses": [{"response_range": {"kvs": [entry | {"mod_revision": "x"}]}}]},
        )
        for wrong in wrongs:
            with self.assertRaises(BadAnswer, msg=str(wrong)):
                readAnswer(body(**wrong))

    def test_anErrorMayHaveATrailerBehindIt(self) -> None:
        answer = b'{"error":"no","message":"not enabled","code":9}Grpc-Trailer-Content-Type: application/grpc\r\n'
        self.assertEqual(readError(answer), (9, "not enabled"))
        self.assertEqual(readError(b"404 page not found\n"), (0, "404 page not found\n"))
