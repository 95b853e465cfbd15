"""Dialling."""

from __future__ import annotations

import errno
import socket
import time
from collections.abc import Sequence
from typing import Any, cast

from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.error import DNSLookupError
from twisted.internet.interfaces import IReactorFromThreads
from twisted.trial.unittest import TestCase

from bore.streams import dial, racing
from bore.streams.addresses import Place, literalAddress
from bore.streams.dial import TcpDialer
from bore.streams.errortexts import errorText
from bore.streams.reactor import IReactor
from bore.streams.resolver import LookupFailed, Resolver
from tests.ports import freePort
from tests.promptness import within


class Names(Resolver):
    """Answers with addresses of the test's choice, and counts the questions."""

    def __init__(self, *hosts: str) -> None:
        super().__init__()
        self.hosts: Sequence[str] = hosts
        self.asked = 0
        self.slow = False
        self.trouble: LookupFailed | None = None
        self.waiting: list[Deferred[list[Place]]] = []

    def lookUp(self, reactor: IReactorFromThreads, host: str) -> Deferred[list[Place]]:
        self.asked += 1
        found: Deferred[list[Place]] = Deferred()
        self.waiting.append(found)
        if not self.slow:
            self.answer()
        return found

    def answer(self) -> None:
        """Answer all look-ups with the addresses."""
        waiting, self.waiting = self.waiting, []
        for found in waiting:
            if self.trouble is not None:
                found.errback(self.trouble)
            elif self.hosts:
                found.callback([literalAddress(host, 0) for host in self.hosts])
            else:
                found.errback(LookupFailed("there is none", temporary=False))


class LaterReactor:
    """The real reactor, with a clock that can be set."""

    def __init__(self) -> None:
        self.later = 0.0

    def seconds(self) -> float:
        return time.monotonic() + self.later

    def __getattr__(self, name: str) -> Any:
        return getattr(reactor, name)


class DialTests(TestCase):
    """A connected socket, in no more time than it takes."""

    def setUp(self) -> None:
        self.names = Names()
        self.reactor = LaterReactor()

    def listen(self, host: str = "127.0.0.1", port: int = 0) -> socket.socket:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family)
        self.addCleanup(listener.close)
        return listener

    def dialer(self, host: str, port: int) -> TcpDialer:
        return TcpDialer(cast(IReactor, self.reactor), host, port, self.names)

    async def connected(self, dialer: TcpDialer) -> Any:
        dialled = dialer.dial()
        sock = await dialled if isinstance(dialled, Deferred) else dialled
        self.addCleanup(sock.close)
        self.assertFalse(sock.getblocking())
        return sock.getpeername()[0]

    async def test_anAddressIsDialledWithoutALookUp(self) -> None:
        for host in ("127.0.0.1", "::1"):
            dialer = self.dialer(host, self.listen(host).getsockname()[1])
            for self.reactor.later in (0, 100):
                self.assertEqual(await self.connected(dialer), host)
        self.assertEqual(self.names.asked, 0)

    async def test_anAddressThatRefusesCostsNoTime(self) -> None:
        self.names.hosts = ["::1", "127.0.0.3", "127.0.0.1"]
        dialer = self.dialer("localhost", self.listen().getsockname()[1])
        self.patch(racing, "_ATTEMPT_DELAY", 60.0)  # so that each would take a third of _ALL_TRIED
        begin = time.monotonic()
        self.assertEqual(await self.connected(dialer), "127.0.0.1")
        self.assertLess(time.monotonic() - begin, racing._ALL_TRIED / 3)

    async def test_theAddressThatAnsweredIsTriedFirstTheNextTime(self) -> None:
        self.names.hosts = ["127.0.0.3", "127.0.0.1"]
        port = self.listen().getsockname()[1]
        dialer = self.dialer("localhost", port)
        self.assertEqual(await self.connected(dialer), "127.0.0.1")
        self.listen("127.0.0.3", port)
        self.assertEqual(await self.connected(dialer), "127.0.0.1")

    async def test_anAddressThatDoesNotAnswerIsOvertaken(self) -> None:
        full = socket.create_server(("127.0.0.4", 0), backlog=0)
        self.addCleanup(full.close)
        port = full.getsockname()[1]
        held = [socket.socket() for _ in range(4)]
        for sock in held:  # no one accepts: when the queue is full, further ones get no answer
            sock.setblocking(False)
            sock.connect_ex(("127.0.0.4", port))
            self.addCleanup(sock.close)
        self.listen("127.0.0.1", port)
        self.names.hosts = ["127.0.0.4", "127.0.0.1"]
        with within(2):
            self.assertEqual(await self.connected(self.dialer("localhost", port)), "127.0.0.1")

    async def test_aNameIsNotLookedUpForEveryDial(self) -> None:
        self.names.hosts = ["127.0.0.1"]
        dialer = self.dialer("localhost", self.listen().getsockname()[1])
        for _ in range(3):
            await self.connected(dialer)
        self.assertEqual(self.names.asked, 1)
        self.reactor.later = 31
        await self.connected(dialer)
        self.assertEqual(self.names.asked, 2)

    async def test_aNameIsLookedUpAgainWhenItsAddressesFail(self) -> None:
        port = self.listen().getsockname()[1]
        self.names.hosts = ["127.0.0.3"]
        dialer = self.dialer("localhost", port)
        with self.assertRaises(OSError):
            await maybeDeferred(dialer.dial)
        self.names.hosts = ["127.0.0.1"]
        self.assertEqual(await self.connected(dialer), "127.0.0.1")

    async def test_refusalByAllAddressesFailsWithTheReason(self) -> None:
        self.names.hosts = ["127.0.0.3", "127.0.0.1"]
        with self.assertRaises(OSError) as caught:
            await maybeDeferred(self.dialer("localhost", freePort()).dial)
        self.assertEqual(caught.exception.errno, errno.ECONNREFUSED)

    async def test_concurrentDialsShareALookUp(self) -> None:
        self.names.hosts = ["127.0.0.1"]
        self.names.slow = True
        dialer = self.dialer("localhost", self.listen().getsockname()[1])
        dials = [dialer.dial() for _ in range(20)]
        assert isinstance(dials[3], Deferred)
        dials[3].cancel()
        self.assertEqual(self.names.asked, 1)
        self.names.answer()
        for n, dialled in enumerate(dials):
            assert isinstance(dialled, Deferred)
            if n == 3:
                with self.assertRaises(CancelledError):
                    await dialled
            else:
                (await dialled).close()

    async def test_aLookUpThatGetsNoAnswerFails(self) -> None:
        self.names.slow = True
        self.patch(dial, "DIAL_TIMEOUT", 0.1)
        dialer = self.dialer("localhost", 80)
        for _ in range(4):
            with self.assertRaises(LookupFailed) as caught:
                await maybeDeferred(dialer.dial)
            self.assertIn("the name servers do not answer", str(caught.exception))
        self.assertEqual(self.names.asked, 2, "no more at a time")
        self.names.answer()
        self.names.slow = False
        with self.assertRaises(LookupFailed) as caught:
            await maybeDeferred(dialer.dial)
        self.assertIn("there is none", str(caught.exception))
        self.assertEqual(self.names.asked, 3)

    async def test_aLookUpAtFormerNameServersIsNotWaitedFor(self) -> None:
        self.names.slow = True
        self.names.hosts = ["127.0.0.1"]
        self.patch(dial, "DIAL_TIMEOUT", 0.1)
        dialer = self.dialer("localhost", self.listen().getsockname()[1])
        with self.assertRaises(LookupFailed):
            await maybeDeferred(dialer.dial)
        self.names.slow = False
        stuck, self.names.waiting = self.names.waiting, []
        self.assertEqual(await self.connected(dialer), "127.0.0.1")
        stuck[0].errback(LookupFailed("too late"))
        self.assertEqual(await self.connected(dialer), "127.0.0.1")

    async def test_anAddressKeepsItsScope(self) -> None:
        dialer = self.dialer("printer.local", 80)
        self.names.slow = True
        dialling = dialer.dial()
        assert isinstance(dialling, Deferred)
        self.names.waiting[0].callback([(socket.AF_INET6, ("fe80::1", 0, 0, 7))])
        self.assertEqual(dialer._places, [(socket.AF_INET6, ("fe80::1", 80, 0, 7))])
        dialling.cancel()
        dialling.addErrback(lambda _: None)

    async def test_anInterfaceThatDoesNotExistFailsTheDial(self) -> None:
        with self.assertRaises(LookupFailed) as caught:
            await maybeDeferred(self.dialer("fe80::1%nowhere", 80).dial)
        self.assertEqual(str(caught.exception), "there is no network interface nowhere")

    async def test_aLinkLocalAddressWithoutAnInterfaceIsAnError(self) -> None:
        with self.assertRaises(OSError) as caught:
            await maybeDeferred(self.dialer("fe80::1", 80).dial)
        self.assertIn("fe80::1%eth0", errorText(caught.exception))

    async def test_aNameWithoutAnAddressFails(self) -> None:
        with self.assertRaises(DNSLookupError):
            await maybeDeferred(self.dialer("nowhere.invalid", 80).dial)

    async def test_formerAddressesAreUsedIfTheLookUpFails(self) -> None:
        self.names.hosts = ["127.0.0.1"]
        dialer = self.dialer("localhost", self.listen().getsockname()[1])
        await self.connected(dialer)
        self.reactor.later = 31
        self.names.trouble = LookupFailed("no thread")
        await self.connected(dialer)
        self.reactor.later = 62
        self.names.slow = True
        self.patch(dial, "_STALE_PATIENCE", 0.1)
        await self.connected(dialer)
        self.assertEqual(self.names.asked, 3)
        self.reactor.later = 4000
        self.names.answer()
        self.names.slow = False
        with self.assertRaises(LookupFailed):
            await self.connected(dialer)

    async def test_aNameThatNoLongerExistsIsNotDialled(self) -> None:
        self.names.hosts = ["127.0.0.1"]
        dialer = self.dialer("localhost", self.listen().getsockname()[1])
        await self.connected(dialer)
        dialer.forget()
        self.names.hosts = []
        with self.assertRaises(LookupFailed):
            await self.connected(dialer)

    async def test_manyAddressesThatDoNotAnswerAreAllTriedInTime(self) -> None:
        listener = self.listen()
        port = listener.getsockname()[1]
        self.names.hosts = [*await self.dead(44, port), "127.0.0.1"]
        begin = time.monotonic()
        self.assertEqual(await self.connected(self.dialer("localhost", port)), "127.0.0.1")
        self.assertLess(time.monotonic() - begin, 9.5)

    async def dead(self, count: int, port: int) -> list[str]:
        """Addresses that do not answer on this port: queues of connections that are full."""
        hosts = [f"127.0.9.{n}" for n in range(1, count + 1)]
        for host in hosts:
            full = socket.create_server((host, port), backlog=0)
            self.addCleanup(full.close)
            for _ in range(2):
                sock = socket.socket()
                sock.setblocking(False)
                sock.connect_ex((host, port))
                self.addCleanup(sock.close)
        return hosts

    async def test_cancellingClosesAllAttempts(self) -> None:
        full = socket.create_server(("127.0.0.4", 0), backlog=0)
        self.addCleanup(full.close)
        held = [socket.socket() for _ in range(4)]
        for sock in held:
            sock.setblocking(False)
            sock.connect_ex(full.getsockname())
            self.addCleanup(sock.close)
        dialling = self.dialer(*full.getsockname()).dial()
        assert isinstance(dialling, Deferred)
        dialling.cancel()
        with self.assertRaises(CancelledError):
            await dialling
