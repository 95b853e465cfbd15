"""A tunnel's own rules become frames, and are rules again behind them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bore.wire.addressrules import NO_RULES, AddressRules, Network
from bore.wire.extension import Open, decodeClientMessage, encode, markedHello
from bore.wire.limits import MAX_EXTENDED_FRAME
from bore.wire.rulesmessage import MAX_NETWORKS, Rules, rulesFrames
from bore.wire.serversession import ServerSession
from bore.wire.sessionevents import TunnelAsked
from tests.wire.sessions import MOST_RULES, outcomesOf
from tests.wire.strategies import NETWORKS, UNHURRIED

MANY: st.SearchStrategy[tuple[Network, ...]] = st.lists(NETWORKS, max_size=4).flatmap(
    lambda few: st.integers(1, 60).map(lambda times: tuple(few) * times)
)


class RulesFramesTests(SynchronousTestCase):
    """Rules in as many frames as they need."""

    def test_noRulesTakeNoFrame(self) -> None:
        self.assertEqual(rulesFrames(NO_RULES), b"")

    @UNHURRIED
    @given(MANY, MANY)
    def test_theyAreTheSameTogether(self, allow: tuple[Network, ...], deny: tuple[Network, ...]) -> None:
        rules = found = AddressRules(allow, deny)
        found = NO_RULES
        for frame in rulesFrames(rules).split(b"\0")[:-1]:
            self.assertLessEqual(len(frame), MAX_EXTENDED_FRAME)
            message = decodeClientMessage(frame)
            assert isinstance(message, Rules)
            found += message.rules
        self.assertEqual(found, rules)

    def test_asManyAsATunnelMayHaveReachTheServer(self) -> None:
        self.assertEqual(len(MOST_RULES), MAX_NETWORKS)
        session = ServerSession()
        outcomesOf(session, markedHello(0))
        self.assertEqual(
            outcomesOf(session, rulesFrames(MOST_RULES) + encode(Open(1, 8000))),
            [TunnelAsked(1, 8000, None, MOST_RULES)],
        )
