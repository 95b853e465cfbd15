"""The settings of the admin socket and of the status port."""

from __future__ import annotations

from pathlib import Path

from bore.wire.values import value


@value
class AdminSettings:
    """
    The settings of the admin socket.

    :ivar path: the path of the socket that the user has given; None: it has a name of its own in ``folder``.
    :ivar folder: the runtime directory.
    :ivar group: the number of the group whose members may use it; None: only the user may, and root.
    """

    path: Path | None
    folder: Path
    group: int | None = None


@value
class StatusPortSettings:
    """
    The settings of the status port.

    :ivar host: the IP address that it listens on.
    :ivar port: its number; 0: chosen by the system.
    :ivar tokenFile: the file with the tokens, one of which a request must have; None: none is needed.
    :ivar tunnelMetrics: whether there are metrics of single tunnels and users.
    """

    host: str
    port: int
    tokenFile: Path | None = None
    tunnelMetrics: bool = True
