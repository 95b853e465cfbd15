"""
The proof of a secret, of both kinds, and the client's side of it; the server's is :mod:`bore.wire.serverproof`. The
session machines do not know which kind it is.

The proof of the base protocol is HMAC-SHA256 over the 16 bytes of the challenge's UUID, in hex digits; the server does
not answer it.

Inside TLS (docs/protocol.rst) the proof is mutual, and bound to the TLS connection. A man in the middle has a
connection to each side, thus two connections, and a proof for the one is worth nothing on the other. The key is
HMAC-SHA256 over ``txbore channel binding 1``. A proof is HMAC-SHA256 with this key over the name of the side that
proves (``client`` or ``server``), a NUL, the 32 bytes that RFC 9266 (tls-exporter) gives both ends, the server's nonce,
the client's, and the name of the user, which is empty for the holder of a shared secret.
"""

from __future__ import annotations

import hmac
from binascii import Error as NotHex
from binascii import unhexlify
from collections.abc import Callable
from secrets import token_bytes
from typing import Final, Protocol, TypeAlias
from uuid import UUID

from bore.wire import binding, messages
from bore.wire.binding import BindingAnswer, BindingChallenge, BindingProof
from bore.wire.errors import ProtocolViolation, ServerNotProven, UnboundChallenge
from bore.wire.messages import Authenticate, Challenge
from bore.wire.secret import Secret

#: The label of the key of the proofs inside TLS. Its length is not 16 bytes, so it never equals a challenge of the base
#: protocol.
_LABEL: Final = b"txbore channel binding 1"

#: The size of a nonce, in bytes.
NONCE_SIZE: Final = 32


#: Gives this many random bytes.
Random: TypeAlias = Callable[[int], bytes]


class ClientProof(Protocol):
    """The client's side of a proof, on one connection."""

    @property
    def user(self) -> str:
        """Our name; empty: the secret is a shared one, or is proved without a name."""

    def decode(self, frame: bytes) -> binding.ServerMessage:
        """
        Decode what a server sends during the proof.

        :raises MalformedMessage: when it is not a message that may come then.
        """

    def examine(self, challenge: Challenge | BindingChallenge) -> None:
        """
        Check that a challenge asks for this kind of proof.

        :raises UnboundChallenge: when it asks for a weaker one.
        """

    def answer(self, challenge: Challenge | BindingChallenge) -> bytes:
        """
        Prove the secret.

        :returns: the frame to send to the server.
        :raises UnboundChallenge: when the challenge asks for a weaker proof.
        """

    def check(self, answer: BindingAnswer) -> None:
        """
        Check the server's own proof.

        :raises ServerNotProven: when it does not prove the secret.
        """


def clientProof(secret: Secret | None, channelBinding: bytes = b"", user: str = "") -> ClientProof | None:
    """
    Choose the proof for a connection, on the client's side.

    :param secret: the secret that we share with the server; None: we share none, and prove nothing.
    :param channelBinding: identifies the TLS connection (RFC 9266); empty: it is not encrypted.
    :param user: our name, if the secret is our own. It is sent inside TLS only.
    """
    if secret is None:
        return None
    return BoundClientProof(secret, channelBinding, user) if channelBinding else BaseClientProof(secret)


def proveBase(secret: Secret, challenge: UUID) -> str:
    """The base protocol's proof: 64 lower-case hex digits."""
    return secret.mac(challenge.bytes).hex()


def provesBase(secret: Secret, challenge: UUID, proof: str) -> bool:
    """Check the base protocol's proof, in the same time for every proof of the right length."""
    try:
        given = unhexlify(proof.encode())
    except NotHex:
        return False
    return hmac.compare_digest(given, secret.mac(challenge.bytes))


class BaseClientProof:
    """The proof of the base protocol, on the client's side."""

    user = ""

    def __init__(self, secret: Secret) -> None:
        self._secret = secret

    def decode(self, frame: bytes) -> messages.ServerMessage:
        """Decode a message of the base protocol."""
        return messages.decodeServerMessage(frame)

    def examine(self, challenge: Challenge | BindingChallenge) -> None:
        """Accept every challenge: there is no weaker proof."""

    def answer(self, challenge: Challenge | BindingChallenge) -> bytes:
        """Prove the secret."""
        if isinstance(challenge, BindingChallenge):
            raise ProtocolViolation("a challenge of TLS on a connection without TLS")
        return messages.encode(Authenticate(proveBase(self._secret, challenge.id)))

    def check(self, answer: BindingAnswer) -> None:
        """A server of the base protocol does not answer."""
        raise ProtocolViolation("a server's proof that was not requested")


class BoundClientProof:
    """
    The proof that is bound to a TLS connection, on the client's side.

    :param channelBinding: identifies the TLS connection.
    :ivar user: our name; empty: the secret is a shared one.
    """

    def __init__(self, secret: Secret, channelBinding: bytes, user: str = "", random: Random = token_bytes) -> None:
        self._secret = secret
        self._binding = channelBinding
        self.user = user
        self._random = random
        self._tags: Tags | None = None

    def decode(self, frame: bytes) -> binding.ServerMessage:
        """Decode a message of the base protocol, or of the proof."""
        return binding.decodeServerMessage(frame)

    def examine(self, challenge: Challenge | BindingChallenge) -> None:
        """Refuse the challenge of the base protocol: its proof could be passed on."""
        if isinstance(challenge, Challenge):
            raise UnboundChallenge

    def answer(self, challenge: Challenge | BindingChallenge) -> bytes:
        """Prove the secret."""
        if isinstance(challenge, Challenge):
            raise UnboundChallenge
        nonce = self._random(NONCE_SIZE)
        self._tags = Tags(self._secret, self._binding, bytes.fromhex(challenge.nonce), nonce, self.user)
        return binding.encode(BindingProof(nonce.hex(), self._tags.client.hex(), self.user))

    def check(self, answer: BindingAnswer) -> None:
        """Check the server's own proof."""
        if self._tags is None or not hmac.compare_digest(bytes.fromhex(answer.proof), self._tags.server):
            raise ServerNotProven


class Tags:
    """Both proofs of one TLS connection."""

    def __init__(
        self, secret: Secret, channelBinding: bytes, serverNonce: bytes, clientNonce: bytes, user: str
    ) -> None:
        key = secret.mac(_LABEL)
        bound = b"\0" + channelBinding + serverNonce + clientNonce + user.encode()
        self.client = hmac.digest(key, b"client" + bound, "sha256")
        self.server = hmac.digest(key, b"server" + bound, "sha256")
