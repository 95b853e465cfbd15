"""Tunnels and servers in a program, visitors as transports, and endpoint strings."""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IAddress, ITCPTransport
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater
from twisted.web.resource import Resource
from twisted.web.server import Request, Site

import bore
from bore import Server, Tunnel
from bore.events import Event
from bore.events.client import TunnelUp
from bore.library.endpoint import TunnelServerEndpoint, parse
from bore.library.words import parsed
from bore.options.client import libraryCommand
from bore.server.service import CannotListen
from bore.wire.errors import AuthenticationFailed
from tests.library.case import LibraryCase, Upper, reactor
from tests.support import PATIENCE


class TunnelTests(LibraryCase):
    """``bore.Tunnel`` and ``bore.Server``."""

    def setUp(self) -> None:
        Upper.made.clear()

    def test_visitorsAreTransportsWithTheirAddressesAndEndHalfByHalf(self) -> Deferred[None]:
        async def test() -> None:
            for options, relay in (({}, {}), ({"lanes": 0}, {}), ({"secret": "a long shared secret"}, {})):
                secret = {"secret": options["secret"]} if "secret" in options else {}
                tunnel = await self.tunnel(await self.server(**secret, **relay), Factory.forProtocol(Upper), **options)
                answer, own = await self.visit(tunnel.address[1], b"hello")
                self.assertEqual(answer, b"HELLO")
                transport = Upper.made[-1].transport
                peer, host = transport.getPeer(), transport.getHost()
                self.assertEqual((peer.host, peer.port), (own.host, own.port))
                self.assertEqual((host.host, host.port), tunnel.address)

        return self.run_(test)

    def test_insideTlsTheServerIsKnownByItsFingerprint(self) -> Deferred[None]:
        async def test() -> None:
            self.patch_environment()
            server = await self.server(tls=True)
            tunnel = await Tunnel.open(
                reactor,
                local=Factory.forProtocol(Upper),
                to=f"tls://127.0.0.1:{server.address[1]}",
                tlsFingerprint=server.fingerprint,
            )
            self.addCleanup(tunnel.close)
            self.assertEqual((await self.visit(tunnel.address[1], b"x" * 500_000))[0], b"X" * 500_000)

        return self.run_(test)

    def test_aVisitorThatReadsSlowlyHoldsItsProducerBack(self) -> Deferred[None]:
        async def test() -> None:
            class Flood(Protocol):
                transport: ITCPTransport
                paused = 0
                written = 0

                def connectionMade(self) -> None:
                    made.append(self)
                    self.transport.registerProducer(self, True)  # type: ignore[attr-defined]
                    self.resumeProducing()

                def resumeProducing(self) -> None:
                    self.producing = True
                    while self.producing and self.written < 64 << 20:
                        self.written += 1 << 16
                        self.transport.write(bytes(1 << 16))

                def pauseProducing(self) -> None:
                    self.paused += 1
                    self.producing = False

                def stopProducing(self) -> None:
                    self.producing = False

            made: list[Flood] = []
            tunnel = await self.tunnel(await self.server(), Factory.forProtocol(Flood))
            with socket.create_connection(("127.0.0.1", tunnel.address[1])):
                until = reactor.seconds() + PATIENCE
                while not (made and made[0].paused) and reactor.seconds() < until:
                    await deferLater(reactor, 0.02)
                self.assertLess(made[0].written, 64 << 20)

        return self.run_(test)

    def test_aLocalServiceMayHaveAPortAsWell(self) -> Deferred[None]:
        async def test() -> None:
            port = reactor.listenTCP(0, Factory.forProtocol(Upper), interface="127.0.0.1")
            self.addCleanup(port.stopListening)
            tunnel = await self.tunnel(await self.server(), f"127.0.0.1:{port.getHost().port}")
            self.assertEqual((await self.visit(tunnel.address[1], b"abc"))[0], b"ABC")
            self.assertEqual(tunnel.url, f"http://127.0.0.1:{tunnel.address[1]}")

        return self.run_(test)

    def test_eventsAreCalledAndIterated(self) -> Deferred[None]:
        async def test() -> None:
            server = await self.server()
            happened: list[Event] = []
            server.subscribe(happened.append)
            tunnel = await self.tunnel(server, Factory.forProtocol(Upper))
            while "TunnelOpened" not in [type(each).__name__ for each in happened]:
                await deferLater(reactor, 0.01)
            events = server.events()
            await tunnel.close()
            names = []
            async for event in events:
                names.append(type(event).__name__)
                if names[-1] == "TunnelClosed":
                    await server.close()
            self.assertIn("TunnelClosed", names)
            self.assertNotIn(TunnelUp.__name__, names)

        return self.run_(test)

    def test_aWrongSecretFailsAndACancelledOneIsClosed(self) -> Deferred[None]:
        async def test() -> None:
            server = await self.server(secret="one long secret of the server")
            to = f"127.0.0.1:{server.address[1]}"
            with self.assertRaises(AuthenticationFailed):
                await Tunnel.open(reactor, local=1, to=to, secret="another long secret, of nobody")
            opening = Tunnel.open(reactor, local=1, to="127.0.0.1:1")
            opening.cancel()
            with self.assertRaises(CancelledError):
                await opening

        return self.run_(test)

    def test_aServerThatCannotListenSaysSo(self) -> Deferred[None]:
        async def test() -> None:
            server = await self.server()
            with self.assertRaises(CannotListen):
                await Server.open(reactor, controlPort=server.address[1])

        return self.run_(test)

    def test_aParameterThatIsWrongIsNamedAsItWasGiven(self) -> None:
        for given, text in (
            ({"secretFil": "x"}, "unknown parameter 'secretFil'; did you mean 'secretFile'?"),
            ({"secretFile": "/nowhere"}, "secretFile '/nowhere': "),
            ({"tls": "perhaps"}, "tls 'perhaps': must be yes or no"),
            ({"maxVisitors": -1}, "maxVisitors "),
        ):
            with self.assertRaises(ValueError) as caught:
                parsed(libraryCommand("x"), {"to": "example.com", **given})
            self.assertTrue(str(caught.exception).startswith(text), str(caught.exception))
        with self.assertRaises(ValueError) as caught:
            parsed(libraryCommand("x"), {"to": "example.com"}, ["--help"])
        self.assertEqual(str(caught.exception), "local '--help': must be a port, HOST:PORT or unix:PATH")
        for name in ("statusPort", "adminSocket", "logFormat"):  # they would have no effect
            unwanted: dict[str, Any] = {name: "x"}
            with self.assertRaisesRegex(ValueError, f"unknown parameter '{name}'"):
                Server.open(reactor, **unwanted)
            with self.assertRaisesRegex(ValueError, f"unknown parameter '{name}'"):
                Tunnel.open(reactor, local=1, to="example.com", **unwanted)
        self.assertRaises(AttributeError, lambda: bore.Tunel)  # type: ignore[attr-defined]


class EndpointTests(LibraryCase):
    """``bore:to=...``"""

    def test_aWebServerListensAtAPublicPort(self) -> Deferred[None]:
        class Page(Resource):
            isLeaf = True

            def render_GET(self, request: Request) -> bytes:
                address: Any = request.getClientAddress()
                return f"{address.host}:{address.port}".encode()

        async def test() -> None:
            self.patch_environment()
            for tls, to in ((False, ""), (True, r"tls\:"), (True, r"tls\://")):
                server = await self.server(tls=tls)
                text = rf"bore:to={to}127.0.0.1\:{server.address[1]}:keepAddress=no:maxVisitors=10"
                port = await serverFromString(reactor, text).listen(Site(Page()))
                self.addCleanup(port.stopListening)
                request = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
                answer, own = await self.visit(port.getHost().port, request)
                self.assertTrue(answer.startswith(b"HTTP/1.1 200 "), answer)
                self.assertTrue(answer.endswith(f"{own.host}:{own.port}".encode()), answer)

        return self.run_(test)

    def test_aFactoryThatRefusesClosesTheVisitor(self) -> Deferred[None]:
        class Refusing(Factory):
            def buildProtocol(self, addr: IAddress | None) -> None:
                return None

        async def test() -> None:
            server = await self.server()
            endpoint = TunnelServerEndpoint(reactor, to=f"127.0.0.1:{server.address[1]}")
            port = await endpoint.listen(Refusing())
            self.addCleanup(port.stopListening)
            address: Any = port.getHost()
            self.assertEqual((await self.visit(address.port, b"x"))[0], b"")

        return self.run_(test)

    def test_whatIsWrongWithAStringIsSaid(self) -> None:
        for text, why in (
            ({}, "to= is missing"),
            ({"to": "example.com", "keepAddress": "perhaps"}, "must be yes or no"),
        ):
            with self.assertRaises(ValueError) as caught:
                parse(reactor, **text)
            self.assertIn(why, str(caught.exception))
