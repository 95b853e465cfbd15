"""What a process gets from whoever starts it."""

from __future__ import annotations

import os
import socket

from twisted.python.systemd import ListenFDs


def raiseDescriptorLimit() -> None:
    """
    Allow as many descriptors as the system lets us have.

    The usual soft limit of 1024 is there for programs that use select(2); each visitor takes two descriptors.
    """
    if os.name == "posix":
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft != hard:
            try:
                resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            except (OSError, ValueError):
                # macOS has further limits; what there is has to do.
                return


def inheritedSockets() -> list[socket.socket]:
    """The listening sockets that systemd has passed to this process (sd_listen_fds(3)), none elsewhere."""
    sockets = [socket.socket(fileno=fd) for fd in ListenFDs.fromEnvironment().inheritedDescriptors()]
    return [sock for sock in sockets if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)]
