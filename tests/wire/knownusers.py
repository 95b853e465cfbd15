"""A server's sessions with users."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from bore.wire.messages import Authenticate, Challenge, decodeServerMessage, encode
from bore.wire.proof import proveBase
from bore.wire.secret import Secret
from bore.wire.serverproof import NO_NAME, Identity, serverProof
from bore.wire.serversession import ServerSession

SHARED: Final = Secret("the secret of all others")
ALICE: Final = Secret("the secret of alice")
BOB: Final = Secret("the secret of bob")
NOBODY: Final = Secret("a secret of nobody")


class KnownUsers:
    """
    Users with a secret each, and a shared one.

    :ivar tried: for whom secrets were asked for: a name, or None for all of them.
    """

    def __init__(self, users: Mapping[str, Secret] | None = None) -> None:
        self._users = {NO_NAME: SHARED, "alice": ALICE, "bob": BOB} if users is None else users
        self.tried: list[str | None] = []

    def of(self, user: str) -> Sequence[Secret]:
        self.tried.append(user)
        return [self._users.get(user, NOBODY)]

    def nameless(self) -> Sequence[Identity]:
        self.tried.append(None)
        return [Identity(name, secret) for name, secret in self._users.items()]


def usersSession(
    owner: str | None = None, channelBinding: bytes = b"", known: KnownUsers | None = None
) -> ServerSession:
    """
    A server's session.

    :param owner: the user whose visitors and sessions there are; None: there are none.
    """
    proof = serverProof(KnownUsers() if known is None else known, channelBinding, lambda request: owner)
    return ServerSession(proof, encrypted=bool(channelBinding))


def proofBy(session: ServerSession, secret: Secret) -> bytes:
    """The proof of a secret in the base protocol."""
    challenge = decodeServerMessage(session.greeting()[:-1])
    assert isinstance(challenge, Challenge)
    return encode(Authenticate(proveBase(secret, challenge.id)))


def withProof(secret: Secret, owner: str | None = None) -> ServerSession:
    """A session that has had this proof in the base protocol."""
    session = usersSession(owner)
    list(session.feed(proofBy(session, secret)))
    return session
