"""A link with many tunnels whose server is of the base protocol."""

from __future__ import annotations

from dataclasses import replace
from uuid import uuid4

from bore.client.reasons import ExtensionNeeded
from bore.wire.extension import markedHello
from bore.wire.messages import Connection, Error, Hello
from bore.wire.proxyprotocol import Version
from tests.client.manycase import ManyCase


class BaseTests(ManyCase):
    """The server is of the base protocol: a session has one tunnel."""

    def test_theFirstIsServedAndTheOthersAreHandedOver(self) -> None:
        protocol, _ = self.connect()
        self.receive(protocol, Hello(20000))
        self.assertEqual(self.owner.handedOver, self.tunnels[1:])
        self.assertEqual(self.successResultOf(self.tunnels[0].whenOpened()), 20000)
        id = uuid4()
        self.receive(protocol, Connection(id))
        self.assertEqual(self.visitors.ids, [id])

    def test_aRefusalOfThePortIsOneOfTheFirstAlone(self) -> None:
        protocol, _ = self.connect()
        self.receive(protocol, Error("port already in use"))
        self.lose(protocol)
        self.assertEqual(self.owner.handedOver, self.tunnels[1:])
        self.delayToNextAttempt()

    def test_anyOtherRefusalIsOneOfAll(self) -> None:
        protocol, _ = self.connect()
        self.receive(protocol, Error("too many tunnels"))
        self.lose(protocol)
        self.assertEqual(self.owner.handedOver, [])

    def test_aFirstThatNeedsTheExtensionDoesNotHoldUpTheOthers(self) -> None:
        self.make(proxyProtocol=Version.V1)
        protocol, transport = self.connect()
        self.receive(protocol, Hello(20000))
        self.assertTrue(transport.aborted)
        self.lose(protocol)
        self.failureResultOf(self.tunnels[0].whenGaveUp(), ExtensionNeeded)
        self.assertEqual(self.owner.handedOver, self.tunnels[1:])

    def test_aFirstThatIsNotWantedAnyMoreIsNotTakenForAnother(self) -> None:
        protocol, transport = self.connect()
        self.successResultOf(self.link.remove(self.tunnels[0]))
        self.receive(protocol, Hello(20000))
        self.assertTrue(transport.aborted)
        self.lose(protocol)
        self.delayToNextAttempt()
        protocol, transport = self.connect()
        self.assertEqual(transport.takeWritten(), markedHello(9001))

    def test_theConnectionIsClosedWithItsTunnel(self) -> None:
        protocol, transport = self.connect()
        self.receive(protocol, Hello(20000))
        transport.takeWritten()
        closed = self.link.remove(self.tunnels[0])
        self.assertEqual((transport.takeWritten(), transport.disconnecting, transport.aborted), (b"", True, False))
        self.lose(protocol)
        self.successResultOf(closed)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_aLinkThatIsStoppedHandsNothingOver(self) -> None:
        protocol, transport = self.connect()
        self.receive(protocol, Error("port already in use"))
        self.assertTrue(transport.aborted)
        self.link.stop()
        self.lose(protocol)
        self.assertEqual(self.owner.handedOver, [])
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_aFirstThatIsWantedOtherwiseIsNotTheOneThatWasAskedFor(self) -> None:
        protocol, transport = self.connect()
        self.successResultOf(self.link.remove(self.tunnels[0]))
        self.tunnels[0].change(replace(self.tunnels[0].spec, public=9009))
        self.link.tunnels.add(self.tunnels[0])
        self.receive(protocol, Hello(20000))
        self.assertTrue(transport.aborted)
        self.lose(protocol)
        self.assertNoResult(self.tunnels[0].whenOpened())
        self.assertEqual(self.owner.handedOver, [])
