"""Connections of trusted proxies get the addresses that their headers announce, and no others do."""

from __future__ import annotations

import select
import socket

from twisted.logger import formatEvent

from bore.events.server import ConnectionRefused, ProxyHeaderMissing
from bore.server.log import ServerLog
from bore.server.proxyheaders import OWN_PATIENCE
from bore.server.settings import NO_PROXIES, Bounds, TrustedProxies
from bore.streams.addresses import SocketAddress
from bore.streams.listener import bindSocket
from bore.wire.addressrules import parseNetwork
from bore.wire.limits import FIRST_MESSAGE_TIMEOUT
from bore.wire.proxyheader import MAX_HEADER
from bore.wire.proxyprotocol import SIGNATURES, Version, header
from tests.fakes import captureLog
from tests.server.proxycase import ANNOUNCED, HERE, OWN, RESET, V1, V2, ProxyCase
from tests.support import connect, temporaryFolder


class TrustedTests(ProxyCase):
    """What a proxy sends."""

    def test_theAnnouncedAddressIsThatOfTheConnectionAndNoByteBehindIsLost(self) -> None:
        for begin in (V1, V2):
            client = self.connect(begin + b"\x16\x03\x01early")
            sock, address = self.came.pop()
            self.assertEqual((address, sock.recv(100)), (ANNOUNCED, b"\x16\x03\x01early"))
            client.sendall(b"x")
            self.assertTrue(select.select([sock], [], [], 5)[0], "the kernel waits for more")
            sock.send(b"answer")
            self.assertEqual(client.recv(100), b"answer")
        self.assertEqual((len(self.unclassified), self.events), (0, []))

    def test_nothingHasToBeBehindTheHeader(self) -> None:
        self.connect(V2)
        self.assertEqual(self.addresses(), [ANNOUNCED])

    def test_itMayComeInPiecesWhichAreNotReadAgainAndAgain(self) -> None:
        for begin in (V1, V2):
            client = self.connect()
            self.assertEqual(len(self.unclassified), 1)
            calls = 0
            data = begin + b"early"
            for at in range(0, len(data), 7):  # of many more the kernel of the sender has some wait
                client.sendall(data[at : at + 7])
                calls += self.turn()
            self.assertEqual(self.came.pop()[1], ANNOUNCED)
            self.assertLess(calls, 10)

    def test_anAddressOfTheOtherFamilyIsAnnounced(self) -> None:
        self.connect(header(Version.V2, ("2001:db8::7", 4711), ("2001:db8::1", 443)))
        self.assertEqual(self.addresses(), [("2001:db8::7", 4711)])

    def test_aSocketOfBothFamiliesKnowsTheProxyByItsIPv4Address(self) -> None:
        both = self.listen(bindSocket("::", 0))
        client = connect("127.0.0.1", both.port)
        self.addCleanup(client.close)
        client.sendall(V1)
        self.turn()
        self.assertEqual(self.addresses(), [(*ANNOUNCED, 0, 0)])

    def test_anotherHeaderBehindTheFirstIsOrdinaryBytes(self) -> None:
        self.connect(V2 + V1)
        [(sock, address)] = self.came
        self.assertEqual((address, sock.recv(1000)), (ANNOUNCED, V1))

    def test_aConnectionThatFailsFurtherOnIsClosedAndTheNextIsServed(self) -> None:
        def fail(sock: socket.socket, address: SocketAddress) -> None:
            raise RuntimeError

        passOn, self.listener._accepted = self.listener._accepted, fail
        client = self.connect(V2)
        self.assertEqual(client.recv(1), b"")
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.listener._accepted = passOn
        self.connect(V2)
        self.assertEqual(self.addresses(), [ANNOUNCED])


class OwnConnectionTests(ProxyCase):
    """Connections that the proxy opens for itself: most of them are health checks."""

    def test_oneThatIsClosedWithoutAByteIsNotNoticed(self) -> None:
        for begin in (b"", b"PROXY", *OWN):
            self.connect(begin).close()
            self.turn()
            client = self.connect(begin)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            client.close()
            self.turn()
        self.assertEqual((self.came, self.events, len(self.unclassified)), ([], [], 0))

    def test_oneThatSendsSomethingHasTheProxysAddress(self) -> None:
        for begin in OWN:
            client = self.connect(begin + b"GET /")
            self.assertEqual(self.came.pop()[1], client.getsockname())
            client = self.connect(begin)
            self.assertEqual(self.came, [])
            client.sendall(b"GET /")
            self.turn()
            sock, address = self.came.pop()
            self.assertEqual((address, sock.recv(9)), (client.getsockname(), b"GET /"))

    def test_oneThatWaitsForTheServiceGetsToItInAMoment(self) -> None:
        client = self.connect(OWN[1])
        self.reactor.advance(OWN_PATIENCE - 0.1)
        self.assertEqual((self.came, len(self.unclassified)), ([], 1))
        self.reactor.advance(0.1)
        self.assertEqual((self.addresses(), len(self.unclassified)), ([client.getsockname()], 0))

    def test_soDoesOneWhoseHeaderWasSlow(self) -> None:
        client = self.connect()
        self.reactor.advance(FIRST_MESSAGE_TIMEOUT - 0.1)
        client.sendall(OWN[1])
        self.turn()
        self.reactor.advance(0.1)
        self.assertEqual((self.addresses(), self.events), ([client.getsockname()], []))


class WithoutHeaderTests(ProxyCase):
    """Connections of a trusted proxy that do not have what is expected of it."""

    def closed(self, data: bytes, error: str) -> bytes:
        """Connect, send something, and be closed. Returns the answer."""
        client = self.connect(data)
        host, port = client.getsockname()
        self.assertEqual((self.came, self.events), ([], [ProxyHeaderMissing(f"{host}:{port}", host, error)]))
        self.events.clear()
        return client.recv(1000)

    def test_whatIsNoHeaderIsClosedAtOnce(self) -> None:
        error = "it does not begin with a PROXY protocol header"
        self.assertEqual(self.closed(b"GET / HTTP/1.1\r\n\r\n", error), b"")
        self.assertEqual(self.closed(b"\x16\x03\x01\x02\x00", error), b"")

    def test_aClientOfOursGetsToKnowWhy(self) -> None:
        answer = self.closed(b'{"Hello":8000}\0', "it does not begin with a PROXY protocol header")
        self.assertIn(b'{"Error":"the server expects a PROXY protocol header from your address', answer)

    def test_aDamagedHeaderIsClosedAndAnOverlongOneBeforeItHasCome(self) -> None:
        self.closed(b"PROXY TCP4 x y 1 2\r\n", "its PROXY protocol header is damaged")
        self.closed(b"PROXY UNKNOWN " + b"x" * 100, "its PROXY protocol header is damaged")
        text = f"its PROXY protocol header has more than {MAX_HEADER} bytes"
        self.closed(SIGNATURES[1] + b"\x21\x11\xff\xff", text)

    def test_halfAHeaderOrNoneIsClosedInTime(self) -> None:
        clients = [self.connect(data) for data in (b"", b"PROXY TCP4 ", V2[:-1])]
        self.reactor.advance(FIRST_MESSAGE_TIMEOUT)
        found = [each.error for each in self.events if isinstance(each, ProxyHeaderMissing)]
        self.assertEqual(found, ["it has sent no whole PROXY protocol header within 3 s"] * 3)
        answers = [client.recv(1000) for client in clients]
        self.assertIn(b"--trusted-proxies", answers[0])
        self.assertEqual(answers[1:], [b"", b""])

    def test_theLogHasALineForANetworkAndSums(self) -> None:
        log = ServerLog(self.reactor)
        self.sink.subscribe(log)
        lines = captureLog(self)
        for _ in range(3):
            self.connect(b"GET / HTTP/1.1\r\n\r\n")
        [line] = [formatEvent(each) for each in lines]
        self.assertRegex(line, "^trusted proxy 127[0-9.:]+ closed: it does not begin with a PROXY protocol header$")
        self.reactor.advance(10)
        self.assertIn("2 more in 10 s", formatEvent(lines[-1]))
        log._refusals.stop()


class ElsewhereTests(ProxyCase):
    """Connections that are not from a trusted proxy."""

    trusted = TrustedProxies((parseNetwork("192.0.2.0/24"), parseNetwork("2001:db8::/32")))

    def test_aHeaderIsLikeAnyOtherBytes(self) -> None:
        for begin in (V1, V2, *OWN):
            client = self.connect(begin + b"early")
            sock, address = self.came.pop()
            self.assertEqual((address, sock.recv(1000)), (client.getsockname(), begin + b"early"))
            self.assertEqual(len(self.unclassified), 0)

    def test_andSoItIsOnUnixSockets(self) -> None:
        path = str(temporaryFolder(self) / "socket")
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen()
        self.listen(listener)
        client = socket.socket(socket.AF_UNIX)
        self.addCleanup(client.close)
        client.connect(path)
        client.sendall(V2)
        self.turn()
        [(sock, address)] = self.came
        self.assertEqual((address, sock.recv(1000)), ((), V2))

    def test_whoIsTrustedMayChangeWhileItRuns(self) -> None:
        self.headers.apply(HERE)
        client = self.connect()
        self.headers.apply(NO_PROXIES)
        self.connect(b"GET /")
        self.assertEqual(len(self.came), 1)
        client.sendall(V2)
        self.turn()
        self.assertEqual((self.addresses()[1:], self.headers.waiting), ([ANNOUNCED], {}))


class UnixTests(ProxyCase):
    """Proxies on the same machine, behind a Unix socket."""

    trusted = TrustedProxies(unix=True)

    def test_theirHeadersAreReadAndThoseOfTcpAreNot(self) -> None:
        path = str(temporaryFolder(self) / "socket")
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen()
        self.listen(listener)
        for data in (V2 + b"early", OWN[1] + b"early"):
            client = socket.socket(socket.AF_UNIX)
            self.addCleanup(client.close)
            client.connect(path)
            client.sendall(data)
            self.turn()
        (one, address), (two, none) = self.came
        self.assertEqual((address[:2], one.recv(9), none, two.recv(9)), (ANNOUNCED, b"early", (), b"early"))
        self.came.clear()
        client = self.connect(V2)
        self.assertEqual(self.addresses(), [client.getsockname()])


class LimitTests(ProxyCase):
    """The number of connections that wait for their header is limited."""

    bounds = Bounds(pending=4, pendingPerSource=1)

    def test_theOldestIsClosedWhenThereAreTooManyInTotal(self) -> None:
        clients = [self.connect(b"PROXY ") for _ in range(5)]
        self.assertEqual(clients[0].recv(100), b"")
        self.assertEqual((len(self.unclassified), len(self.headers.waiting)), (4, 4))
        [refused] = [each for each in self.events if isinstance(each, ConnectionRefused)]
        self.assertEqual(refused.network, clients[0].getsockname()[0])

    def test_whatWaitsCanBeTakenByAnotherProcess(self) -> None:
        self.connect(V2[:-1])
        self.connect(OWN[1])
        due, own = sorted(self.headers.release(), key=lambda each: not each.isDue)
        for each in (due, own):
            self.addCleanup(each.socket.close)
        self.assertEqual((due.isDue, due.socket.recv(100), own.isDue), (True, V2[:-1], False))
        self.assertEqual((own.passOn, own.address[0]), (self.accepted, "127.0.0.1"))
