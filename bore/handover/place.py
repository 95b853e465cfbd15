"""
The place of a process in the row of those that a client has had, and what changes hands.

Also imported by a client that has neither a predecessor nor a successor.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple, Protocol

#: The variable with the number of the descriptor that connects a successor with its predecessor.
VARIABLE: Final = "TXBORE_PREDECESSOR"


class Listening(NamedTuple):
    """
    A listening socket that a successor inherits.

    :ivar address: where it listens, as the settings have it.
    """

    address: str
    descriptor: int


class Belonging(Protocol):
    """A part of the program that only one of the two processes can have."""

    def hold(self) -> None:
        """A successor was started: change nothing that it cannot know of."""

    def keep(self) -> None:
        """The successor has failed."""

    def give(self, pid: int) -> bool:
        """
        Let the successor have it.

        :param pid: the successor.
        :returns: whether it was given; else it is tried again.
        """

    def take(self) -> None:
        """The predecessor has given it: have it from now on."""


def isSuccessor(environment: Mapping[str, str]) -> bool:
    """Return whether a process has a predecessor."""
    return VARIABLE in environment
