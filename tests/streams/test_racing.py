"""The addresses of one dial."""

from __future__ import annotations

import errno
import socket
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from bore.streams.addresses import Place
from bore.streams.dial import TcpDialer
from bore.streams.racing import MAX_PLACES, alternate, isConnected, mayConnectToItself
from bore.streams.reactor import IReactor
from tests.fakes import FakeReactor

SIX = socket.AF_INET6, ("2001:db8::1", 80, 0, 0)
OTHER_SIX = socket.AF_INET6, ("2001:db8::2", 80, 0, 0)
FOUR = socket.AF_INET, ("192.0.2.1", 80)
OTHER_FOUR = socket.AF_INET, ("192.0.2.2", 80)
PLACES = st.lists(
    st.one_of(
        st.tuples(st.just(socket.AF_INET), st.tuples(st.integers(0, 200).map(lambda n: f"192.0.2.{n}"), st.just(80))),
        st.tuples(
            st.just(socket.AF_INET6), st.tuples(st.integers(0, 9999).map(lambda n: f"2001:db8::{n}"), st.just(80))
        ),
    ),
    max_size=200,
)


class Unlucky(socket.socket):
    """A socket that the system gives the port to which it connects."""

    def connect_ex(self, address: Any) -> int:
        self.bind(address)
        return super().connect_ex(address)


class OrderTests(SynchronousTestCase):
    """Which address is tried when."""

    def test_theFamiliesAlternateAndTheFirstStaysTheFirst(self) -> None:
        self.assertEqual(alternate([SIX, OTHER_SIX, FOUR, OTHER_FOUR]), [SIX, FOUR, OTHER_SIX, OTHER_FOUR])
        self.assertEqual(alternate([FOUR, SIX, OTHER_SIX, FOUR]), [FOUR, SIX, OTHER_SIX])
        self.assertEqual(alternate([]), [])

    @given(PLACES)
    def test_eachIsTriedOnceInOrderAndTheirNumberIsLimited(self, places: list[Place]) -> None:
        found = alternate(places)
        self.assertEqual(len(found), min(len(set(places)), MAX_PLACES))
        self.assertEqual(found[:1], places[:1])
        for family in (socket.AF_INET, socket.AF_INET6):
            had = list(dict.fromkeys(place for place in places if place[0] == family))
            of = [place for place in found if place[0] == family]
            self.assertEqual(of, had[: len(of)])


class SelfConnectionTests(SynchronousTestCase):
    """A connection that leads to its own socket."""

    def reachItself(self, host: str) -> socket.socket:
        """As the system does when it gives a connection the port that it leads to."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        sock = socket.socket(family)
        self.addCleanup(sock.close)
        sock.bind((host, 0))
        sock.connect(sock.getsockname())
        return sock

    def test_aSelfConnectionIsRefusedAndItsPortIsFreeAtOnce(self) -> None:
        for host in ("127.0.0.1", "::1", "127.0.0.9"):
            sock = self.reachItself(host)
            port = sock.getsockname()[1]
            with self.assertRaises(OSError) as caught:
                isConnected(sock, True)
            self.assertEqual(caught.exception.errno, errno.ECONNREFUSED)
            self.assertEqual(sock.fileno(), -1)
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            with socket.socket(family) as service:  # without SO_REUSEADDR, which would overlook a connection that waits
                service.bind((host, port))
                service.listen()

    def test_otherConnectionsAreNotRefused(self) -> None:
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)
        sock = socket.create_connection(listener.getsockname())
        self.addCleanup(sock.close)
        self.assertTrue(isConnected(sock, True))
        self.assertFalse(isConnected(socket.socket(), True))

    def test_onlyEphemeralPortsAreChecked(self) -> None:
        self.assertFalse(mayConnectToItself(80))
        sock = socket.socket()
        self.addCleanup(sock.close)
        sock.bind(("127.0.0.1", 0))
        self.assertTrue(mayConnectToItself(sock.getsockname()[1]))

    def test_aDialToADeadPortNeverSucceeds(self) -> None:
        """A dialler whose socket is given the port that it dials, each time."""
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            port = sock.getsockname()[1]
        dialer = TcpDialer(cast(IReactor, FakeReactor()), "127.0.0.1", port)
        self.patch(socket, "socket", Unlucky)
        for _ in range(3):
            dialled = dialer.dial()
            assert isinstance(dialled, Deferred)
            self.assertEqual(self.failureResultOf(dialled, OSError).value.errno, errno.ECONNREFUSED)
