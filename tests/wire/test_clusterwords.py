"""What the server of a session sends and receives if it is a node of a cluster."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from bore.wire.extension import Extended, Nodes, Open, decodeAnswer
from bore.wire.limits import HEARTBEAT_INTERVAL, IDLE_HEARTBEAT_INTERVAL, MAX_FRAME
from bore.wire.sessionevents import TunnelAsked
from bore.wire.token import newToken
from tests.wire.sessions import LANE, NODE, SERVER_STATES, TOKEN, outcomesOf
from tests.wire.strategies import frameOf


class ClusterTests(SynchronousTestCase):
    """A node says where it is, names the others, and receives keys."""

    def test_rightsThatDoNotFitAShortFrameAreLeftOut(self) -> None:
        session = SERVER_STATES["OPENING"]()
        for rights in ("r" * 40, "r" * 200):
            answer = session.agreed(LANE, 256, "alice", rights, here=NODE)
            sent = rights if len(rights) == 40 else ""
            self.assertEqual(answer, frameOf(Extended(1, LANE, maxLanes=256, user="alice", rights=sent, here=NODE)))
            self.assertLessEqual(len(answer), MAX_FRAME + 1)

    def test_theLongestNameOfAUserAndTheLongestHostFitAShortFrame(self) -> None:
        session, here = SERVER_STATES["OPENING"](), f"tls://{'a' * 64}:65535"
        for rights in ("", "r" * 200):
            answer = session.agreed(newToken(65535), 9999, "u" * 64, rights, here=here)
            self.assertLessEqual(len(answer), MAX_FRAME + 1)
            read = decodeAnswer(answer[:-1])
            assert isinstance(read, Extended)
            self.assertEqual((read.user, read.rights, read.here), ("u" * 64, "", here))
            self.assertEqual((read.heartbeat, read.idleHeartbeat), (HEARTBEAT_INTERVAL, IDLE_HEARTBEAT_INTERVAL))

    def test_aClientThatHasSentAKeyIsNamedAsManyNodesAsFitAFrame(self) -> None:
        session = SERVER_STATES["OPENING"]()
        self.assertEqual(session.nodes([NODE]), b"")
        session.namesNodes = True
        self.assertEqual(session.nodes([NODE]), frameOf(Nodes((NODE,))))
        self.assertEqual(session.nodes(["tls://a"] * 65), frameOf(Nodes(("tls://a",) * 64)))
        longest = f"tls://{'a' * 253}:65535"
        self.assertEqual(session.nodes([longest] * 64), frameOf(Nodes((longest,) * 15)))

    def test_theKeyOfATunnelIsReceivedWithTheRequest(self) -> None:
        asked = outcomesOf(SERVER_STATES["OPENING"](), frameOf(Open(1, 9000, TOKEN, key=LANE)))
        self.assertEqual(asked, [TunnelAsked(1, 9000, TOKEN, key=LANE)])
