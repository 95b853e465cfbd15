"""The messages that prove the secret inside TLS (docs/protocol.rst); :mod:`bore.wire.proof` has the proof itself."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, TypeAlias

from bore.wire import messages, serde
from bore.wire.errors import MalformedMessage
from bore.wire.framing import encodeFrame
from bore.wire.values import value

#: A nonce, and a proof, in hex digits.
_HEX: Final = re.compile(r"[0-9a-f]{64}")

#: A name of a user: with 64 characters at most, it fits a frame of the base protocol together with a proof.
_USER: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}")


def isUserName(text: str) -> bool:
    """Whether a text can be the name of a user."""
    return _USER.fullmatch(text) is not None


@value
class BindingChallenge:
    """Server, first: requests the proof of the secret. The nonce is in hex digits."""

    nonce: str


@value
class BindingProof:
    """
    Client, in answer: its nonce and its proof, in hex digits.

    :ivar user: its name; empty: the secret is a shared one.
    """

    nonce: str
    proof: str
    user: str = ""


@value
class BindingAnswer:
    """Server, in answer: its own proof, in hex digits."""

    proof: str


ServerMessage: TypeAlias = messages.ServerMessage | BindingChallenge | BindingAnswer


def encode(message: BindingChallenge | BindingProof | BindingAnswer) -> bytes:
    """Encode a message as a frame. Every one fits a frame of the base protocol."""
    name = type(message).__name__
    match message:
        case BindingProof(nonce, proof, user):
            who = f'"user":"{user}",' if user else ""
            return encodeFrame(f'{{"{name}":{{{who}"nonce":"{nonce}","proof":"{proof}"}}}}')
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
    nonce, proof, user = serde.fields(content, "nonce", "proof", "user")
    return BindingProof(_hex(nonce), _hex(proof), "" if user is None else userName(user))


def userName(content: object) -> str:
    """Read the name of a user."""
    if isinstance(content, str) and isUserName(content):
        return content
    raise serde.BadContent("not the name of a user")


def claimedUser(data: bytes) -> str:
    """
    Return the name in a proof.

    :param data: what a client has sent, from its first byte on.
    :returns: the name; empty if it has sent none, or not a whole proof.
    """
    frame, end, _ = data.partition(b"\0")
    try:
        message = serde.decode(REQUESTS, frame) if end else None
    except MalformedMessage:
        return ""
    return message.user if isinstance(message, BindingProof) else ""


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
