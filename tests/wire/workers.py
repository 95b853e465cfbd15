"""What hypothesis builds the messages between the supervisor and a worker from."""

from __future__ import annotations

from typing import Final

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from bore.wire import workermessages as wm
from bore.wire.workermessages import ClaimRights, SupervisorMessage, WorkerMessage
from tests.wire.strategies import ADDRESSES, PORT_RANGES, PORTS, PUBLIC_ADDRESSES, TEXTS, TOKENS, UUIDS

NUMBERS: Final = st.integers(0, 4) | st.integers(0, 1 << 53)
AMOUNTS: Final = st.floats(0, 1 << 53)
EARLY: Final = st.binary(max_size=80)

#: The addresses of the peers of sockets: none, of IPv4, of a Unix socket behind a proxy, and of IPv6.
PEERS: Final = st.one_of(
    st.just(()),
    st.tuples(ADDRESSES, PORTS),
    st.tuples(ADDRESSES, PORTS, st.just(0)),
    st.tuples(ADDRESSES, PORTS, NUMBERS, NUMBERS),
)

_RANGES: Final = st.lists(PORT_RANGES, max_size=3).map(tuple)
_MANY_NUMBERS: Final = st.lists(NUMBERS, max_size=3).map(tuple)
_MANY_TEXTS: Final = st.lists(TEXTS, max_size=3).map(tuple)
_RIGHTS: Final = st.builds(ClaimRights, _RANGES, _RANGES, NUMBERS)
_COUNTS: Final = st.lists(st.tuples(TEXTS, NUMBERS), max_size=3).map(tuple)
_SECRETS: Final = st.binary(min_size=32, max_size=32)

_BOTH: Final = (
    st.builds(wm.Waiting, NUMBERS, PEERS, EARLY, AMOUNTS),
    st.builds(wm.Late, PUBLIC_ADDRESSES, NUMBERS, PEERS, EARLY, AMOUNTS),
    st.builds(wm.BaseSession, TEXTS, TEXTS, TEXTS, st.none() | _SECRETS, PUBLIC_ADDRESSES, TOKENS),
)

WORKER_MESSAGES: Final[SearchStrategy[WorkerMessage]] = st.one_of(
    st.builds(wm.Ready, TEXTS, st.none() | TEXTS),
    st.builds(wm.Failed, NUMBERS, TEXTS),
    st.builds(wm.Load, NUMBERS, NUMBERS, AMOUNTS),
    st.builds(wm.Pending, NUMBERS, _COUNTS),
    st.builds(
        wm.Claim,
        NUMBERS,
        PUBLIC_ADDRESSES,
        st.none() | TOKENS,
        TEXTS,
        TEXTS,
        st.booleans(),
        st.none() | _RIGHTS,
    ),
    st.builds(wm.Abandon, NUMBERS),
    st.builds(wm.Confirm, PUBLIC_ADDRESSES, NUMBERS),
    st.builds(wm.Renew, PUBLIC_ADDRESSES, NUMBERS),
    st.builds(wm.Release, PUBLIC_ADDRESSES, NUMBERS),
    st.builds(wm.LimitTunnels, TEXTS, NUMBERS),
    st.builds(wm.HandedOver, NUMBERS),
    st.builds(wm.Doubtful, NUMBERS, st.none() | PUBLIC_ADDRESSES),
    st.builds(wm.HandOn, NUMBERS, PEERS, EARLY, st.none() | UUIDS),
    st.builds(wm.Reported, NUMBERS, EARLY, st.booleans()),
    st.builds(wm.Done, NUMBERS, _MANY_NUMBERS, _MANY_TEXTS, st.none() | TEXTS),
    st.builds(wm.Bye),
    *_BOTH,
)

SUPERVISOR_MESSAGES: Final[SearchStrategy[SupervisorMessage]] = st.one_of(
    st.builds(wm.Welcome, TEXTS, NUMBERS, NUMBERS, NUMBERS),
    st.builds(wm.Ping),
    st.builds(wm.Connection, st.booleans(), PEERS, EARLY, st.none() | UUIDS),
    st.builds(wm.Granted, NUMBERS, PUBLIC_ADDRESSES, TEXTS, TOKENS, NUMBERS, st.booleans(), st.booleans()),
    st.builds(wm.Refused, NUMBERS, TEXTS, TEXTS, st.booleans(), st.none() | PORT_RANGES),
    st.builds(wm.Examine, NUMBERS, st.lists(PUBLIC_ADDRESSES, max_size=3).map(tuple)),
    st.builds(wm.GiveUp, PUBLIC_ADDRESSES, NUMBERS),
    st.builds(wm.HandOver, NUMBERS, PUBLIC_ADDRESSES, NUMBERS),
    st.builds(wm.CloseTunnel, PUBLIC_ADDRESSES, NUMBERS, TEXTS),
    st.builds(wm.Expired, PUBLIC_ADDRESSES, NUMBERS),
    st.builds(wm.DropOldest, TEXTS),
    st.builds(wm.Order, NUMBERS, TEXTS, st.none() | TEXTS, st.none() | PUBLIC_ADDRESSES, AMOUNTS),
    st.builds(wm.Report, NUMBERS, TEXTS),
    st.builds(wm.Retire, AMOUNTS),
    st.builds(wm.End),
    *_BOTH,
)

#: One message of each kind.
EXAMPLES: Final[tuple[WorkerMessage | SupervisorMessage, ...]] = (
    wm.Ready("0.3.0", None),
    wm.Failed(1, "no certificate"),
    wm.Load(3, 40, 1.5),
    wm.Pending(7, (("192.0.2.1", 2),)),
    wm.Claim(1, 0, None, "", "192.0.2.1", True, None),
    wm.Abandon(1),
    wm.Confirm(8000, 1),
    wm.Renew(8000, 1),
    wm.Release(8000, 1),
    wm.LimitTunnels("alice", 2),
    wm.HandedOver(2),
    wm.Doubtful(3, None),
    wm.HandOn(2, ("192.0.2.1", 40000), b'{"Accept":""}\0', None),
    wm.Reported(4, b"{}", True),
    wm.Done(5, (1, 2, 0), (), None),
    wm.Bye(),
    wm.Waiting(2, ("192.0.2.9", 50000), b"GET /", 0.5),
    wm.Late(8000, 1, ("192.0.2.9", 50000), b"GET /", 0.5),
    wm.BaseSession("192.0.2.1:40000", "192.0.2.1", "", None, 8000, "0123456789abcdef"),
    wm.Welcome("0.3.0", 1, 1, 2),
    wm.Ping(),
    wm.Connection(True, ("2001:db8::1", 40000, 0, 0), b"", None),
    wm.Granted(1, 8000, "", "0123456789abcdef", 1, False, False),
    wm.Refused(1, "port-in-use", "port already in use", True, None),
    wm.Examine(3, (8000, 8001)),
    wm.GiveUp(8000, 1),
    wm.HandOver(2, 8000, 1),
    wm.CloseTunnel(8000, 1, "KICKED"),
    wm.Expired(8000, 1),
    wm.DropOldest("192.0.2.1"),
    wm.Order(5, "kick", "alice", None, 0.0),
    wm.Report(4, ""),
    wm.Retire(3600.0),
    wm.End(),
)
