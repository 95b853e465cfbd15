"""The state of a supervisor, for its successor, which may be of another version."""

from __future__ import annotations

import contextlib
import json
import os
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bore.server.custodystate import BadState
from bore.streams.channel import Remains
from bore.streams.descriptorframes import LOST
from bore.wire.workersession import Position
from bore.workers.handover import (
    ArrivalState,
    HomelessState,
    PortState,
    SupervisorState,
    WorkerState,
    decode,
    descriptorsIn,
    encode,
    store,
    takeState,
)
from tests.wire.strategies import UNHURRIED

REMAINS = Remains(b"\0\xff{", ((3, (20, LOST), True),), (21,), b"rest", ((b"{}", (22, 23)),))

WORKER = WorkerState(
    7, 2, 4711, 10, 11, "RETIRED", 1.5, 2.5, 90.0, "SHA256:key", Position("RETIRED", (("Ping", 0),)), REMAINS, 3
)
STATE = SupervisorState(
    "0.3.0",
    2,
    9,
    12.25,
    ((3, 100.5),),
    (PortState(5, False), PortState(6, True)),
    (WORKER,),
    (ArrivalState(12, True, ("::1", 40000, 0, 0), b"\x16", None, 7, True, True),),
    {"version": 1, "epoch": 4, "addresses": []},
    (13, 14),
    15,
    {"closed": 1},
    ending=(WorkerState(6, 1, 4710, -1, 16, "ENDING", deadline=95.0),),
    homeless=(HomelessState(17, b'{"BaseSession":{}}'),),
)

WITHOUT_CHANNEL = {"number": 7, "generation": 2, "pid": 4711, "channel": -1, "output": -1}
ASLEEP = {"state": "ASLEEP", "asked": []}


class HandoverTests(SynchronousTestCase):
    def changed(self, **changes: Any) -> bytes:
        """The state with other keys; None: a key is missing."""
        content = json.loads(encode(STATE)) | changes
        return json.dumps({name: value for name, value in content.items() if value is not None}).encode()

    def test_itIsReadAsItWasWritten(self) -> None:
        self.assertEqual(decode(encode(STATE)), STATE)

    def test_allDescriptorsAreKnown(self) -> None:
        self.assertEqual(sorted(descriptorsIn(STATE)), [5, 6, 10, 11, 12, 13, 14, 15, 16, 17, 20, 21, 22, 23])

    def test_whatTheNextVersionAddsIsIgnored(self) -> None:
        worker = json.loads(encode(STATE))["workers"][0]
        data = self.changed(format=2, nodes=[{"fd": 1}], workers=[{**worker, "cluster": {"a": [1]}}])
        self.assertEqual(decode(data), STATE)

    def test_whatAnEarlierVersionDidNotHaveHasItsDefault(self) -> None:
        workers = [{"number": 7, "generation": 2, "pid": 4711, "channel": 10, "output": 11}]
        data = self.changed(
            ending=None,
            homeless=None,
            workers=workers,
            arrivals=None,
            counters=None,
            history=None,
            resting=None,
            custody=None,
            held=None,
        )
        found = decode(data)
        self.assertEqual(found.workers, (WorkerState(7, 2, 4711, 10, 11),))
        self.assertEqual((found.arrivals, found.counters, found.resting, found.held), ((), -1, (), ()))
        self.assertEqual((found.ending, found.homeless), ((), ()))
        self.assertEqual((found.version, found.ports), (STATE.version, STATE.ports))

    def test_whatCannotBeUnderstoodIsAnError(self) -> None:
        for expected, data in (
            ("not JSON", b"{"),
            ("not the state of a supervisor", b"[]"),
            ("not the state of a supervisor", b'{"version": "0.3.0"}'),
            ("version of SupervisorState is missing", self.changed(version=None)),
            ("generation of SupervisorState is not valid", self.changed(generation="2")),
            ("pid of WorkerState is missing", self.changed(workers=[{"number": 1, "generation": 1}])),
            ("phase of WorkerState is not valid", self.changed(workers=[WITHOUT_CHANNEL | {"phase": "ASLEEP"}])),
            ("position of WorkerState is not valid", self.changed(workers=[WITHOUT_CHANNEL | {"position": ASLEEP}])),
            ("version 2, and this program reads 1", self.changed(custody={"version": 2})),
        ):
            error = self.assertRaises(BadState, decode, data)
            self.assertIn(expected, str(error))

    @UNHURRIED
    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=3),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
        ),
        st.sampled_from(sorted(json.loads(encode(STATE)))),
    )
    def test_junkIsAnErrorOfTheState(self, junk: object, key: str) -> None:
        content = json.loads(encode(STATE))
        content[key] = junk
        with contextlib.suppress(BadState):
            decode(json.dumps(content).encode())

    def test_itsFileIsInheritedAndItsDescriptorsAreNotAnyMore(self) -> None:
        reading, writing = os.pipe()
        self.addCleanup(os.close, reading)
        self.addCleanup(os.close, writing)
        state = SupervisorState("0.3.0", 1, 1, 0.0, ports=(PortState(reading, False),), counters=writing)
        for each in (reading, writing):
            os.set_inheritable(each, True)
        fd = store(state)
        self.assertTrue(os.get_inheritable(fd))
        self.assertEqual(takeState(fd), state)
        self.assertFalse(os.get_inheritable(reading) or os.get_inheritable(writing))
        self.assertRaises(OSError, os.fstat, fd)
