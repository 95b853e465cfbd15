"""Wrong secrets: how often they are checked, and how they are logged."""

from __future__ import annotations

import gc
import re
import weakref
from uuid import UUID, uuid4

from twisted.internet.task import Clock
from twisted.logger import formatEvent
from twisted.trial.unittest import SynchronousTestCase

from bore.server.control import ControlProtocol
from bore.server.guesses import BURST, INTERVAL, LONGEST_WAIT, Guesses
from bore.wire.errors import ShuttingDown
from bore.wire.extension import Lane, markedHello
from bore.wire.extension import encode as encodeExtended
from bore.wire.messages import Accept, Authenticate, Challenge, ClientMessage, Hello, decodeServerMessage, encode
from bore.wire.proof import proveBase
from bore.wire.secret import Secret
from bore.wire.token import newToken
from tests.fakes import FakeTransport
from tests.server.case import ControlCase
from tests.support import CHECKOUT

RIGHT = Secret("the right one")
WRONG = Secret("a wrong one")

REFUSED = b'{"Error":"invalid secret"}\0'
UNREAD = b'{"Error":"too many wrong secrets from your address"}\0'


class GuessesTests(SynchronousTestCase):
    """The account of each source."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1e6)
        self.guesses = Guesses(self.clock)

    def fail(self, source: str = "a", times: int = 1) -> None:  # type: ignore[override]
        for _ in range(times):
            self.guesses.failed(source)

    def test_someAreNotDelayedAndOtherSourcesAreNotAffected(self) -> None:
        self.fail(times=BURST)
        self.assertFalse(self.guesses.limits("a"))
        self.fail()
        self.assertTrue(self.guesses.limits("a"))
        self.assertFalse(self.guesses.limits("b"))

    def test_furtherOnesAreDelayedButNotForLong(self) -> None:
        self.fail(times=BURST + 1)
        turns = [self.guesses.turn("a") for _ in range(6)]
        self.assertEqual(turns, [0.5, 1.0, 1.5, 2.0, None, None])
        self.clock.advance(1.0)
        self.assertEqual([self.guesses.turn("a") for _ in range(3)], [1.5, 2.0, None])

    def test_theDebtShrinksWithTime(self) -> None:
        self.fail(times=BURST + 1)
        self.clock.advance(INTERVAL)
        self.assertFalse(self.guesses.limits("a"))
        self.fail()
        self.assertTrue(self.guesses.limits("a"))
        self.clock.advance((BURST + 1) * INTERVAL)
        self.fail(times=BURST)
        self.assertFalse(self.guesses.limits("a"))

    def test_ofSeveralProcessesEachHasItsShareRoundedUp(self) -> None:
        for processes, burst, interval in ((1, 10, 0.5), (2, 5, 1.0), (3, 4, 1.0), (100, 1, 1.0)):
            self.guesses.share(processes)
            self.fail(times=burst)
            self.assertFalse(self.guesses.limits("a"))
            self.fail()
            self.assertEqual([self.guesses.turn("a") for _ in range(2)], [interval, 2 * interval])
        self.guesses.apply(0)
        self.fail(times=100)
        self.assertFalse(self.guesses.limits("a"))

    def test_anotherLimitIsSharedToo(self) -> None:
        self.guesses.share(4)
        self.guesses.apply(40)
        self.fail(times=10)
        self.assertFalse(self.guesses.limits("a"))
        self.fail()
        self.assertTrue(self.guesses.limits("a"))


class GuessingCase(ControlCase):
    """A server with a secret, and an address that guesses."""

    secret = RIGHT

    def challenged(self, source: str = "192.0.2.1") -> tuple[ControlProtocol, FakeTransport, UUID]:
        protocol, transport = self.connect(source)
        challenge = decodeServerMessage(transport.takeWritten()[:-1])
        assert isinstance(challenge, Challenge)
        return protocol, transport, challenge.id

    def answer(self, secret: Secret, request: ClientMessage | bytes, source: str = "192.0.2.1") -> FakeTransport:
        protocol, transport, id = self.challenged(source)
        words = request if isinstance(request, bytes) else encode(request)
        protocol.dataReceived(encode(Authenticate(proveBase(secret, id))) + words)
        return transport

    def exhaust(self, source: str = "192.0.2.1") -> None:
        for _ in range(BURST + 1):
            self.assertEqual(self.answer(WRONG, Hello(0), source).takeWritten(), REFUSED)


class RateTests(GuessingCase):
    """How often a secret is checked."""

    def test_aGuessWaitsForItsAnswer(self) -> None:
        self.exhaust()
        waiting = [self.answer(WRONG, Hello(0)) for _ in range(7)]
        self.assertEqual([transport.takeWritten() for transport in waiting], [b""] * 7)
        self.reactor.advance(INTERVAL)
        self.assertEqual([transport.takeWritten() for transport in waiting], [REFUSED] + [b""] * 6)
        self.reactor.pump([0.1] * 15)
        self.assertEqual([transport.takeWritten() for transport in waiting], [b""] + [REFUSED] * 3 + [UNREAD] * 3)
        self.assertTrue(all(transport.disconnecting for transport in waiting))

    def test_aRightSecretFromThereIsDelayedAndLetIn(self) -> None:
        self.exhaust()
        self.answer(WRONG, Hello(0))
        right = self.answer(RIGHT, Hello(0))
        self.assertEqual(right.takeWritten(), b"")
        self.reactor.advance(2 * INTERVAL)
        self.assertIn(b'{"Hello":', right.takeWritten())

    def test_rightSecretsAreNotDelayed(self) -> None:
        for _ in range(5 * BURST):
            transport = self.answer(RIGHT, markedHello(0))
            self.reactor.advance(0)  # together they send more than one turn's share
            self.assertIn(b'"Extended"', transport.takeWritten())

    def test_otherAddressesDoNotWait(self) -> None:
        self.exhaust()
        self.assertIn(b'{"Hello":', self.answer(RIGHT, Hello(0), "192.0.2.2").takeWritten())

    def test_guessesOnDataConnectionsAndLanesAreDelayedAsWell(self) -> None:
        self.exhaust()
        for request in (encode(Accept(uuid4())), encodeExtended(Lane(newToken())), b"junk\0", b"", b"x" * 70_000):
            self.assertEqual(self.answer(WRONG, request).takeWritten(), b"", request[:50])
        self.reactor.pump([0.1] * 25)

    def test_aDataConnectionOfAClientThereIsNotDelayed(self) -> None:
        client = self.answer(RIGHT, Hello(0))
        port = self.reactor.getReaders()[0].port
        client.takeWritten()
        self.visit(port)
        [id] = self.announced(client)
        self.exhaust()
        self.assertTrue(self.answer(RIGHT, Accept(id)).detached)
        self.assertEqual(self.answer(RIGHT, Accept(id)).takeWritten(), b"", "that one is taken")
        self.reactor.pump([0.1] * 25)

    def test_aConnectionThatEndsDuringTheDelayLeavesNothingBehind(self) -> None:
        ends = (self.lose, self.shutDown, ControlProtocol.drop, ControlProtocol.timedOut)
        for source, end in zip(("192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"), ends, strict=True):
            self.exhaust(source)
            protocol, transport, id = self.challenged(source)
            before = len(self.reactor.getDelayedCalls())
            protocol.dataReceived(encode(Authenticate(proveBase(RIGHT, id))) + encode(Hello(0)))
            self.assertEqual(len(self.reactor.getDelayedCalls()), before + 1)
            end(protocol)
            self.assertEqual(len(self.reactor.getDelayedCalls()), before)
            self.reactor.advance(LONGEST_WAIT)
            self.assertNotIn(b'{"Hello":', transport.takeWritten())

    def test_aConnectionThatWasDelayedIsFreedAtOnceWhenItEnds(self) -> None:
        self.exhaust()
        gc.disable()
        self.addCleanup(gc.enable)
        delayed = []
        for _ in range(6):  # the last ones are not checked
            protocol, _, id = self.challenged()
            protocol.dataReceived(encode(Authenticate(proveBase(WRONG, id))) + encode(Hello(0)))
            delayed.append(protocol)
        self.reactor.pump([0.1] * 25)
        for protocol in delayed:
            self.lose(protocol)
        gone = [weakref.ref(protocol) for protocol in delayed]
        del protocol, delayed
        self.assertEqual([each() for each in gone], [None] * 6)

    def shutDown(self, protocol: ControlProtocol) -> None:
        protocol.refuse(ShuttingDown())

    def test_theDelayDoesNotCountAsSilence(self) -> None:
        self.exhaust()
        protocol, transport, id = self.challenged()
        self.reactor.advance(0.1)
        for _ in range(4):
            self.answer(WRONG, Hello(0))
        self.reactor.pump([0.1] * 28)
        for _ in range(2):
            self.answer(WRONG, Hello(0))
        self.reactor.advance(0.05)
        protocol.dataReceived(encode(Authenticate(proveBase(RIGHT, id))) + encode(Hello(0)))
        self.reactor.pump([0.1] * 20)
        self.assertIn(b'{"Hello":', transport.takeWritten())


class TlsRateTests(GuessingCase):
    """The same inside TLS, with its own kind of proof."""

    def guess(self, binding: bytes = b"b" * 32) -> tuple[ControlProtocol, FakeTransport]:
        transport = FakeTransport()
        self.addCleanup(transport.socket.close)
        protocol = self.server.control.buildProtocol(None, "192.0.2.1:4711", "192.0.2.1", binding)
        protocol.makeConnection(transport)
        transport.clear()
        protocol.dataReceived(b'{"BindingProof":{"nonce":"%s","proof":"%s"}}\0' % (b"00" * 32, b"00" * 32))
        return protocol, transport

    def test_wrongProofsThereCountAndAreDelayedAsWell(self) -> None:
        for _ in range(BURST + 1):
            self.assertEqual(self.guess()[1].takeWritten(), REFUSED)
        _, transport = self.guess()
        plain = self.answer(WRONG, Hello(0))
        self.assertEqual((transport.takeWritten(), plain.takeWritten()), (b"", b""))
        self.reactor.pump([INTERVAL] * 2)
        self.assertEqual((transport.takeWritten(), plain.takeWritten()), (REFUSED, REFUSED))


class LogTests(GuessingCase):
    """The log lines."""

    def lines(self) -> list[str | None]:
        return [formatEvent(event) for event in self.logged if event["log_level"].name != "debug"]

    def test_thereIsOneStableLineForAnAddressThatSumsUp(self) -> None:
        self.exhaust()
        self.assertEqual(self.lines(), ["wrong secret from 192.0.2.1"])
        self.reactor.pump([1.0] * 10)
        self.assertEqual(self.lines()[1:], [f"wrong secret from 192.0.2.1: {BURST} more in 10 s"])
        self.assertEqual(self.warnings, self.lines())

    def test_theDocumentationTellsFail2banWhatMatches(self) -> None:
        [pattern] = re.findall(r"failregex = (.*)", (CHECKOUT / "docs" / "security.rst").read_text())
        for source in ("192.0.2.1", "2001:db8::1"):
            protocol, _ = self.connect(f"[{source}]" if ":" in source else source)
            protocol.dataReceived(encode(Authenticate(proveBase(WRONG, uuid4()))))
        self.exhaust("192.0.2.2")
        self.reactor.pump([1.0] * 10)
        found = [re.search(pattern.replace("<ADDR>", r"(?P<ip>[0-9a-f.:]*[0-9a-f])"), line) for line in self.warnings]
        addresses = [match and match["ip"] for match in found]
        self.assertEqual(addresses, ["192.0.2.1", "2001:db8::1", "192.0.2.2", "192.0.2.2"])

    def test_theFilterForFail2banMatchesItInAFileAndInTheJournal(self) -> None:
        text = (CHECKOUT / "examples" / "fail2ban" / "filter.d" / "txbore.conf").read_text()
        [pattern] = re.findall(r"^failregex = (.*)", text, re.MULTILINE)
        found = re.compile(pattern.replace("<ADDR>", r"(?P<ip>[0-9a-f.:]*[0-9a-f])"))
        self.exhaust()
        self.reactor.pump([1.0] * 10)
        for line in self.warnings:
            for before in ("", "warn  ", "<4>", "host bore-server[123]: "):
                match = found.search(before + line)
                self.assertEqual(match and match["ip"], "192.0.2.1", before + line)
        self.assertIsNone(found.search("info  192.0.2.1:4711 refused: wrong secret from 192.0.2.3"))

    def test_whatElseIsWrongIsSummedUpAsWell(self) -> None:
        for _ in range(50):
            self.answer(RIGHT, b"junk\0")
            self.answer(RIGHT, Accept(UUID(int=7)))
            self.connect()[0].dataReceived(encode(Hello(0)))
        self.reactor.pump([1.0] * 10)
        first, sums = self.lines()[:3], self.lines()[3:]
        self.assertEqual(sums, [f"{line}: 49 more in 10 s" for line in first])
        self.assertEqual(len(first), 3, first)


class ProxyHeaderTests(ControlCase):
    """HAProxy's send-proxy at the control port."""

    HEADERS = (b"PROXY TCP4 203.0.113.9 192.0.2.1 4711 7835\r\n", b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + bytes(12))

    def test_itIsNamedOnceWhateverComesBehind(self) -> None:
        for header in self.HEADERS:
            for rest in (b"", markedHello(0), b"\x16\x03\x01"):
                protocol, transport = self.connect()
                protocol.dataReceived(header + rest)
                self.assertIn(b'{"Error":"a PROXY protocol header at the control port: ', transport.takeWritten())
                self.assertTrue(transport.disconnecting)
        text = "192.0.2.1:4711 refused: a PROXY protocol header at the control port: remove send-proxy for this port"
        self.assertEqual([warning[: len(text)] for warning in self.warnings], [text])


class SecretProxyHeaderTests(ProxyHeaderTests):
    """The same where a proof is expected."""

    secret = RIGHT
