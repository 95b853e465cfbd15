"""A client of the base protocol takes its visitors where its connections happen to arrive."""

from __future__ import annotations

from uuid import UUID

from bore.cluster.engine import Node as Entry
from bore.wire.messages import (
    Accept,
    Authenticate,
    Challenge,
    Connection,
    Heartbeat,
    Hello,
    ServerMessage,
    decodeServerMessage,
    encode,
)
from bore.wire.proof import proveBase
from tests.cluster.nodescase import SECRET, Node, NodesCase
from tests.tunnelscase import Visit


class HandedOnTests(NodesCase):
    """Two nodes with ports without TLS, as behind a balancer. The client's session is at the first one."""

    plain = True

    async def begin(self) -> tuple[Node, Node, Visit]:
        """Returns the nodes, and the control connection of the client."""
        here, there = self.nodes
        entries = [
            Entry(f"{node.name}/0", 1, number, f"tls://{node.place}", "up", 0, "1")
            for number, node in enumerate(self.nodes, start=1)
        ]
        there.service.server.setNumber(2)
        here.service.server.setNumber(1)  # the last one, as the ids of all nodes in this process begin with it
        here.others.follow([entries[1]])
        there.others.follow([entries[0]])
        await self.met()
        control = await self.connect(here)
        self.send(control, encode(Hello(self.port)))
        self.assertEqual(await self.answer(control), Hello(self.port))
        return here, there, control

    async def connect(self, node: Node) -> Visit:
        """Connect to the control port without TLS, and prove the secret."""
        connection = await self.visitAt(node, node.service.controlPort)
        challenge = await self.answer(connection)
        assert isinstance(challenge, Challenge)
        self.send(connection, encode(Authenticate(proveBase(SECRET, challenge.id))))
        return connection

    def send(self, connection: Visit, data: bytes) -> None:
        assert connection.transport is not None
        connection.transport.write(data)

    async def answer(self, connection: Visit) -> ServerMessage:
        """The next message that is not a heartbeat."""
        while True:
            await self.eventually(lambda: b"\0" in connection.received or connection.lost)
            frame, _, connection.received = connection.received.partition(b"\0")
            message = decodeServerMessage(frame)
            if message != Heartbeat():
                return message

    async def announced(self, control: Visit) -> UUID:
        connection = await self.answer(control)
        assert isinstance(connection, Connection)
        return connection.id

    async def test_anAcceptAtAnotherNodeReachesTheVisitor(self) -> None:
        here, there, control = await self.begin()
        visitors = [await self.visitAt(here), await self.visitAt(there)]
        for number, visitor in enumerate(visitors):
            id = await self.announced(control)
            self.assertEqual(id.int >> 112, 1, "it names the node")
            taken = await self.connect(there)
            self.send(taken, encode(Accept(id)) + b"early %d" % number)
            self.assertEqual(await visitor.take(7), b"early %d" % number)
            self.send(visitor, b"late")
            self.assertEqual(await taken.take(4), b"late")

    async def test_anAcceptOfNoVisitorAnywhereIsClosed(self) -> None:
        _, there, _ = await self.begin()
        for id in (UUID(int=1 << 112), UUID(int=2 << 112), UUID(int=77 << 112)):
            taken = await self.connect(there)
            self.send(taken, encode(Accept(id)))
            await self.eventually(lambda: taken.lost)  # noqa: B023 - it is awaited here
            self.assertEqual(taken.received, b"")

    async def test_aWrongSecretIsFoundOutWhereTheVisitorIs(self) -> None:
        here, there, control = await self.begin()
        visitor = await self.visitAt(here)
        id = await self.announced(control)
        taken = await self.visitAt(there, there.service.controlPort)
        await self.answer(taken)
        self.send(taken, encode(Authenticate("0" * 64)) + encode(Accept(id)))
        await self.eventually(lambda: taken.lost)
        self.assertEqual(visitor.received, b"")
