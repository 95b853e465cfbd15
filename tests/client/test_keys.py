"""A server is a node of a cluster: each tunnel has a lasting key there, and lanes go to the node itself."""

from __future__ import annotations

import json

from bore.client.estate import Inherited, fieldsOfTunnels, readTunnels
from bore.client.settings import ServerAddress
from bore.client.state import Remembered
from bore.tls.dialer import FurtherTlsDialer
from bore.tls.settings import ClientTls
from bore.wire.extension import Extended, ExtendedClientMessage, Nodes, Open, Opened, decodeClientMessage
from tests.client.manycase import TOKENS, ManyCase
from tests.client.test_moves import KNOWN, NEW
from tests.client.test_publicport import FakeMemory

NODE = "tls://node1.example.com:7000"


class KeyTests(ManyCase):
    """What a node is asked for."""

    def setUp(self) -> None:
        self.make("example.com", tls=ClientTls())
        self.servers.current.judged(KNOWN)

    def asks(self, here: str = "") -> list[ExtendedClientMessage]:
        """What the client asks for in a session."""
        protocol, transport = self.connect()
        transport.takeWritten()
        self.hear(protocol, Extended(1, here=here))
        asked = [decodeClientMessage(frame) for frame in self.asked(transport)]
        self.lose(protocol)
        return asked

    def test_eachTunnelHasAKeyOfItsOwnInAllSessions(self) -> None:
        first, second = [self.asks(here=NODE) for _ in range(2)]
        keys = [each.key for each in first if isinstance(each, Open)]
        self.assertEqual((len({*keys}), None in keys), (3, False))
        self.assertEqual(second, first)

    def test_aServerWithoutAClusterIsSentNone(self) -> None:
        self.asks(here=NODE)
        self.assertEqual({each.key for each in self.asks() if isinstance(each, Open)}, {None})

    def test_onAPlainConnectionNoneIsSentWhateverItsServerSays(self) -> None:
        self.make("example.com")
        self.assertEqual({each.key for each in self.asks(here=NODE) if isinstance(each, Open)}, {None})

    def test_theKeyIsRememberedWithThePort(self) -> None:
        tunnel = self.tunnels[0]
        port = tunnel.publicPort(ServerAddress("example.com"))
        port._memory = memory = FakeMemory(Remembered(20000, TOKENS[0], "K" * 16))
        protocol, transport = self.connect()
        transport.takeWritten()
        self.hear(protocol, Extended(1, here=NODE))
        self.assertIn(Open(1, 20000, TOKENS[0], key="K" * 16), map(decodeClientMessage, self.asked(transport)))
        self.hear(protocol, Opened(1, 20000, TOKENS[1], 60))
        self.assertEqual(memory.tunnel, Remembered(20000, TOKENS[1], "K" * 16))

    def test_anotherUserHasOtherKeys(self) -> None:
        before = self.asks(here=NODE)
        self.tunnels[0].forgetPorts()
        self.assertNotEqual(self.asks(here=NODE)[0], before[0])

    def test_aSuccessorInheritsIt(self) -> None:
        for key in (None, "K" * 16):
            tunnels = (Inherited("a", ServerAddress("example.com"), 20000, TOKENS[0], True, key),)
            self.assertEqual(readTunnels(json.loads(json.dumps(fieldsOfTunnels(tunnels)))), tunnels)
        [fields] = fieldsOfTunnels(tunnels)
        self.assertRaises(ValueError, readTunnels, [fields | {"key": "short"}])


class NodeTests(ManyCase):
    """Where further connections go."""

    def setUp(self) -> None:
        self.make("example.com", tls=ClientTls())

    def dialled(self, here: str = NODE) -> object:
        """Where a session dials further connections that an untrue server could have chosen; None: where it was."""
        protocol, _ = self.connect()
        assert protocol.session is not None
        before = protocol.session.connections.server
        self.hear(protocol, Extended(1, here=here))
        server = protocol.session.connections.server
        if server is before:
            return None
        assert isinstance(server, FurtherTlsDialer), "never without TLS"
        return server._plain._host, server._plain._port

    def test_theyGoToTheNodeThatAKnownServerNames(self) -> None:
        self.servers.current.judged(KNOWN)
        self.assertEqual(self.dialled(), ("node1.example.com", 7000))

    def test_anAddressWithoutTlsIsNotFollowed(self) -> None:
        self.servers.current.judged(KNOWN)
        for here in ("node1.example.com:7000", "tcp://node1.example.com", "tls://"):
            self.assertIsNone(self.dialled(here))

    def test_aServerThatIsNotKnownIsNotFollowed(self) -> None:
        self.servers.current.judged(NEW)
        self.assertIsNone(self.dialled())

    def test_aServerWithoutTlsIsNotFollowed(self) -> None:
        self.make("example.com")
        self.assertIsNone(self.dialled())

    def test_theNodesOfTheSessionAreThoseThatWereNamedLast(self) -> None:
        self.servers.current.judged(KNOWN)
        protocol, _ = self.connect()
        self.hear(protocol, Extended(1, here=NODE), Nodes(("tls://b",)), Nodes(("tls://c", "tls://d")))
        self.assertEqual(self.link.nodes, ("tls://c", "tls://d"))
