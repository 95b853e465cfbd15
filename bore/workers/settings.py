"""The settings of a server with worker processes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """
    The settings of a server with worker processes.

    :ivar count: how many there are.
    :ivar drain: how long running streams may go on in those that were replaced, in seconds.
    """

    count: int = 1
    drain: int = 3600
