"""Lanes are used among our own peers only: all bytes between ours and the original."""

from __future__ import annotations

import re

from tests.forwarder import Forwarder, Passage
from tests.interop.test_extension import OverheardCase, frames
from tests.support import connect, digest, eventually, pattern, receiveAll

SECRETS = ((), ("--secret", "hush"))

#: More than what makes a stream on a lane bulk.
DATA = pattern(1, 1 << 20)

_ACCEPT = rb'\{"Accept":"[0-9a-f-]{36}"\}\0'
_PROOF = rb'\{"Authenticate":"[0-9a-f]{64}"\}\0'
_CHALLENGE = rb'\{"Challenge":"[0-9a-f-]{36}"\}\0'


class NoLaneTests(OverheardCase):
    """An original peer on either side."""

    far: str

    @classmethod
    def server(cls, who: str, *words: str) -> str:
        cls.far = super().server(who, *words)
        return cls.far

    def dataConnections(self, way: Forwarder) -> list[Passage]:
        """All connections beside the control connection."""
        return [passage for passage in way.passages if passage is not way.session]

    def ask(self, port: int, question: bytes) -> None:
        with connect(self.far, port) as visitor:
            visitor.sendall(question)
            visitor.shutdown(1)
            self.assertEqual(digest(receiveAll(visitor)), digest(question))

    def check(self, server: str, client: str) -> None:
        for secret in SECRETS:
            way, program, port = self.overhear(server, client, *secret)
            questions = [b"one", b"two", b"question", DATA, b"last"]
            for question in questions[2:]:
                self.ask(port, question)
            self.listen(way)
            control = way.session
            for heard in (bytes(control.fromClient), bytes(control.fromServer)):
                self.assertNotIn(b"lane", heard.lower())
                self.assertNotIn(b"Opened", heard)
            visits = self.dataConnections(way)
            self.assertEqual(len(visits), len(questions), "one connection for each visitor, and none beside")
            for visit, question in zip(visits, questions, strict=True):
                greeting = (_PROOF if secret else b"") + _ACCEPT
                said = re.match(greeting, bytes(visit.fromClient))
                assert said is not None, bytes(visit.fromClient[:200])
                challenge = re.match(_CHALLENGE if secret else b"", bytes(visit.fromServer))
                assert challenge is not None, bytes(visit.fromServer[:200])
                # After its Accept the client sends the service's answer, and nothing else.
                self.assertEqual(digest(bytes(visit.fromClient[said.end() :])), digest(question))
                self.assertEqual(digest(bytes(visit.fromServer[challenge.end() :])), digest(question))
            program.kill()

    def test_ourServerHandsNoneOutToAnOriginalClient(self) -> None:
        self.check("ours", "original")

    def test_ourClientOpensNoneAtAnOriginalServer(self) -> None:
        self.check("original", "ours")


class LaneTests(OverheardCase):
    """Ours with ours: the same forwarder records lanes here."""

    def test_eachLaneSaysWhatItIsAndOnlyThat(self) -> None:
        way, _, _ = self.overhear("ours", "ours")
        self.listen(way)
        eventually(lambda: len(way.passages) >= 5, "the lanes are there")
        [agreed] = [frame for frame in frames(bytes(way.session.fromServer)) if b"Extended" in frame]
        token = re.search(rb'"lane":"([0-9a-f]{32})"', agreed)
        assert token is not None, agreed
        lanes = [passage for passage in way.passages if passage is not way.session]
        for lane in lanes:
            self.assertTrue(bytes(lane.fromClient).startswith(b'{"Lane":"%s"}\0' % token.group(1)))
        self.assertEqual(sum(bytes(lane.fromServer).count(b"one") for lane in lanes), 1)
        self.assertNotIn(b"Accept", b"".join(bytes(lane.fromClient) for lane in lanes))
