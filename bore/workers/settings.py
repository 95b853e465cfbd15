"""The settings of a server with worker processes."""

from __future__ import annotations

from bore.wire.values import value


@value
class WorkerSettings:
    """
    The settings of a server with worker processes.

    :ivar count: how many there are.
    :ivar drain: how long running streams may go on in those that were replaced, in seconds.
    """

    count: int = 1
    drain: int = 3600
