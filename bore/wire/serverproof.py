"""
The server's side of the proof of a secret, of both kinds (:mod:`bore.wire.proof`).

A client proves by its proof who it is: a user with a name, or the holder of a shared secret. Inside TLS it sends its
name. In the base protocol it cannot, and so the server tries the secrets of all users who may come that way, all of
them each time. On a connection for a visitor or a lane it tries those of the owner only, which the first message behind
the proof names.

Names cannot be found by trying: the proof of a user that does not exist is compared with secrets that nobody has, as
many as users have, and the answer is the same.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Sequence
from secrets import token_bytes
from typing import Final, NamedTuple, Protocol, TypeAlias
from uuid import UUID

from bore.wire import binding, extension, messages, serde
from bore.wire.binding import BindingAnswer, BindingChallenge, BindingProof
from bore.wire.errors import (
    InvalidSecret,
    MalformedMessage,
    ProtocolViolation,
    SecretMissing,
    UnboundProof,
    UnreadableProof,
)
from bore.wire.extension import Lane, MarkedHello, Request
from bore.wire.messages import Accept, Authenticate, Challenge, Hello
from bore.wire.proof import NONCE_SIZE, Random, Tags, provesBase
from bore.wire.secret import Secret

#: The name of those who hold a shared secret.
NO_NAME: Final = ""


class Identity(NamedTuple):
    """
    Who a client is, as it has proved.

    :ivar user: its name; :data:`NO_NAME`: it holds a shared secret.
    :ivar secret: the secret that it has proved to know.
    """

    user: str
    secret: Secret


class KnownSecrets(Protocol):
    """The secrets by which a server knows its clients."""

    def of(self, user: str) -> Sequence[Secret]:
        """
        The secrets to try for a user: the same number for each user, those who do not exist included.

        :param user: a name, or :data:`NO_NAME`.
        """

    def nameless(self) -> Sequence[Identity]:
        """The secrets to try for a client that cannot send a name, and whose they are."""


#: Returns the owner of what the first message of a data connection or a lane names; None: there is no such thing.
OwnerOf: TypeAlias = Callable[[Accept | Lane], str | None]


class ServerProof(Protocol):
    """
    The server's side of a proof, on one connection.

    :ivar identity: who the client is; None: that is not proved yet.
    """

    identity: Identity | None

    def challenge(self) -> bytes:
        """The frame that the server sends first."""

    def check(self, frame: bytes) -> bytes:
        """
        Check the client's proof, or keep it until the client is identified.

        :param frame: the first frame from the client, without its NUL.
        :returns: the frame to send to the client; may be empty.
        :raises bore.wire.errors.Refusal: when it does not prove a secret.
        """

    def identify(self, request: Request) -> None:
        """
        Find out who the client is, if :meth:`check` has not.

        :param request: the message behind the proof.
        :raises InvalidSecret: when the proof does not prove a secret.
        :raises ProtocolViolation: when the request names what does not exist, and the proof was not checked.
        """

    def triesOnly(self, owner: str, user: str) -> bool:
        """
        Whether the proof in front of a request is compared with the secrets of one user only.

        :param owner: the user whose visitor or session the request names.
        :param user: the name in the proof.
        """


class SharedOnly:
    """
    The clients share secrets, and have no names.

    :param secrets: the secrets; each of them is valid.
    """

    def __init__(self, secrets: Sequence[Secret]) -> None:
        self._secrets = secrets
        self._nobodys = [Secret.fromKey(token_bytes(32)) for _ in secrets]

    def of(self, user: str) -> Sequence[Secret]:
        """See :meth:`KnownSecrets.of`."""
        return self._secrets if user == NO_NAME else self._nobodys

    def nameless(self) -> Sequence[Identity]:
        """See :meth:`KnownSecrets.nameless`."""
        return [Identity(NO_NAME, secret) for secret in self._secrets]


def serverProof(known: KnownSecrets, channelBinding: bytes = b"", ownerOf: OwnerOf | None = None) -> ServerProof:
    """
    Choose the proof for a connection.

    :param channelBinding: identifies the TLS connection (RFC 9266); empty: it is not encrypted.
    :param ownerOf: whose the visitors and sessions are; None: only holders of shared secrets come without TLS.
    """
    if channelBinding:
        return BoundServerProof(known, channelBinding)
    return BaseServerProof(known, ownerOf)


class BaseServerProof:
    """
    The proof of the base protocol.

    :param ownerOf: whose the visitors and sessions are; then the proof is checked as soon as it is clear whose secrets
        to try. None: it is checked at once.
    :ivar id: the UUID in the challenge. It may be set to that of a challenge that was sent by another process.
    """

    def __init__(self, known: KnownSecrets, ownerOf: OwnerOf | None = None, random: Random = token_bytes) -> None:
        self._known = known
        self._ownerOf = ownerOf
        self.id = UUID(bytes=random(16), version=4)
        self._proof = ""
        self.identity: Identity | None = None

    def challenge(self) -> bytes:
        """The challenge, with the UUID to prove the secret for."""
        return messages.encode(Challenge(self.id))

    @property
    def answer(self) -> bytes:
        """The client's proof, as the frame that it has sent."""
        return messages.encode(Authenticate(self._proof))

    def check(self, frame: bytes) -> bytes:
        """See :meth:`ServerProof.check`."""
        try:
            message = extension.decodeRequest(frame)
        except MalformedMessage:
            raise UnreadableProof from None
        match message:
            case Authenticate(proof):
                self._proof = proof
            case Hello() | MarkedHello() | Accept() | Lane():
                raise SecretMissing
        if self._ownerOf is None:
            self._search(self._known.nameless())
        return b""

    def identify(self, request: Request) -> None:
        """See :meth:`ServerProof.identify`."""
        if self._ownerOf is None:
            return
        if not isinstance(request, Accept | Lane):
            self._search(self._known.nameless())
            return
        owner = self._ownerOf(request)
        if owner is None:
            raise ProtocolViolation(f"{type(request).__name__} for what is over, or never was")
        self._search([Identity(owner, secret) for secret in self._known.of(owner)])

    def triesOnly(self, owner: str, user: str) -> bool:
        """See :meth:`ServerProof.triesOnly`."""
        return self._ownerOf is not None or owner == NO_NAME

    def _search(self, candidates: Sequence[Identity]) -> None:
        """Find the secret that is proved, in the time that all of them take."""
        self.identity = None
        for each in candidates:
            if provesBase(each.secret, self.id, self._proof):
                self.identity = each
        if self.identity is None:
            raise InvalidSecret


class BoundServerProof:
    """
    The proof that is bound to a TLS connection.

    :param channelBinding: identifies the TLS connection.
    """

    def __init__(self, known: KnownSecrets, channelBinding: bytes, random: Random = token_bytes) -> None:
        self._known = known
        self._binding = channelBinding
        self._nonce = random(NONCE_SIZE)
        self.identity: Identity | None = None

    def challenge(self) -> bytes:
        """The challenge, with the server's nonce."""
        return binding.encode(BindingChallenge(self._nonce.hex()))

    def check(self, frame: bytes) -> bytes:
        """See :meth:`ServerProof.check`. The answer is the server's own proof."""
        try:
            message = serde.decode(binding.REQUESTS, frame)
        except MalformedMessage:
            raise UnreadableProof from None
        match message:
            case BindingProof(nonce, proof, user):
                return self._search(user, bytes.fromhex(nonce), bytes.fromhex(proof))
            case Authenticate():
                raise UnboundProof
            case _:
                raise SecretMissing

    def identify(self, request: Request) -> None:
        """See :meth:`ServerProof.identify`: :meth:`check` has done that."""

    def triesOnly(self, owner: str, user: str) -> bool:
        """See :meth:`ServerProof.triesOnly`."""
        return owner == user

    def _search(self, user: str, nonce: bytes, proof: bytes) -> bytes:
        """Find the user's secret that is proved, in the time that all of them take; return the answer."""
        self.identity, answer = None, b""
        for secret in self._known.of(user):
            tags = Tags(secret, self._binding, self._nonce, nonce, user)
            if hmac.compare_digest(proof, tags.client):
                self.identity = Identity(user, secret)
                answer = tags.server
        if self.identity is None:
            raise InvalidSecret.of(user)
        return binding.encode(BindingAnswer(answer.hex()))
