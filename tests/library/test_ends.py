"""The end of tunnels and servers in a program, and protocols and factories that fail."""

from __future__ import annotations

from twisted.internet import tcp
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.error import ConnectionAborted
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Factory
from twisted.internet.task import deferLater
from zope.interface import implementer

from tests.library.case import LibraryCase, Upper, Visitor, reactor


class EndTests(LibraryCase):
    """``Tunnel.close`` and ``Server.close``, factories and protocols."""

    def setUp(self) -> None:
        Upper.made.clear()

    def test_whoeverClosesWaitsForTheLastVisitor(self) -> Deferred[None]:
        async def test() -> None:
            server = await self.server()
            tunnel = await self.tunnel(server, Factory.forProtocol(Upper))
            visitor = await connectProtocol(TCP4ClientEndpoint(reactor, "127.0.0.1", tunnel.address[1]), Visitor())
            while not Upper.made:
                await deferLater(reactor, 0.01)
            closed = [each.close() for each in (tunnel, tunnel, server, server)]
            closed[0].addErrback(lambda reason: reason.trap(CancelledError)).cancel()  # the others wait on
            await deferLater(reactor, 0.05)
            self.assertEqual([each.called for each in closed], [True, False, False, False])
            assert visitor.transport is not None
            visitor.transport.write(b"x")
            visitor.transport.loseWriteConnection()
            self.assertEqual(await visitor.ended, b"X")
            for each in closed:
                await each
            self.assertIsNotNone(Upper.made[-1].lost)

        return self.run_(test)

    def test_aTransportThatItsProtocolKeepsIsAborted(self) -> Deferred[None]:
        @implementer(IHalfCloseableProtocol)
        class Keeping(Upper):
            def readConnectionLost(self) -> None:
                pass

        async def test() -> None:
            server = await self.server()
            tunnel = await self.tunnel(server, Factory.forProtocol(Keeping))
            visitor = await connectProtocol(TCP4ClientEndpoint(reactor, "127.0.0.1", tunnel.address[1]), Visitor())
            while not Upper.made:
                await deferLater(reactor, 0.01)
            assert isinstance(visitor.transport, tcp.Connection)
            visitor.transport.abortConnection()
            await tunnel.close()
            lost = Upper.made[-1].lost
            assert lost is not None
            self.assertIs(lost.type, ConnectionAborted)

        return self.run_(test)

    def test_aProtocolThatRaisesWhenItIsConnectedIsLoggedAndItsVisitorClosed(self) -> Deferred[None]:
        class Raising(Upper):
            def connectionMade(self) -> None:
                raise errors[-1]

        errors: list[Exception] = []

        async def test() -> None:
            tunnel = await self.tunnel(await self.server(), Factory.forProtocol(Raising))
            # OSError and ValueError are what reading the address of a visitor raises, too.
            for error in (ValueError(), OSError(), BlockingIOError(), RuntimeError()):
                errors.append(error)
                self.assertEqual((await self.visit(tunnel.address[1], b""))[0], b"")
                self.assertEqual(len(self.flushLoggedErrors(type(error))), 1)
                self.assertIsNotNone(Upper.made[-1].lost)

        return self.run_(test)

    def test_aFactoryIsStartedAndStoppedAsByAPortOfTwisted(self) -> Deferred[None]:
        async def test() -> None:
            server = await self.server()
            calls: list[str] = []
            factory = Factory.forProtocol(Upper)
            self.patch(factory, "startFactory", lambda: calls.append("start"))
            self.patch(factory, "stopFactory", lambda: calls.append("stop"))
            tunnel = await self.tunnel(server, factory)
            self.assertEqual(calls, ["start"])
            await tunnel.close()
            await tunnel.close()
            self.assertEqual(calls, ["start", "stop"])

        return self.run_(test)

    def test_aFactoryThatDoesNotStartLeavesNoTunnel(self) -> Deferred[None]:
        class Broken(Factory):
            def startFactory(self) -> None:
                raise RuntimeError

        async def test() -> None:
            server = await self.server()
            with self.assertRaises(RuntimeError):
                await self.tunnel(server, Broken())
            events: list[str] = []
            server.subscribe(lambda event: events.append(type(event).__name__))
            while "TunnelClosed" not in events:
                await deferLater(reactor, 0.01)

        return self.run_(test)
