"""Which backend the relay has on this machine."""

from __future__ import annotations

import os
import select
import sys

from twisted.logger import Logger

from bore.relay.interface import Relay
from bore.relay.portable import PortableRelay
from bore.streams.reactor import IReactor

_log = Logger()


def makeRelay(reactor: IReactor, halfOpenTimeout: float, descriptors: int = 0, *, portable: bool = False) -> Relay:
    """
    Make the relay: with splice where the system has splice and epoll, as Linux does; the portable one elsewhere.

    :param descriptors: how many descriptors visitors may leave in use; 0: any number.
    :param portable: whether to do without splice everywhere.
    """
    if not portable:
        if sys.platform == "linux" and hasattr(os, "splice") and hasattr(select, "epoll"):
            from bore.relay.lanes import LaneRelay

            return LaneRelay(reactor, halfOpenTimeout, descriptors)
        _log.info("this system has no splice or no epoll: bytes are moved through the program's memory")
    return PortableRelay(reactor, halfOpenTimeout)
