"""Who a client is, and how it proves that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from bore.wire.errors import AccessWithdrawn, Refusal
from bore.wire.publicaddress import PublicAddress
from bore.wire.secret import Secret
from bore.wire.serverproof import Identity, OwnerOf, ServerProof, SharedOnly, serverProof

if TYPE_CHECKING:
    from bore.users.rights import Rights


@dataclass(frozen=True, slots=True)
class User:
    """
    Who a client is: a session, and the resume token of a tunnel, belong to a user.

    :ivar name: what the user is called; empty: the user without a name.
    """

    name: str


#: Every client that knows the shared secret; without a secret, every client.
NAMELESS: Final = User("")

#: The other nodes of a cluster, to which visitors are passed on. No user can have this name.
NODES: Final = User("@nodes")


class Login(NamedTuple):
    """
    How a client has come in.

    :ivar peer: its address, as ``HOST:PORT``.
    :ivar secret: the secret that it has proved to know; None: it had to prove none.
    :ivar encrypted: whether its connection is a TLS connection.
    """

    user: User
    peer: str
    secret: Secret | None
    encrypted: bool


class Permits(Protocol):
    """What each user may do now."""

    def rights(self, user: User) -> Rights:
        """The rights of a user; the public ports that the user may have are all in ``ports``."""

    def summary(self, user: User) -> str:
        """What a user may do, for people, in a few words."""

    def addressRefusal(self, user: User, address: PublicAddress) -> Refusal | None:
        """
        Why a user may not have a public address; None: the user may.

        A user whose ports are limited may have no address of another kind.
        """


class Authenticator(Protocol):
    """
    Asks clients for a proof, and identifies them by it.

    :ivar asks: whether clients have to prove anything. If so, the server sends the first message.
    """

    asks: bool

    @property
    def permits(self) -> Permits | None:
        """What each user may do; None: all may do the same."""

    def proof(self, channelBinding: bytes, ownerOf: OwnerOf, names: Sequence[str] = ()) -> ServerProof | None:
        """
        The proof to ask for on a new connection; None: there is nothing to prove.

        :param channelBinding: identifies the TLS connection; empty: it is not encrypted.
        :param ownerOf: the owners of visitors and sessions, by name.
        :param names: those in the client's certificate.
        """

    def objection(self, login: Login) -> Refusal | None:
        """Why a client may not connect, or stay connected, now; None: it may."""

    def user(self, identity: Identity | None, names: Sequence[str] = ()) -> User:
        """
        Who a client is.

        :param identity: what it has proved; None: it had nothing to prove.
        :param names: those in its certificate.
        """


class SharedSecret:
    """
    All clients know one of some secrets, and are one user.

    :param secrets: the secrets; none: every client is let in.
    """

    def __init__(self, secrets: Sequence[Secret]) -> None:
        self.apply(secrets)
        self.permits: Permits | None = None

    def apply(self, secrets: Sequence[Secret]) -> None:
        """Use other secrets."""
        self._secrets = secrets
        self._known = SharedOnly(secrets) if secrets else None
        self.asks = bool(secrets)

    def proof(self, channelBinding: bytes, ownerOf: OwnerOf, names: Sequence[str] = ()) -> ServerProof | None:
        """See :meth:`Authenticator.proof`."""
        return None if self._known is None else serverProof(self._known, channelBinding)

    def objection(self, login: Login) -> Refusal | None:
        """See :meth:`Authenticator.objection`. A server without secrets lets in who has proved one, too."""
        return AccessWithdrawn() if self._secrets and login.secret not in self._secrets else None

    def user(self, identity: Identity | None, names: Sequence[str] = ()) -> User:
        """See :meth:`Authenticator.user`."""
        return NAMELESS
