"""What a process gets from whoever starts it."""

from __future__ import annotations

import contextlib
import gc
import os
import socket
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Final, cast

#: What loads OpenSSL. Whoever imports one of these at its own import has a way to do without.
_NEED_OPENSSL: Final = ("OpenSSL", "ssl", "_ssl", "_hashlib")


@contextlib.contextmanager
def withoutOpenSSL() -> Iterator[None]:
    """
    Import Twisted and what it needs without OpenSSL, which a plain tunnel does not use.

    That is a third of the memory of its process at rest. The secret's hash has an implementation without it.
    """
    absent = [name for name in _NEED_OPENSSL if name not in sys.modules]
    for name in absent:
        sys.modules[name] = cast(ModuleType, None)  # the import system takes it for a module that does not exist
    try:
        yield
    finally:
        for name in absent:
            del sys.modules[name]


def settle() -> None:
    """
    Take everything that was made so far out of the garbage collector's sight: it is there to stay.

    To be called when the program is up.
    """
    gc.collect()
    gc.freeze()


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
    from twisted.python.systemd import ListenFDs

    sockets = [socket.socket(fileno=fd) for fd in ListenFDs.fromEnvironment().inheritedDescriptors()]
    return [sock for sock in sockets if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)]
