"""Starts the successor: the same command line, in a process that nobody waits for."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Final

from bore.handover.place import VARIABLE
from bore.system.signals import hasTerminal

#: What systemd has set for this process and not for its successor (sd_watchdog_enabled(3), sd_listen_fds(3)).
_OWN: Final = ("WATCHDOG_PID", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")

#: The parent of the successor is what adopts orphans, so that systemd gets SIGCHLD for it. Until it handles SIGUSR2
#: itself, that signal does not end it.
_LAUNCH: Final = """
import os, signal, sys
signal.signal(signal.SIGUSR2, signal.SIG_IGN)
child = os.fork()
if child:
    try:
        os.write(int(sys.argv[1]), b'{"Started": {"pid": %d}}\\0' % child)
    except OSError:  # this process has ended: the successor goes on without it
        pass
    os._exit(0)
os.execv(sys.argv[2], sys.argv[2:])
"""


def ownCommand() -> list[str]:
    """Return the command line of this process, as it was started."""
    return [sys.executable, *sys.orig_argv[1:]]


def launch(
    command: Sequence[str], environment: Mapping[str, str], descriptors: Sequence[int]
) -> tuple[socket.socket, subprocess.Popen[bytes]]:
    """
    Start a successor.

    :param descriptors: what it inherits beside its end of a pair of sockets.
    :returns: our end, and the process that starts it and ends at once.
    :raises OSError: if it cannot be started.
    """
    ours, theirs = socket.socketpair()
    with theirs:
        number = str(theirs.fileno())
        others = {name: text for name, text in environment.items() if name not in _OWN}
        try:
            launcher = subprocess.Popen(  # noqa: S603 - the words are those of this process
                [sys.executable, "-ISc", _LAUNCH, number, *command],
                env=others | {VARIABLE: number},
                pass_fds=[theirs.fileno(), *descriptors],
            )
        except OSError:
            ours.close()
            raise
    return ours, launcher


def whyNot() -> str | None:
    """Return why this process cannot have a successor; None: it can."""
    if hasTerminal() and "NOTIFY_SOCKET" not in os.environ:
        return "on a terminal there is none; end the client, and start it again"
    if os.getpid() == 1:
        return "this is process 1 of a container, which ends with it; start the container again"
    return None
