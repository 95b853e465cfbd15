"""The connection of another node to the control port, as its table of states says."""

from __future__ import annotations

from functools import partial

from twisted.trial.unittest import SynchronousTestCase

from bore.wire import nodesession
from bore.wire.errors import ProtocolViolation
from bore.wire.extension import HandedOn, Lane, Open, markedHello
from bore.wire.messages import Accept, Hello, encode
from bore.wire.nodesession import NodeSession
from bore.wire.serverproof import SharedOnly, serverProof
from bore.wire.serversession import ServerSession
from bore.wire.sessionevents import ConnectionHandedOn, ServerEvent
from bore.wire.statetable import Table
from tests.wire import sessions
from tests.wire.bindings import BINDING, boundProof
from tests.wire.sessions import ID, LANE, SECRET, SOURCE, outcomesOf
from tests.wire.strategies import frameOf
from tests.wire.test_states import Drive, allFrames, itself


def _fromNode() -> NodeSession:
    """A connection that says it is a node's."""
    return NodeSession(serverProof(SharedOnly([SECRET]), BINDING))


def _provenNode(*received: bytes) -> ServerSession:
    """The connection of a node, which has sent this behind its proof."""
    session = _fromNode()
    outcomesOf(session, boundProof(session), *received)
    return session


class NodeTests(SynchronousTestCase):
    """The connection of another node."""

    def test_itDoesWhatItsTableSays(self) -> None:
        table: Table[ServerSession, ServerEvent] = {state: nodesession.TABLE[state] for state in nodesession.State}
        drive = Drive(self, table, ServerSession.feed)
        for frame in allFrames():
            drive.feed(_fromNode, frame)
            drive.feed(_provenNode, frame)
        session = _fromNode()
        drive.feed(partial(itself, session), boundProof(session))
        drive.assertAllReached()

    def test_itAsksForNoTunnelOfTheBaseProtocolAndTakesNoVisitor(self) -> None:
        for frame in (encode(Hello(8000)), encode(Accept(ID)), frameOf(Open(1, 8000)), boundProof(_fromNode())):
            with self.assertRaises(ProtocolViolation):
                list(_provenNode().feed(frame))

    def test_itsSessionAnswersHeartbeatsBeforeItOpensAnything(self) -> None:
        session = _provenNode(markedHello(1))
        session.heartbeat()
        self.assertTrue(session.isAnswer(b'"Alive"\0'))

    def test_aConnectionIsHandedOnWithTheBytesBehind(self) -> None:
        handedOn = frameOf(HandedOn(ID, SOURCE))
        self.assertEqual(outcomesOf(_provenNode(), handedOn + b"rest"), [ConnectionHandedOn(ID, SOURCE, b"rest")])

    def test_aClientCannotDoWhatANodeDoes(self) -> None:
        with self.assertRaises(ProtocolViolation):
            list(sessions.SERVER_STATES["REQUEST"]().feed(frameOf(HandedOn(None, SOURCE))))

    def test_behindItsFirstMessageNoFrameIsRead(self) -> None:
        self.assertEqual(outcomesOf(_provenNode(frameOf(Lane(LANE))), frameOf(Open(1, 8000))), [])
