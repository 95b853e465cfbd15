"""
Notices to the service manager (sd_notify(3)): the program is ready, what its state is, that it is still alive.

Only imported where there is a service manager that wants them.
"""

from __future__ import annotations

import os
import socket
from array import array
from collections.abc import Mapping, Sequence
from typing import Final

#: The variable with the address of the manager's socket.
VARIABLE: Final = "NOTIFY_SOCKET"


class Notifier:
    """
    Sends notices. Nothing waits, and nothing fails: without a manager they are lost.

    :param address: the path of the manager's socket; with ``@`` in front, a name in the abstract namespace (unix(7)).
    """

    def __init__(self, address: str) -> None:
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | getattr(socket, "SOCK_CLOEXEC", 0))
        self._socket.setblocking(False)

    def send(self, *lines: str, descriptors: Sequence[int] = ()) -> bool:
        """
        Send a notice of several assignments, such as ``READY=1``.

        :param descriptors: go with it (sd_pid_notify_with_fds(3)).
        :returns: whether it need not be sent again: False if the manager has not read earlier ones yet.
        """
        text = "\n".join(line.replace("\n", " ") for line in lines)
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", descriptors))] if descriptors else []
        try:
            self._socket.sendmsg([text.encode(errors="replace")], rights, 0, self._address)
        except BlockingIOError:
            return False
        except (OSError, ValueError):  # there is no manager, or the address has a NUL
            return True
        return True


def watchdogInterval(environment: Mapping[str, str]) -> float | None:
    """
    How often the manager wants a sign of life from this process, in seconds (sd_watchdog_enabled(3)); None: it wants
    none.
    """
    if environment.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    text = environment.get("WATCHDOG_USEC", "")
    return int(text) / 1e6 if text.isdecimal() and int(text) else None
