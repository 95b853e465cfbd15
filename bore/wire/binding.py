"""
The proof of the secret inside TLS (README, "Inside TLS").

It is mutual, and bound to the very TLS connection that it is said on: who stands in between with a connection to
either side has two of them, and a proof for the one is worth nothing on the other.

The key is HMAC-SHA256 with the key of the base protocol's proof over ``txbore channel binding 1``. A proof is
HMAC-SHA256 with it over the name of the side that proves (``client`` or ``server``), a NUL, the 32 bytes that RFC 9266
(tls-exporter) gives both ends, the server's nonce and the client's.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass
from secrets import token_bytes
from typing import Final, TypeAlias

from bore.wire import messages, serde
from bore.wire.errors import (
    InvalidSecret,
    MalformedMessage,
    SecretMissing,
    ServerNotProven,
    UnboundProof,
    UnreadableProof,
)
from bore.wire.framing import encodeFrame
from bore.wire.messages import Authenticate
from bore.wire.secret import Secret

_NONCE_SIZE: Final = 32

#: A nonce, and a proof, in hex digits.
_HEX: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class BindingChallenge:
    """Server, first: prove that you know the secret. The nonce is in hex digits."""

    nonce: str


@dataclass(frozen=True, slots=True)
class BindingProof:
    """Client, in answer: its nonce and its proof, in hex digits."""

    nonce: str
    proof: str


@dataclass(frozen=True, slots=True)
class BindingAnswer:
    """Server, in answer: its own proof, in hex digits."""

    proof: str


ServerMessage: TypeAlias = messages.ServerMessage | BindingChallenge | BindingAnswer


class ServerProof:
    """
    The server's side of it.

    :param binding: what both ends of the TLS connection have in common with nobody else.
    """

    def __init__(self, secret: Secret, binding: bytes) -> None:
        self._secret = secret
        self._binding = binding
        self._nonce = token_bytes(_NONCE_SIZE)

    def challenge(self) -> bytes:
        """What the server says first."""
        return _encode(BindingChallenge(self._nonce.hex()))

    def check(self, frame: bytes) -> bytes:
        """
        Check the client's proof.

        :returns: the server's own, as a frame.
        :raises Refusal: when the client has not proved that it knows the secret.
        """
        try:
            message = serde.decode(_REQUESTS, frame)
        except MalformedMessage:
            raise UnreadableProof from None
        match message:
            case BindingProof(nonce, proof):
                tags = _Tags(self._secret, self._binding, self._nonce, bytes.fromhex(nonce))
                if not hmac.compare_digest(bytes.fromhex(proof), tags.client):
                    raise InvalidSecret
                return _encode(BindingAnswer(tags.server.hex()))
            case Authenticate():
                raise UnboundProof
            case _:
                raise SecretMissing


class ClientProof:
    """
    The client's side of it.

    :param binding: what both ends of the TLS connection have in common with nobody else.
    """

    def __init__(self, secret: Secret, binding: bytes) -> None:
        self._secret = secret
        self._binding = binding
        self._tags: _Tags | None = None

    def answer(self, challenge: BindingChallenge) -> bytes:
        """The client's proof, as a frame."""
        nonce = token_bytes(_NONCE_SIZE)
        self._tags = _Tags(self._secret, self._binding, bytes.fromhex(challenge.nonce), nonce)
        return _encode(BindingProof(nonce.hex(), self._tags.client.hex()))

    def check(self, answer: BindingAnswer) -> None:
        """
        Check the server's proof.

        :raises ServerNotProven: when it does not know the secret.
        """
        if self._tags is None or not hmac.compare_digest(bytes.fromhex(answer.proof), self._tags.server):
            raise ServerNotProven


class _Tags:
    """Both proofs of one connection."""

    def __init__(self, secret: Secret, binding: bytes, serverNonce: bytes, clientNonce: bytes) -> None:
        key = secret.derive(b"txbore channel binding 1")
        said = b"\0" + binding + serverNonce + clientNonce
        self.client = hmac.digest(key, b"client" + said, "sha256")
        self.server = hmac.digest(key, b"server" + said, "sha256")


def decodeServerMessage(frame: bytes) -> ServerMessage:
    """
    Read what a server says while the secret is being proved.

    :raises MalformedMessage: when it is none of its messages.
    """
    return serde.decode(_SERVER_MESSAGES, frame)


def challenge(content: object) -> BindingChallenge:
    """Read a challenge."""
    return BindingChallenge(_hex(content))


def _encode(message: BindingChallenge | BindingProof | BindingAnswer) -> bytes:
    name = type(message).__name__
    match message:
        case BindingProof(nonce, proof):
            return encodeFrame(f'{{"{name}":{{"nonce":"{nonce}","proof":"{proof}"}}}}')
        case BindingChallenge(text) | BindingAnswer(text):
            return encodeFrame(f'{{"{name}":"{text}"}}')


def _hex(content: object) -> str:
    if isinstance(content, str) and _HEX.fullmatch(content):
        return content
    raise serde.BadContent("not 64 hex digits")


def _proof(content: object) -> BindingProof:
    nonce, proof = serde.fields(content, "nonce", "proof")
    return BindingProof(_hex(nonce), _hex(proof))


def _lane(content: object) -> None:
    """A lane, where the proof belongs: whose it is does not matter."""


_REQUESTS: Final[dict[str, Callable[[object], messages.ClientMessage | BindingProof | None]]] = {
    **messages.CLIENT_MESSAGES,
    "Lane": _lane,
    "BindingProof": _proof,
}

_SERVER_MESSAGES: Final[dict[str, Callable[[object], ServerMessage]]] = {
    **messages.SERVER_MESSAGES,
    "BindingChallenge": challenge,
    "BindingAnswer": lambda content: BindingAnswer(_hex(content)),
}
