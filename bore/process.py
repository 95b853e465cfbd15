"""What a process gets from whoever starts it."""

from __future__ import annotations

import contextlib
import gc
import os
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any, Final, cast

#: What loads OpenSSL. Whoever imports one of these at its own import has a way to do without.
_NEED_OPENSSL: Final = ("OpenSSL", "ssl", "_ssl", "_hashlib")


@contextlib.contextmanager
def withoutOpenSSL() -> Iterator[None]:
    """
    Import Twisted and what it needs without OpenSSL, which a plain tunnel does not use.

    That is a third of the memory of its process at rest. The secret's hash has an implementation without it.
    """
    absent = {name for name in _NEED_OPENSSL if name not in sys.modules}
    if find_spec("_sha256") is None and find_spec("_sha2") is None:
        absent.discard("_hashlib")  # this Python has its hashes from OpenSSL alone
    for name in absent:
        sys.modules[name] = cast(ModuleType, None)  # the import system takes it for a module that does not exist
    try:
        yield
    finally:
        for name in absent:
            del sys.modules[name]


def stateFolder(environment: Mapping[str, str] = os.environ) -> Path | None:
    """
    Where a program of this user keeps what it is to remember: what systemd gives it (StateDirectory), else by the XDG
    Base Directory Specification; None if there is no such place.
    """
    folder = environment.get("STATE_DIRECTORY", "").split(":")[0]
    if folder:
        return Path(folder)
    home = environment.get("XDG_STATE_HOME", "")
    if os.path.isabs(home):  # the specification has others ignored
        return Path(home, "txbore")
    try:
        return Path.home() / ".local" / "state" / "txbore"
    except RuntimeError:
        return None


def useMonotonicClock(reactor: object) -> None:
    """
    Have a reactor measure time by the clock that nobody sets; its own is the time of day.

    The time of day is set back (a hardware clock in local time, a virtual machine that is resumed, NTP after the boot),
    and every timer would wait as long as the step, or it is set forward, and all would be due at once.

    :param reactor: what is scheduled already keeps its distance from now.
    """
    base = cast(Any, reactor)
    step = time.monotonic() - base.seconds()
    for call in base.getDelayedCalls():
        call.time += step  # all by the same: their order stays
        call.seconds = time.monotonic
    base.seconds = time.monotonic


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


#: Descriptors that a server keeps for its clients when visitors have taken the others.
FOR_CLIENTS: Final = 64

#: What a client keeps for its control connection, look-ups and files.
FOR_CONTROL: Final = 8


def descriptorsForVisitors(kept: int) -> int:
    """
    How many descriptors visitors may use up; 0: the system does not say.

    :param kept: how many are kept for other things; of few, an eighth.
    """
    if os.name != "posix":
        return 0
    import resource

    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return 0 if limit == resource.RLIM_INFINITY else limit - min(kept, limit // 8)


class BadSocket(Exception):
    """What was passed to this process is no listening TCP socket."""


def inheritedSockets() -> list[socket.socket]:
    """
    The listening sockets that systemd has passed to this process (sd_listen_fds(3)), none elsewhere.

    :raises BadSocket: when one of them is something else.
    """
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return []
    first = 3
    count = int(os.environ.get("LISTEN_FDS", "0"))
    return [_listening(fd) for fd in range(first, first + count)]


def _listening(fd: int) -> socket.socket:
    try:
        sock = socket.socket(fileno=fd)
        if sock.family in (socket.AF_INET, socket.AF_INET6) and sock.getsockopt(
            socket.SOL_SOCKET, socket.SO_ACCEPTCONN
        ):
            return sock
    except OSError:
        pass
    raise BadSocket(f"descriptor {fd}, passed by systemd, is no listening TCP socket: give a ListenStream with a port")
