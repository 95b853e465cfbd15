"""Which public ports are drawn first, which last, and which never."""

from __future__ import annotations

import random
import socket

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from bore.server.ports import Ports
from bore.server.settings import ServerSettings
from bore.system.ephemeral import ephemeralPorts
from bore.tls.settings import ServerTls
from bore.users.ports import NO_PORTS
from bore.users.ports import Ports as PortSet
from bore.users.ports import ports as setOfPorts
from bore.users.rights import Rights
from tests.wire.strategies import UNHURRIED


class ChoiceTests(SynchronousTestCase):
    """Ports that are drawn last, or not at all."""

    def drawn(
        self,
        lowest: int,
        highest: int,
        rights: Rights | None = None,
        ephemeral: PortSet = NO_PORTS,
        control: int = 1,
        tls: int | None = None,
    ) -> list[int]:
        """All ports that are drawn, in their order."""
        settings = ServerSettings(
            minPort=lowest, maxPort=highest, controlPort=control, tls=None if tls is None else ServerTls(tls)
        )
        all = Ports(Clock(), settings, random.Random(1).randint, lambda host, port: socket.socket(), ephemeral)
        found = []
        while (port := next(all.candidates(0, rights), None)) is not None:
            all.bind(port).close()
            found.append(port)
        return found

    def test_portsOfOutgoingConnectionsAreDrawnWhenAllOthersAreTaken(self) -> None:
        found = self.drawn(2000, 2009, ephemeral=setOfPorts([(2003, 2005), (2008, 3000)]))
        self.assertEqual(sorted(found[:5]), [2000, 2001, 2002, 2006, 2007])
        self.assertEqual(sorted(found[5:]), [2003, 2004, 2005, 2008, 2009])
        self.assertNotEqual(found[:5], sorted(found[:5]))

    def test_controlPortsAreNotDrawn(self) -> None:
        self.assertEqual(sorted(self.drawn(2000, 2003, control=2001, tls=2002)), [2000, 2003])

    def test_aUserGetsItsExclusivePortsLast(self) -> None:
        rights = Rights(setOfPorts([(2001, 2003), (2005, 2006)]), setOfPorts([(2002, 2002)]))
        found = self.drawn(2000, 2005, rights, setOfPorts([(2001, 2001)]))
        self.assertEqual(sorted(found[:2]), [2003, 2005])
        self.assertEqual(found[2:], [2001, 2002])

    @UNHURRIED
    @given(st.lists(st.tuples(st.integers(2000, 2030), st.integers(0, 5)), max_size=5), st.integers(1999, 2031))
    def test_allPortsOfAUserAreDrawnAndNoOther(self, ranges: list[tuple[int, int]], control: int) -> None:
        mine = setOfPorts((lowest, lowest + size) for lowest, size in ranges)
        found = self.drawn(2000, 2031, Rights(mine), setOfPorts([(2010, 2020)]), control)
        expected = [port for port in range(2000, 2032) if port in mine and port != control]
        self.assertEqual(sorted(found), expected)

    def test_thoseOfThisSystemAreKnown(self) -> None:
        lowest, highest = ephemeralPorts()
        with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as sock:
            self.assertTrue(lowest <= sock.getsockname()[1] <= highest)
