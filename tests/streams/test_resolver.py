"""Looking names up."""

from __future__ import annotations

import errno
import os
import socket
import threading
from typing import cast

from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.interfaces import IReactorFromThreads
from twisted.trial.unittest import TestCase

from bore.streams.addresses import Place
from bore.streams.resolver import LookupFailed, Resolver, addressesOf

REACTOR = cast(IReactorFromThreads, reactor)
PLACE: Place = (socket.AF_INET, ("192.0.2.1", 0))


class SilentNameServers:
    """Name servers that answer when the test says so."""

    def __init__(self) -> None:
        self.answer = threading.Event()
        self.asked: list[str] = []
        self.atOnce = self.most = 0

    def ask(self, name: str) -> list[Place]:
        self.asked.append(name)
        self.atOnce += 1
        self.most = max(self.most, self.atOnce)
        self.answer.wait()
        self.atOnce -= 1
        return [PLACE]


class LookUpTests(TestCase):
    """Names become addresses, in threads of our own."""

    async def test_aNameIsLookedUp(self) -> None:
        found = await Resolver().lookUp(REACTOR, "localhost")
        self.assertIn("127.0.0.1", [address[0] for _, address in found])

    async def test_aNameThatDoesNotExistIsAnAnswer(self) -> None:
        def ask(name: str) -> list[Place]:
            return addressesOf("a" * 63 + "..")  # which no name server is asked for

        with self.assertRaises(LookupFailed) as caught:
            await Resolver(ask).lookUp(REACTOR, "nowhere")
        self.assertIn("the name a", str(caught.exception))

    async def test_aTextThatIsNotANameIsAnError(self) -> None:
        with self.assertRaises(LookupFailed) as caught:
            await Resolver().lookUp(REACTOR, "a..b")
        self.assertFalse(caught.exception.temporary)

    async def test_theNumberOfThreadsIsLimited(self) -> None:
        servers = SilentNameServers()
        names = Resolver(servers.ask)
        found = [names.lookUp(REACTOR, f"{n}.example") for n in range(30)]
        found[20].cancel()
        self.failureResultOf(found.pop(20))
        threads = [thread for thread in threading.enumerate() if thread.name == "look-up"]
        self.assertEqual([thread.daemon for thread in threads], [True] * len(threads))
        self.assertLessEqual(len(threads), 8)
        servers.answer.set()
        self.assertEqual(await gatherResults(found), [[PLACE]] * 29)
        self.assertLessEqual(servers.most, 8)
        self.assertNotIn("20.example", servers.asked)

    async def test_aThreadThatCannotBeStartedFailsOneLookUp(self) -> None:
        def start(thread: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        names = Resolver(lambda name: [PLACE])
        patched = self.patch(threading.Thread, "start", start)
        for _ in range(20):
            found: Deferred[list[Place]] = names.lookUp(REACTOR, "example.com")
            reason = self.failureResultOf(found, LookupFailed).value
            self.assertIn("can't start new thread", str(reason))
            self.assertTrue(reason.temporary)
        patched.restore()
        self.assertEqual(await names.lookUp(REACTOR, "example.com"), [PLACE])

    async def test_anErrorOfTheMachineIsTemporary(self) -> None:
        def getaddrinfo(*words: object, **named: object) -> None:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

        self.patch(socket, "getaddrinfo", getaddrinfo)
        with self.assertRaises(LookupFailed) as caught:
            await Resolver().lookUp(REACTOR, "example.com")
        self.assertTrue(caught.exception.temporary)
        self.assertIn("too many open files", str(caught.exception))

    async def test_anyExceptionFailsTheLookUp(self) -> None:
        def ask(name: str) -> list[Place]:
            raise ZeroDivisionError

        with self.assertRaises(ZeroDivisionError):
            await Resolver(ask).lookUp(REACTOR, "example.com")

    async def test_addressesKeepTheirScope(self) -> None:
        """A scope is part of a result of getaddrinfo, as for a name of multicast DNS."""

        def getaddrinfo(name: bytes, *more: object, **named: object) -> list[tuple[object, ...]]:
            return [(socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("fe80::1", 0, 0, 7))]

        self.patch(socket, "getaddrinfo", getaddrinfo)
        found = await Resolver().lookUp(REACTOR, "printer.local")
        self.assertEqual(found, [(socket.AF_INET6, ("fe80::1", 0, 0, 7))])
