"""What is dialled for lanes and the visitors on them, and what goes first on it."""

from __future__ import annotations

from uuid import uuid4

from bore.wire.extension import Lane, encode
from bore.wire.secret import Secret
from tests.client.lanecase import TOKEN, LaneCase


class SendsFirstTests(LaneCase):
    """Who sends the first bytes on a connection."""

    def setUp(self) -> None:
        super().setUp()
        self.settle()

    def test_onALaneTheClientSendsFirst(self) -> None:
        self.assertTrue(self.server.sendsFirst)

    def test_theDiallerKnowsWhetherTheVisitorHasSentSomething(self) -> None:
        for hasBytes in (False, True):
            self.open[0].hasBytes = hasBytes
            self.serve(self.open[0])
            self.assertIs(self.local.sendsFirst, hasBytes)


class SecretTests(LaneCase):
    """With a secret each lane begins with its proof."""

    secret = Secret("hush")

    def test_theServerSendsFirst(self) -> None:
        self.assertFalse(self.server.sendsFirst)

    def test_aServerThatDoesNotAskForItIsSilentAndCostsNoMoreThanItsTime(self) -> None:
        far = self.server.succeed()
        self.assertRaises(BlockingIOError, far.recv, 1)
        self.assertEqual(len(self.reactor.getReaders()), 1)
        self.session.close()
        self.assertEqual((self.reactor.getReaders(), far.recv(1)), ([], b""))

    def test_theProofGoesFirst(self) -> None:
        far = self.server.succeed()
        far.send(b'{"Challenge":"%s"}\0' % str(uuid4()).encode())
        [reader] = self.reactor.getReaders()
        reader.doRead()
        proof, lane, rest = far.recv(1000).split(b"\0")
        self.assertIn(b"Authenticate", proof)
        self.assertEqual((lane + b"\0", rest, len(self.open)), (encode(Lane(TOKEN)), b"", 1))
