"""A tunnel that a session asks for, until it is open or the session is over."""

from __future__ import annotations

from enum import Enum, auto

from bore.server.custody import Abandoned, Wish
from bore.server.tunnel import Owner
from bore.wire.addressrules import NO_RULES, AddressRules
from bore.wire.publicaddress import PublicAddress


class Outcome(Enum):
    """What becomes of a tunnel whose session is over before the tunnel is open."""

    KEPT = auto()  # the client may come back with its token
    CLOSED = auto()


class Claim:
    """
    A tunnel that a session asks for.

    :ivar owner: the session.
    :ivar address: the public address; 0 for any port.
    :ivar token: the token of a tunnel that the client had; None: it asks for a new one.
    :ivar lasting: whether the client can come back for the tunnel.
    :ivar rules: the tunnel's own rules on the addresses of its visitors.
    :ivar key: the lasting key of the tunnel, which all its sessions show; None: it has none.
    :ivar resumed: whether the token has brought back a tunnel, of this process or another one.
    :ivar wish: what custody is asked for; None: nothing yet.
    :ivar abandoned: the session is over, and what becomes of the tunnel then; None: the session waits for it.
    """

    __slots__ = ("abandoned", "address", "key", "lasting", "owner", "resumed", "rules", "token", "wish")

    def __init__(
        self,
        owner: Owner,
        address: PublicAddress,
        token: str | None,
        rules: AddressRules = NO_RULES,
        lasting: bool = True,
        key: str | None = None,
    ) -> None:
        self.owner = owner
        self.address = address
        self.token = token
        self.rules = rules
        self.lasting = lasting
        self.key = key
        self.resumed = False
        self.wish: Wish | None = None
        self.abandoned: Outcome | None = None

    def checkAwaited(self) -> None:
        """
        Check that the session still waits.

        :raises Abandoned: when it does not.
        """
        if self.abandoned is not None:
            raise Abandoned
