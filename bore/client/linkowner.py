"""What has links, as each of them sees it."""

from __future__ import annotations

from typing import Protocol, TypeVar

from bore.client.leftovers import Leftovers
from bore.client.tunnel import Tunnel
from bore.events.client import Stage

#: A kind of link.
L = TypeVar("L", contravariant=True)


class LinkOwner(Protocol[L]):
    """
    Has links.

    :ivar leftovers: the tunnels that have to be given back in the next session.
    """

    leftovers: Leftovers

    def foundBase(self, link: L, others: list[Tunnel]) -> None:
        """The server of a link is of the base protocol: all its tunnels but one need links of their own."""

    def foundExtended(self, link: L) -> None:
        """The server of a link knows the extension: a session can have any number of tunnels."""

    def named(self, link: L) -> None:
        """The server of a link has named the other nodes of its cluster."""

    def opening(self, link: L) -> None:
        """A tunnel of a link comes up."""

    def lost(self, link: L, stage: Stage, why: BaseException | None) -> bool:
        """
        A session of a link was lost, or an attempt has failed.

        :param stage: how far it had come.
        :param why: the reason; None: the server has given the session away.
        :returns: whether the owner has stopped the link, as others have its tunnels; else it makes another attempt.
        """

    def gaveUp(self, tunnel: Tunnel, why: Exception) -> None:
        """No further attempt is made to open a tunnel."""
