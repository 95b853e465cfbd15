"""Which backend the relay has on this system."""

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
    Make the relay: with splice where the system has splice and epoll, as Linux does; else the portable one.

    :param halfOpenTimeout: see :class:`bore.relay.pairs.PairRelay`.
    :param descriptors: the limit of descriptors for visitors; 0: none.
    :param portable: whether to make the portable one in any case.
    """
    if not portable:
        if sys.platform == "linux" and hasattr(os, "splice") and hasattr(select, "epoll"):
            from bore.relay.lanes import LaneRelay

            return LaneRelay(reactor, halfOpenTimeout, descriptors)
        _log.info("this system has no splice or no epoll: bytes are moved by read and write, which takes more CPU")
    return PortableRelay(reactor, halfOpenTimeout)
