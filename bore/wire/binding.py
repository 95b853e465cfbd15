"""The messages that prove the secret inside TLS (README, "Inside TLS"); :mod:`bore.wire.proof` has the proof itself."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, TypeAlias

from bore.wire import messages, serde
from bore.wire.framing import encodeFrame
from bore.wire.values import value

#: A nonce, and a proof, in hex digits.
_HEX: Final = re.compile(r"[0-9a-f]{64}")


@value
class BindingChallenge:
    """Server, first: requests the proof of the secret. The nonce is in hex digits."""

    nonce: str


@value
class BindingProof:
    """Client, in answer: its nonce and its proof, in hex digits."""

    nonce: str
    proof: str


@value
class BindingAnswer:
    """Server, in answer: its own proof, in hex digits."""

    proof: str


ServerMessage: TypeAlias = messages.ServerMessage | BindingChallenge | BindingAnswer


def encode(message: BindingChallenge | BindingProof | BindingAnswer) -> bytes:
    """Encode a message as a frame. Every one fits a frame of the base protocol."""
    name = type(message).__name__
    match message:
        case BindingProof(nonce, proof):
            return encodeFrame(f'{{"{name}":{{"nonce":"{nonce}","proof":"{proof}"}}}}')
        case BindingChallenge(text) | BindingAnswer(text):
            return encodeFrame(f'{{"{name}":"{text}"}}')


def decodeServerMessage(frame: bytes) -> ServerMessage:
    """
    Decode a server's message during the proof.

    :raises MalformedMessage: when a server has no such message.
    """
    return serde.decode(_SERVER_MESSAGES, frame)


def challenge(content: object) -> BindingChallenge:
    """Read a challenge."""
    return BindingChallenge(_hex(content))


def _hex(content: object) -> str:
    if isinstance(content, str) and _HEX.fullmatch(content):
        return content
    raise serde.BadContent("not 64 hex digits")


def _proof(content: object) -> BindingProof:
    nonce, proof = serde.fields(content, "nonce", "proof")
    return BindingProof(_hex(nonce), _hex(proof))


def _lane(content: object) -> None:
    """A Lane in the place of the proof. Its token does not matter."""


#: The messages that a client may send in the place of the proof.
REQUESTS: Final[dict[str, Callable[[object], messages.ClientMessage | BindingProof | None]]] = {
    **messages.CLIENT_MESSAGES,
    "Lane": _lane,
    "BindingProof": _proof,
}

_SERVER_MESSAGES: Final[dict[str, Callable[[object], ServerMessage]]] = {
    **messages.SERVER_MESSAGES,
    "BindingChallenge": challenge,
    "BindingAnswer": lambda content: BindingAnswer(_hex(content)),
}
