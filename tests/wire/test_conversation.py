"""Our client and our server talk to each other, and each with a peer that knows the base protocol only."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle
from typing import Final, TypeAlias

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from twisted.trial.unittest import SynchronousTestCase

from bore.wire.clientsession import ControlSession
from bore.wire.errors import BrokenRule, FrameTooLong, InvalidSecret, NoAnswer, PortNotAllowed, Refusal, TakenOver
from bore.wire.extension import Open, Visitor
from bore.wire.framing import FrameDecoder
from bore.wire.messages import (
    Authenticate,
    Challenge,
    Connection,
    Heartbeat,
    Hello,
    ServerMessage,
    encode,
)
from bore.wire.proof import proveBase
from bore.wire.secret import Secret
from bore.wire.serversession import ServerSession
from bore.wire.sessionevents import (
    ClientAlive,
    ClientEvent,
    ClientLeft,
    SendData,
    ServerAlive,
    ServerEvent,
    SessionAsked,
    SessionMoved,
    SessionOpened,
    TunnelAsked,
    TunnelOpened,
    VisitorCame,
)
from tests.wire.sessions import CLIENT_STATES, ID, LANE, SECRET, TOKEN, controlSession, outcomesOf, serverSession
from tests.wire.strategies import PORTS, SOURCES, STREAMS, TOKENS, UNHURRIED, UUIDS, decodeClientMessage, inPortions

#: What a server sends about an open tunnel.
News: TypeAlias = Heartbeat | Visitor

NEWS: Final[SearchStrategy[list[News]]] = st.lists(
    st.one_of(st.builds(Heartbeat), st.builds(Visitor, st.just(1), UUIDS, SOURCES)), max_size=6
)
REFUSALS: Final[SearchStrategy[Refusal]] = st.sampled_from(
    [NoAnswer(), TakenOver(), PortNotAllowed("so"), BrokenRule("unknown-message", "what?"), Refusal("zu spät 😀")]
)
SECRETS: Final[SearchStrategy[str | None]] = st.none() | st.text()
OPEN_PORTS: Final = st.integers(1, 65535)

#: How many bytes the network carries at a time, in either direction, again and again.
SEGMENTS: Final = st.lists(st.integers(1, 80), min_size=1, max_size=8)


@dataclass
class Script:
    """What a server does once its client has asked for a tunnel: open it, and announce what happens."""

    port: int
    token: str
    lane: str | None
    news: list[News]
    refusal: Refusal | None = None
    moves: bool = False

    def output(self, server: ServerSession) -> Iterator[bytes]:
        """The frames that the server sends."""
        yield server.opened(1, self.port, self.token, 60)
        for event in self.news:
            match event:
                case Heartbeat():
                    yield server.heartbeat()
                case Visitor(tunnel, id, source):
                    assert source is not None
                    yield server.visitor(tunnel, id, source)
        if self.refusal is not None:
            yield server.refusal(self.refusal)
        if self.moves:
            yield server.moved(None)


class Talk:
    """
    A client and a server, and the network between them.

    :param asking: what the client asks for.
    :ivar clientReceived: the client's events that were not bytes to send.
    :ivar serverReceived: the server's.
    """

    def __init__(
        self, client: ControlSession, server: ServerSession, script: Script, segments: list[int], asking: Open
    ) -> None:
        self._client, self._server, self._script, self._asking = client, server, script, asking
        self._segments = cycle(segments)
        self._toServer, self._toClient = client.greeting(), server.greeting()
        self.clientReceived: list[ClientEvent] = []
        self.serverReceived: list[ServerEvent] = []

    def untilSilence(self) -> None:
        """Carry bytes in both directions until nothing more is sent."""
        while self._toServer or self._toClient:
            segment, self._toServer = self._cut(self._toServer)
            for reported in self._server.feed(segment):
                self._serverReceives(reported)
            segment, self._toClient = self._cut(self._toClient)
            for received in self._client.feed(segment):
                self._clientReceives(received)

    def clientLeaves(self) -> None:
        """The client ends the session on purpose."""
        self._toServer += self._client.goodbye()
        self.untilSilence()

    def _cut(self, data: bytes) -> tuple[bytes, bytes]:
        size = next(self._segments)
        return data[:size], data[size:]

    def _serverReceives(self, event: ServerEvent) -> None:
        if isinstance(event, SendData):
            self._toClient += event.data
            return
        if isinstance(event, SessionAsked):
            self._toClient += self._server.agreed(self._script.lane)
            return
        self.serverReceived.append(event)
        if isinstance(event, TunnelAsked):
            self._toClient += b"".join(self._script.output(self._server))

    def _clientReceives(self, event: ClientEvent) -> None:
        if isinstance(event, SendData):
            self._toServer += event.data
            return
        self.clientReceived.append(event)
        if isinstance(event, SessionOpened):
            self._toServer += self._client.open(self._asking.tunnel, self._asking.address, self._asking.resume)


def secretOf(text: str | None) -> Secret | None:
    """The secret, if there is one."""
    return None if text is None else Secret(text)


class OurTwoEndsTests(SynchronousTestCase):
    """Two ends that both know the extension."""

    @UNHURRIED
    @given(SECRETS, PORTS, st.none() | TOKENS, OPEN_PORTS, TOKENS, st.none() | TOKENS, NEWS, SEGMENTS)
    def test_aTunnelIsOpenedAnnouncedAndLeftWhateverTheNetworkDoes(
        self,
        secret: str | None,
        port: int,
        resume: str | None,
        opened: int,
        token: str,
        lane: str | None,
        news: list[News],
        segments: list[int],
    ) -> None:
        client, server = controlSession(port, secretOf(secret)), serverSession(secretOf(secret))
        talk = Talk(client, server, Script(opened, token, lane, news), segments, Open(1, port, resume))
        talk.untilSilence()
        reported = [
            VisitorCame(1, sent.id, sent.source) if isinstance(sent, Visitor) else ServerAlive() for sent in news
        ]
        self.assertEqual(talk.clientReceived, [SessionOpened(lane), TunnelOpened(1, opened, token), *reported])
        alive = [ClientAlive() for sent in news if isinstance(sent, Heartbeat)]
        self.assertEqual(talk.serverReceived, [TunnelAsked(1, port, resume), *alive])
        talk.clientLeaves()
        self.assertEqual(talk.serverReceived[-1], ClientLeft())

    @UNHURRIED
    @given(SECRETS, NEWS, REFUSALS, SEGMENTS)
    def test_aRefusalArrivesBehindAllThatWasSentBefore(
        self, secret: str | None, news: list[News], refusal: Refusal, segments: list[int]
    ) -> None:
        script = Script(8000, TOKEN, LANE, news, refusal)
        client, server = controlSession(8000, secretOf(secret)), serverSession(secretOf(secret))
        talk = Talk(client, server, script, segments, Open(1, 8000))
        error = self.assertRaises(Refusal, talk.untilSilence)
        self.assertEqual((error.code, str(error), error.retry), (refusal.code, str(refusal), refusal.retry))
        self.assertEqual(len(talk.clientReceived), 2 + len(news))

    @UNHURRIED
    @given(SECRETS, NEWS, SEGMENTS, STREAMS)
    def test_behindMovedNothingThatEitherSideSendsMeansAnything(
        self, secret: str | None, news: list[News], segments: list[int], stream: bytes
    ) -> None:
        shared = secretOf(secret)
        client, server = controlSession(0, shared), serverSession(shared)
        talk = Talk(client, server, Script(1, "t" * 16, None, news, moves=True), segments, Open(1, 0))
        talk.untilSilence()
        self.assertEqual(talk.clientReceived[-1], SessionMoved(None))
        received = list(talk.serverReceived)
        talk.clientLeaves()
        self.assertEqual((talk.serverReceived, list(server.feed(stream))), (received, []))
        with contextlib.suppress(FrameTooLong):
            self.assertEqual(list(client.feed(stream)), [])

    @UNHURRIED
    @given(st.text(), st.text(), SEGMENTS)
    def test_theyComeToTermsIfTheyShareASecret(self, ours: str, theirs: str, segments: list[int]) -> None:
        script = Script(8000, TOKEN, LANE, [])
        talk = Talk(controlSession(0, Secret(ours)), serverSession(Secret(theirs)), script, segments, Open(1, 0))
        if ours == theirs:
            talk.untilSilence()
            self.assertEqual(talk.clientReceived, [SessionOpened(LANE), TunnelOpened(1, 8000, TOKEN)])
        else:
            self.assertRaises(InvalidSecret, talk.untilSilence)
            self.assertEqual(talk.serverReceived, [])


class BaseServerTests(SynchronousTestCase):
    """A server of the base protocol never receives a byte of the extension, and is understood."""

    @UNHURRIED
    @given(st.booleans(), PORTS, OPEN_PORTS)
    def test_allThatItReceivesIsInItsVocabulary(self, secret: bool, port: int, opened: int) -> None:
        client = controlSession(port, SECRET if secret else None)
        sent = client.greeting()
        server: list[ServerMessage] = [Challenge(ID), Hello(opened), Heartbeat(), Connection(ID), Heartbeat()]
        for message in server[0 if secret else 1 :]:
            sent += b"".join(event.data for event in client.feed(encode(message)) if isinstance(event, SendData))
        sent += client.noChallenge() + client.goodbye()
        decoder = FrameDecoder()
        decoder.feed(sent)
        received = [decodeClientMessage(frame) for frame in iter(decoder.nextFrame, None)]
        self.assertEqual(received, [*([Authenticate(proveBase(SECRET, ID))] if secret else []), Hello(port)])
        self.assertEqual(decoder.takeRest(), b"")

    @UNHURRIED
    @given(st.sampled_from(["OPEN", "OPEN after the proof"]), inPortions(STREAMS))
    def test_whoHasHadAPlainHelloSendsNothingMore(self, state: str, sent: tuple[bytes, list[bytes]]) -> None:
        client = CLIENT_STATES[state]()
        outcomes = outcomesOf(client, *sent[1])
        self.assertFalse([outcome for outcome in outcomes if isinstance(outcome, SendData)])
        self.assertEqual((client.extended, client.goodbye()), (False, b""))
