"""A tunnel's own rules on addresses."""

from __future__ import annotations

from dataclasses import replace

from bore.client.reasons import ExtensionNeeded
from bore.wire.addressrules import AddressRules, parseNetwork
from bore.wire.extension import Extended, Open, encode
from bore.wire.messages import Hello
from bore.wire.rulesmessage import Rules
from tests.client.test_sessions import SessionCase


class AddressRuleTests(SessionCase):
    """A tunnel's own rules on addresses."""

    def setUp(self) -> None:
        self.rules = AddressRules((parseNetwork("192.0.2.0/24"),), (parseNetwork("192.0.2.7"),))
        self.make(rules=self.rules)

    def test_theServerGetsThemBeforeItOpensTheTunnel(self) -> None:
        protocol, transport = self.connect()
        transport.takeWritten()
        self.hear(protocol, Extended(1))
        self.assertEqual(transport.takeWritten(), encode(Rules(self.rules)) + encode(Open(1, 0)))

    def test_aServerThatCannotApplyThemIsFinal(self) -> None:
        protocol, transport = self.connect()
        self.receive(protocol, Hello(20001))
        self.assertTrue(transport.aborted)
        self.lose(protocol)
        error = self.gaveUp()
        self.assertIsInstance(error, ExtensionNeeded)
        self.assertIn("--allow: this server does not apply rules", str(error))

    def test_anOptionIsNamedAsTheUserHasWrittenIt(self) -> None:
        spec = self.tunnel.spec
        self.tunnel.spec = replace(spec, written={"--allow": "tunnel.postgres.allow"})
        self.assertIn("tunnel.postgres.allow: this server does not", str(self.tunnel.spec.objectionToBase()))
        self.assertEqual(self.tunnel.spec, spec, "it is the same tunnel")
