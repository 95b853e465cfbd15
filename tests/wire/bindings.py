"""The proof of the secret inside TLS, as docs/protocol.rst has it, and the sessions that it is sent in."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable
from typing import Final, TypeAlias

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from bore.wire.clientsession import ControlSession
from bore.wire.datasession import DataSession
from bore.wire.extension import Extended, Goodbye, Lane, Open, markedHello
from bore.wire.messages import Accept, Hello, encode
from bore.wire.serversession import ServerSession
from bore.wire.sessionevents import (
    ClientLeft,
    LaneOffered,
    SendData,
    ServerProven,
    TunnelAsked,
    TunnelOpened,
    VisitorTaken,
)
from tests.wire.sessions import (
    LANE,
    OTHER,
    SECRET,
    TOKEN,
    controlSession,
    dataSession,
    extendedClient,
    outcomesOf,
    serverSession,
)
from tests.wire.strategies import STREAMS, frameOf

#: The text of the secret of :mod:`tests.wire.sessions`.
TEXT: Final = "my secret"

#: What names the TLS connection, and what names another one.
BINDING: Final = bytes(range(32))
ELSEWHERE: Final = bytes(range(32, 64))

#: What our server's side chooses where a test plays it.
NONCE: Final = bytes(range(64, 96))

#: The extension's messages behind the proof.
_OPEN: Final = frameOf(Open(1, 8000, TOKEN))


def proofOf(
    role: str, serverNonce: bytes, clientNonce: bytes, binding: bytes = BINDING, secret: str = TEXT, user: str = ""
) -> str:
    """The proof of one side, in hex digits: the formula, without the product."""
    base = hashlib.sha256(secret.encode()).digest()
    key = hmac.new(base, b"txbore channel binding 1", hashlib.sha256).digest()
    return hmac.new(
        key, role.encode() + b"\0" + binding + serverNonce + clientNonce + user.encode(), hashlib.sha256
    ).hexdigest()


def challengeFrame(nonce: bytes = NONCE) -> bytes:
    """A server's first message."""
    return b'{"BindingChallenge":"%s"}\0' % nonce.hex().encode()


def proofFrame(nonce: bytes, proof: str) -> bytes:
    """A client's answer to it."""
    return b'{"BindingProof":{"nonce":"%s","proof":"%s"}}\0' % (nonce.hex().encode(), proof.encode())


def answerFrame(proof: str) -> bytes:
    """A server's answer to that."""
    return b'{"BindingAnswer":"%s"}\0' % proof.encode()


def framesOf(output: bytes) -> list[object]:
    """The frames in these bytes, as JSON."""
    frames = output.split(b"\0")
    assert frames.pop() == b"", output
    return [json.loads(frame) for frame in frames]


def nonceOf(session: ServerSession) -> bytes:
    """The nonce that a session greets with."""
    (message,) = framesOf(session.greeting())
    assert isinstance(message, dict) and list(message) == ["BindingChallenge"]
    return bytes.fromhex(message["BindingChallenge"])


def sentProof(output: bytes) -> tuple[bytes, str]:
    """Nonce and proof of a client whose first message is a proof."""
    message = framesOf(output)[0]
    assert isinstance(message, dict) and list(message) == ["BindingProof"], message
    return bytes.fromhex(message["BindingProof"]["nonce"]), message["BindingProof"]["proof"]


def boundProof(session: ServerSession, binding: bytes = BINDING, nonce: bytes = NONCE) -> bytes:
    """The frame that proves our secret to a session inside TLS."""
    return proofFrame(nonce, proofOf("client", nonceOf(session), nonce, binding))


def rightAnswer(output: bytes, binding: bytes = BINDING, serverNonce: bytes = NONCE) -> bytes:
    """What a server that knows our secret answers to a client's proof."""
    return answerFrame(proofOf("server", serverNonce, sentProof(output)[0], binding))


def provenServer(*received: bytes, last: object = None) -> ServerSession:
    """A server's session inside TLS that has had its proof, and has received this."""
    session = serverSession(SECRET, BINDING)
    outcomes = outcomesOf(session, boundProof(session), *received)
    assert last is None or outcomes[-1] == last, outcomes
    return session


_HELLO: Final = markedHello(1)

#: The rows of the table of :mod:`bore.wire.serversession`, inside TLS and with a secret.
SERVER_STATES: Final[dict[str, Callable[[], ServerSession]]] = {
    "PROOF": lambda: serverSession(SECRET, BINDING),
    "REQUEST": provenServer,
    "OPENING": lambda: provenServer(_HELLO),
    "EXTENDED, claiming": lambda: provenServer(_HELLO, _OPEN, last=TunnelAsked(1, 8000, TOKEN)),
    "SETTLED by Hello": lambda: provenServer(encode(Hello(1)), last=TunnelAsked(1, 1)),
    "SETTLED by Accept": lambda: provenServer(encode(Accept(OTHER)), last=VisitorTaken(OTHER, b"")),
    "SETTLED by Lane": lambda: provenServer(frameOf(Lane(LANE)), last=LaneOffered(LANE, b"")),
    "SETTLED by Goodbye": lambda: provenServer(_HELLO, _OPEN, frameOf(Goodbye()), last=ClientLeft()),
    "SETTLED by a refusal": lambda: provenServer(_HELLO, b"junk\0", last="malformed-message"),
}


def proving() -> tuple[ControlSession, bytes]:
    """A client's session inside TLS whose proof is out, and its output."""
    session = controlSession(8000, SECRET, BINDING)
    (sent,) = outcomesOf(session, challengeFrame())
    assert isinstance(sent, SendData)
    return session, sent.data


def _client(*received: bytes, last: object = None) -> ControlSession:
    """A client's session inside TLS that has received its server's proof, and this."""
    session, output = proving()
    outcomes = outcomesOf(session, rightAnswer(output), *received)
    assert outcomes[:2] == [ServerProven(), SendData(markedHello(8000))], outcomes
    assert last is None or outcomes[-1] == last, outcomes
    return session


def _probed() -> ControlSession:
    """A client that has waited for the challenge, and has asked whether there is none."""
    session = controlSession(8000, SECRET, BINDING)
    assert session.noChallenge() == markedHello(1)
    return session


_EXTENDED: Final = frameOf(Extended(1))

#: The rows of the table of :mod:`bore.wire.clientsession`, inside TLS and with a secret.
CLIENT_STATES: Final[dict[str, Callable[[], ControlSession]]] = {
    "CHALLENGE": lambda: controlSession(8000, SECRET, BINDING),
    "PROBED": _probed,
    "PROVING": lambda: proving()[0],
    "ANSWER": _client,
    "OPEN": lambda: _client(encode(Hello(8000)), last=TunnelOpened(1, 8000)),
    "EXTENDED": lambda: extendedClient(_client(_EXTENDED)),
    "EXTENDED, open": lambda: extendedClient(_client(_EXTENDED), "open"),
}


def provingData(request: Accept | Lane) -> tuple[DataSession, bytes]:
    """A data connection inside TLS on which the client's proof is out, and its output."""
    session = dataSession(request, SECRET, BINDING)
    return session, session.feed(challengeFrame())


def sentBy(session: ControlSession | ServerSession, *portions: bytes) -> bytes:
    """What a session of either side sends in answer to these bytes, if nothing else follows."""
    sent = b""
    for portion in portions:
        for event in session.feed(portion):
            if isinstance(event, SendData):
                sent += event.data
            else:
                assert isinstance(event, ServerProven), event
    return sent


Output: TypeAlias = SearchStrategy[bytes]

_HEX: Final = st.binary(min_size=32, max_size=32)

#: What somebody may send who knows nothing: messages of the proof, and anything else.
HOSTILE: Final[Output] = st.lists(
    st.one_of(
        st.builds(challengeFrame, _HEX),
        st.builds(lambda nonce, proof: proofFrame(nonce, proof.hex()), _HEX, _HEX),
        st.builds(lambda proof: answerFrame(proof.hex()), _HEX),
        STREAMS,
    ),
    max_size=4,
).map(b"".join)
