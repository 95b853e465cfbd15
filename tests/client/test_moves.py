"""A server gives the session away: the client comes again soon, with its tokens."""

from __future__ import annotations

from typing import cast

from twisted.internet.error import ConnectionLost

from bore.client.control import ControlProtocol
from bore.client.servers import Servers, Trusts
from bore.client.settings import ServerAddress
from bore.streams.reactor import IReactor
from bore.tls.settings import ClientTls
from bore.tls.verdict import Verdict
from bore.wire.extension import Close, Closed, Extended, Goodbye, Moved, Open, Opened, encode
from tests.client.manycase import TOKENS, ManyCase
from tests.fakes import FakeTransport

KNOWN = Verdict("SHA256:x", "its key is known", "", b"")
NEW = Verdict("SHA256:x", "it is new", "SHA256:x", b"")


class MoveTests(ManyCase):
    """A client with three tunnels at a plain server."""

    def move(self, protocol: ControlProtocol, transport: FakeTransport, to: str | None = None) -> float:
        """The server gives the session away. Returns the seconds until the next one."""
        self.hear(protocol, Moved(to), Goodbye())
        self.assertTrue(transport.aborted)
        self.lose(protocol, ConnectionLost())
        return self.delayToNextAttempt()

    def again(self) -> tuple[ControlProtocol, FakeTransport]:
        """The next session, in which the tunnels are requested."""
        protocol, transport = self.connect()
        transport.takeWritten()
        self.hear(protocol, Extended(1))
        return protocol, transport

    def test_itComesAgainWithinASecondAndShowsItsTokens(self) -> None:
        protocol, transport = self.session()
        self.assertLessEqual(self.move(protocol, transport), 1.1)
        self.assertNotIn(encode(Goodbye()), transport.takeWritten())
        _, transport = self.again()
        requests = Open(1, 20000, TOKENS[0]), Open(2, 9001, TOKENS[1]), Open(3, 20002, TOKENS[2])
        self.assertEqual(transport.takeWritten(), b"".join(encode(request) for request in requests))
        self.assertEqual(len(self.logged), 1)
        self.assertRegex(self.logged[0], r"example\.com:7835 asks this client to come again, (in [01]\.\d s|at once)")

    def test_itIsNoFailure(self) -> None:
        self.make(reconnect=False, exitAfterFailures=1)
        protocol, transport = self.session()
        self.move(protocol, transport)
        self.assertEqual(self.connector.attempts, 1)
        self.assertIsNone(self.gaveUp())

    def test_oneThatIsMovedAgainAndAgainComesEverMoreRarely(self) -> None:
        delays = []
        for _ in range(40):
            protocol, transport = self.session()
            delays.append(self.move(protocol, transport))
        self.assertLessEqual(delays[0], 1.1)
        self.assertGreater(max(delays[6:]), 2)
        self.assertLessEqual(max(delays), 64.1)
        protocol, transport = self.session()
        self.live(protocol, 70)
        self.assertLessEqual(self.move(protocol, transport), 1.1)

    def test_aSessionThatIsMovedBeforeItsTunnelsAreUpIsBegunAgain(self) -> None:
        protocol, transport = self.begin()
        self.move(protocol, transport)
        _, transport = self.again()
        self.assertEqual(len(self.asked(transport)), 3)

    def test_aPlainServerCannotSendTheClientElsewhere(self) -> None:
        for to in ("tls://evil.example", "evil.example", "tcp://evil.example:1"):
            protocol, transport = self.session()
            self.move(protocol, transport, to)
            self.assertEqual(self.servers.current.address.host, "example.com")
            self.assertIn(f"example.com:7835 sends this client to {to}, which is not followed", self.logged[0])

    def test_whatIsChangedMeanwhileIsSoInTheNextSession(self) -> None:
        protocol, transport = self.session()
        self.link.remove(self.tunnels[1])
        self.hear(protocol, Moved(None), Closed(2))
        self.successResultOf(self.link.remove(self.tunnels[2]))
        self.lose(protocol, ConnectionLost())
        self.delayToNextAttempt()
        _, transport = self.again()
        frames = Open(1, 20001, TOKENS[1]), Close(1), Open(2, 20002, TOKENS[2]), Close(2), Open(3, 20000, TOKENS[0])
        self.assertEqual(transport.takeWritten(), b"".join(encode(frame) for frame in frames))

    def test_oneThatIsStoppedMeanwhileDoesNotComeAgain(self) -> None:
        protocol, _ = self.session()
        self.hear(protocol, Moved(None))
        self.successResultOf(self.link.stop())
        self.assertEqual(self.factory.continueTrying, 0)
        self.lose(protocol, ConnectionLost())
        self.reactor.advance(100)
        self.assertEqual((self.connector.attempts, self.reactor.getDelayedCalls()), (0, []))


class EncryptedMoveTests(ManyCase):
    """Where a server with TLS may send its client."""

    def setUp(self) -> None:
        self.make("a.example", tls=ClientTls())

    def among(self, *hosts: str, tls: ClientTls | None = None) -> Servers:
        reactor = cast(IReactor, self.reactor)
        trusts = None if tls is None else Trusts(tls, True, self.sink)
        return Servers(reactor, [ServerAddress(host) for host in hosts], trusts)

    def test_onlyAServerThatIsKnownIsFollowedAndOnlyToOneWithTls(self) -> None:
        servers = self.among("a.example", tls=ClientTls())
        self.assertIsNone(servers.destination("tls://b.example"), "nothing was shown yet")
        servers.current.judged(NEW)
        self.assertIsNone(servers.destination("tls://b.example"), "it is trusted on first use")
        servers.current.judged(KNOWN)
        self.assertEqual(servers.destination("tls://b.example"), ServerAddress("b.example"))
        self.assertEqual(servers.destination("tls://[::1]:7000"), ServerAddress("::1", 7000))
        for to in (
            None,
            "b.example",
            "tcp://b.example",
            "tls://",
            "tls://b c",
            "tls://b:0x7",
            "tls://b:70000",
            "TLS://b",
        ):
            self.assertIsNone(servers.destination(to), to)
        plain = self.among("a.example")
        self.assertIsNone(plain.destination("tls://b.example"))

    def test_theServerIsJudgedAsEveryOther(self) -> None:
        servers = self.among("a.example", tls=ClientTls())
        servers.current.judged(KNOWN)
        before = servers.current._trusts
        servers.follow(ServerAddress("b.example"))
        self.assertFalse(servers.current.known, "what the other one has shown does not count")
        self.assertIs(servers.current._trusts, before)

    def test_behindTheOneWeWereSentToComesTheOneThatHasSentUs(self) -> None:
        servers = self.among("a.example", "c.example", tls=ClientTls())
        servers.follow(ServerAddress("b.example"))
        self.assertEqual((str(servers.current.address.host), len(servers)), ("b.example", 3))
        servers.drop(forGood=True)
        self.assertTrue(servers.moveOn())
        self.assertEqual((str(servers.current.address.host), len(servers)), ("a.example", 2))
        self.assertFalse(servers.moveOn())
        self.assertEqual(servers.current.address.host, "c.example")

    def test_oneOfItsOwnServersIsThatOne(self) -> None:
        servers = self.among("a.example", "c.example", tls=ClientTls())
        servers.follow(ServerAddress("c.example"))
        self.assertEqual((servers.current.address.host, len(servers)), ("c.example", 2))

    def test_oneThatWeWereSentToMayBecomeOneOfItsOwn(self) -> None:
        servers = self.among("a.example", tls=ClientTls())
        servers.follow(b := ServerAddress("b.example"))
        current = servers.current
        servers.change([ServerAddress("c.example"), b], None)
        self.assertIs(servers.current, current)
        self.assertEqual(len(servers), 2)
        self.assertFalse(servers.moveOn())
        self.assertEqual(servers.current.address.host, "c.example")

    def test_theTokensGoAlongAndComeBack(self) -> None:
        self.servers.current.judged(KNOWN)
        protocol, _ = self.connect()
        self.hear(protocol, Extended(1))
        for number in range(3):
            self.hear(protocol, Opened(number + 1, 20000 + number, TOKENS[number], 60))
        self.link.remove(self.tunnels[2])
        self.hear(protocol, Moved("tls://b.example"))
        self.lose(protocol, ConnectionLost())
        self.assertIn("a.example:7835 moves this client to b.example:7835, ", self.logged[-1])
        self.assertEqual(self.servers.current.address.host, "b.example")
        tunnels = self.link.tunnels
        kept = tunnels._kept[self.tunnels[0]]
        self.assertEqual((tunnels.portOf(kept).wanted, tunnels.portOf(kept).token), (20000, TOKENS[0]))
        self.assertEqual(self.owner.leftovers.take(ServerAddress("b.example")), [(20002, TOKENS[2])])
        tunnels.portOf(kept).opened(20000, TOKENS[3])
        self.delayToNextAttempt()
        self.refuseConnection()
        self.assertEqual(self.servers.current.address.host, "a.example")
        self.assertEqual((tunnels.portOf(kept).wanted, tunnels.portOf(kept).token), (20000, TOKENS[3]))
