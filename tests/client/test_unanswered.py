"""A server that does not answer the request for a tunnel, and goes on otherwise."""

from __future__ import annotations

from bore.client.kepttunnels import ANSWER_TIMEOUT
from bore.wire.extension import Close, Closed, Extended, Open, Opened, encode
from bore.wire.limits import MAX_TUNNELS
from tests.client.manycase import TOKENS, ManyCase


class UnansweredTests(ManyCase):
    """The second of three requests has no answer."""

    def test_itIsClosedAndRequestedAgainAndTheSessionGoesOn(self) -> None:
        protocol, transport = self.begin()
        self.hear(protocol, Opened(1, 20000, None, 60), Opened(3, 20002, None, 60))
        self.live(protocol, int(ANSWER_TIMEOUT) - 1)
        self.assertNotIn(encode(Close(2)), transport.takeWritten())
        self.live(protocol, 1)
        self.assertIn(encode(Close(2)), transport.takeWritten())
        self.assertIn("b: no tunnel from example.com:7835: it has not answered the request for 30 s", self.logged)
        self.live(protocol, 2)
        self.assertIn(encode(Open(4, 9001)), transport.takeWritten())
        self.hear(protocol, Opened(4, 9001, None, 60))
        self.assertEqual(self.successResultOf(self.tunnels[1].whenOpened()), 9001)
        self.live(protocol, 60)
        self.assertFalse(transport.aborted)

    def test_anAnswerThatComesTooLateMeansNothing(self) -> None:
        protocol, transport = self.begin()
        self.hear(protocol, Opened(1, 20000, None, 60), Opened(3, 20002, None, 60))
        self.live(protocol, int(ANSWER_TIMEOUT))
        self.hear(protocol, Opened(2, 20001, TOKENS[1], 60), Closed(2))
        self.assertNoResult(self.tunnels[1].whenOpened())
        self.live(protocol, 2)
        self.assertIn(encode(Open(4, 9001)), transport.takeWritten(), "without the token of the one that is closed")
        self.assertFalse(transport.aborted)

    def test_aSessionWithoutAnyAnswerEnds(self) -> None:
        protocol, transport = self.begin()
        self.live(protocol, int(ANSWER_TIMEOUT))
        self.assertTrue(transport.aborted)

    def test_anOnlyTunnelIsRequestedInAnotherSession(self) -> None:
        self.make(others=())
        protocol, transport = self.connect()
        self.hear(protocol, Extended(1))
        self.live(protocol, int(ANSWER_TIMEOUT))
        self.assertTrue(transport.aborted)
        self.lose(protocol)
        self.assertIn("no tunnel from example.com:7835: it has not answered the request for 30 s", self.logged)
        self.assertEqual(len(self.reactor.getDelayedCalls()), 1, "that of the next attempt")

    def test_aServerThatAnswersNothingForAnyLengthOfTimeIsLeft(self) -> None:
        _, transport = self.session()
        for number in range(5, 2 * MAX_TUNNELS + 10):
            self.link.tunnels._close(number, self.tunnels[1])
        self.assertTrue(transport.aborted)
