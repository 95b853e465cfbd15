"""What the log has of users."""

from __future__ import annotations

from twisted.logger import formatEvent

from bore.relay.interface import Ending, Reason
from bore.users.ports import Ports, ports
from bore.users.rights import ALL_RIGHTS, Rights
from bore.wire import extension
from bore.wire.extension import Close, Open, markedHello
from tests.ports import freePort
from tests.server.userscase import NOW, UsersCase, portOf, usersOf


def only(*numbers: int) -> Ports:
    return ports((number, number) for number in numbers)


class LogTests(UsersCase):
    """What the log has of users."""

    def lines(self) -> list[str]:
        return [formatEvent(event) for event in self.logged if event["log_level"].name in ("info", "warn")]

    def test_eachChangeHasALine(self) -> None:
        self.change(
            usersOf(Rights(maxTunnels=3), alice=Rights(ports([(20000, 20009)]), expires=NOW + 10), carl=Rights())
            if False
            else usersOf(Rights(maxTunnels=3), alice=Rights(ports([(20000, 20009)]), expires=NOW + 10))
        )
        self.reactor.advance(10)
        self.change(usersOf(Rights(maxTunnels=3), alice=ALL_RIGHTS, bob=Rights(maxTunnels=1)))
        self.assertEqual(
            self.lines(),
            [
                "user alice: ports 20000-20009, expires 2027-01-15T08:00:10Z",
                "user *: max-tunnels 3",
                "user bob: removed",
                "user alice: expired",
                "user alice: ports unset, expires unset",
                "user bob: added, max-tunnels 1",
            ],
        )

    def test_soIsOneWhoIsRefused(self) -> None:
        port = freePort(self.host)
        self.change(usersOf(alice=Rights(only(port), expires=NOW + 10), bob=ALL_RIGHTS))
        protocol, _ = self.begun("alice")
        protocol.dataReceived(extension.encode(Open(1, port + 1)))
        self.lose(protocol)
        self.reactor.advance(10)
        protocol, _ = self.come("alice")
        protocol.dataReceived(markedHello(0))
        text = f"port {port + 1} is not among the ports that you may have: {port}"
        self.assertEqual(
            [line for line in self.lines() if "refused" in line],
            [
                f"alice at 192.0.2.1:4711 refused: {text}",
                "alice at 192.0.2.1:4711 refused: the rights of this user have expired",
            ],
        )

    def test_theUserIsNamed(self) -> None:
        protocol, _, opened = self.tunnel("alice")
        self.lose(protocol)
        port = portOf(opened)
        self.assertEqual(
            self.lines(),
            [
                f"port {port}: opened for alice at 192.0.2.1:4711",
                f"port {port}: alice at 192.0.2.1:4711 is gone, kept for 60 s",
            ],
        )

    def test_whatATunnelWasUsedForIsSummedUpWhenItIsClosed(self) -> None:
        protocol, transport, opened = self.tunnel("alice")
        port = portOf(opened)
        for _ in range(3):
            self.stream("alice", port, transport)
        for pair in list(self.relay._pairs)[:2]:
            self.relay.pairEnded(pair, Ending(Reason.FINISHED, 100, 2000))
        protocol.dataReceived(extension.encode(Close(1)))
        self.assertIn(
            f"port {port}: visitors of alice: 3; those that have left sent 200 B, and were sent 4000 B",
            self.lines(),
        )

    def test_butNotIfNobodyHasComeOrWithoutAUser(self) -> None:
        for name in ("alice", ""):
            protocol, transport, opened = self.tunnel(name)
            if not name:
                self.stream("", portOf(opened), transport)
            protocol.dataReceived(extension.encode(Close(1)))
        self.assertNotIn("visitors", "".join(self.lines()))
