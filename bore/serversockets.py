"""The listening sockets that the service manager passes to a server, or keeps for it."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING

from bore.commandline import NotPossible
from bore.startup import IProgramReactor

if TYPE_CHECKING:
    from bore.server.keptsockets import KeptSockets
    from bore.server.settings import ServerSettings


def passedSockets() -> list[socket.socket]:
    """
    Return the listening sockets that systemd has passed, to serve as control ports; none elsewhere.

    :raises bore.commandline.NotPossible: if one of them is something else.
    """
    if "LISTEN_PID" not in os.environ:
        return []
    from bore.system.activation import BadSocket, inheritedSockets

    try:
        return inheritedSockets()
    except BadSocket as e:
        raise NotPossible(str(e)) from e


def keptSockets(
    reactor: IProgramReactor, settings: ServerSettings, fresh: bool = False, names: Sequence[str] = ()
) -> KeptSockets | None:
    """
    Return the listening sockets that the service manager keeps for this server; None: it keeps none.

    :param fresh: whether those that it has kept are not wanted.
    :param names: those that it keeps for this process, which has run other code.
    """
    if "NOTIFY_SOCKET" not in os.environ:
        return None
    from bore.system.activation import storedDescriptors

    stored = storedDescriptors()
    if "FDSTORE" not in os.environ and not stored:
        return None
    from bore.server.keptsockets import KeptSockets
    from bore.system.descriptorstore import DescriptorStore, storeSize
    from bore.system.notify import Notifier

    store = DescriptorStore(reactor, Notifier(os.environ["NOTIFY_SOCKET"]), storeSize(os.environ), stored)
    if fresh:
        store.discard()
    store.know(names)
    return KeptSockets(reactor, store, settings)
