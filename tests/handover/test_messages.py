"""What the two processes of a client say to each other."""

from __future__ import annotations

import contextlib
import json

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bore.client.estate import Estate, Inherited
from bore.client.settings import ServerAddress
from bore.handover.messages import (
    Back,
    Bequest,
    End,
    Leaving,
    Message,
    Opened,
    Ready,
    Started,
    Trouble,
    Yours,
    decode,
    encode,
)
from bore.wire.errors import MalformedMessage
from bore.wire.publicaddress import UnixPath

A, B = ServerAddress("a.example"), ServerAddress("2001:db8::1", 7)
TUNNELS = (
    Inherited("web", A, 8000, "0123456789abcdef" * 2, True),
    Inherited("", B, UnixPath("/run/a.sock"), None, False),
)
ESTATE = Estate("alice", (A, B), B, TUNNELS, "a.example")

ALL: tuple[Message, ...] = (
    Started(7),
    Opened(TUNNELS),
    Trouble("why"),
    Ready(),
    Leaving(),
    Bequest(5, ESTATE, "127.0.0.1:9090", 8),
    Bequest(5, Estate("", (), None, ()), "", -1),
    Yours(),
    Back(),
    End(),
)


class MessageTests(SynchronousTestCase):
    """Messages as values, and as bytes."""

    def test_eachIsReadAsItWasWritten(self) -> None:
        for message in ALL:
            self.assertEqual(decode(encode(message)[:-1]), message)

    def test_whatALaterVersionAddsIsIgnored(self) -> None:
        for message in ALL:
            ((name, fields),) = json.loads(encode(message)[:-1]).items()
            self.assertEqual(decode(json.dumps({name: fields | {"more": 1}}).encode()), message)
        self.assertIsNone(decode(b'{"Later": {}}'))

    def test_aFieldThatIsMissingOrWrongIsAnError(self) -> None:
        for message in ALL:
            ((name, fields),) = json.loads(encode(message)[:-1]).items()
            for field in fields:
                without = {key: content for key, content in fields.items() if key != field}
                for wrong in (without, fields | {field: [None]}):
                    with self.assertRaises(MalformedMessage, msg=f"{name}.{field}"):
                        decode(json.dumps({name: wrong}).encode())

    def test_aTunnelHasAnAddressAndATokenThatCanBe(self) -> None:
        good = json.loads(encode(Opened(TUNNELS))[:-1])["Opened"]["tunnels"][0]
        for wrong in ({"port": 0}, {"port": 70000}, {"port": True}, {"resume": "x"}, {"server": "a"}, {"server": 1}):
            with self.assertRaises(MalformedMessage, msg=str(wrong)):
                decode(json.dumps({"Opened": {"tunnels": [good | wrong]}}).encode())

    @given(st.binary() | st.recursive(st.none() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(
        st.sampled_from(["Started", "Opened", "Bequest", "pid", "tunnels", "estate"]), x)).map(
            lambda content: json.dumps(content).encode()))  # fmt: skip
    def test_anythingElseIsNoMessage(self, frame: bytes) -> None:
        with contextlib.suppress(MalformedMessage):
            decode(frame)
