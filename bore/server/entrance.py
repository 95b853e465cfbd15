"""Where visitors come in: what a tunnel and its entrance see of each other."""

from __future__ import annotations

import socket
from typing import Protocol

from bore.streams.addresses import SocketAddress
from bore.wire.publicaddress import PublicAddress


class EntranceUser(Protocol):
    """The tunnel that receives the visitors of an entrance."""

    def mayAccept(self) -> bool:
        """Whether there is room for one more visitor; if not, the entrance is paused already."""

    def visitorCame(self, sock: socket.socket, address: SocketAddress, early: bytes = b"") -> None:
        """
        Take a visitor.

        :param sock: its stream; it does not block, and belongs to the tunnel from now on.
        :param address: its address.
        :param early: bytes that were read from it to find out which tunnel it wants.
        """


class Entrance(Protocol):
    """
    Where the visitors of one tunnel come in.

    A closed entrance brings no visitor. While it is paused it brings none either, and holds those that come, within a
    bound, or has the kernel hold them.
    """

    @property
    def address(self) -> PublicAddress:
        """The public address."""

    def open(self, tunnel: EntranceUser) -> None:
        """Bring visitors to a tunnel from now on. Called once."""

    def pause(self) -> None:
        """Bring no visitors for a while. May be called twice."""

    def resume(self) -> None:
        """Bring visitors again."""

    def release(self) -> None:
        """Bring no visitors any more, and have another entrance bring them: the kernel holds those that come."""

    def finish(self) -> None:
        """Bring the visitors that wait in the kernel already, and then give the public address back."""

    def close(self) -> None:
        """Give the public address back. May be called before the entrance was opened."""
