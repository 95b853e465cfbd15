"""Who a client is, and how it proves that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

from bore.wire.secret import Secret
from bore.wire.serverproof import Identity, OwnerOf, ServerProof, SharedOnly, serverProof


@dataclass(frozen=True, slots=True)
class User:
    """
    Who a client is: a session, and the resume token of a tunnel, belong to a user.

    :ivar name: what the user is called; empty: the user without a name.
    """

    name: str


#: Every client that knows the shared secret; without a secret, every client.
NAMELESS: Final = User("")


class Authenticator(Protocol):
    """
    Asks clients for a proof, and identifies them by it.

    :ivar asks: whether clients have to prove anything. If so, the server sends the first message.
    """

    asks: bool

    def proof(self, channelBinding: bytes, ownerOf: OwnerOf) -> ServerProof | None:
        """
        The proof to ask for on a new connection; None: there is nothing to prove.

        :param channelBinding: identifies the TLS connection; empty: it is not encrypted.
        :param ownerOf: the owners of visitors and sessions, by name.
        """

    def user(self, identity: Identity | None) -> User:
        """
        Who a client is.

        :param identity: what it has proved; None: it had nothing to prove.
        """


class SharedSecret:
    """
    All clients know the same secret, and are one user.

    :param secret: the secret; None: there is none, and every client is let in.
    """

    def __init__(self, secret: Secret | None) -> None:
        self._known = None if secret is None else SharedOnly([secret])
        self.asks = secret is not None

    def proof(self, channelBinding: bytes, ownerOf: OwnerOf) -> ServerProof | None:
        """See :meth:`Authenticator.proof`."""
        return None if self._known is None else serverProof(self._known, channelBinding)

    def user(self, identity: Identity | None) -> User:
        """See :meth:`Authenticator.user`."""
        return NAMELESS
