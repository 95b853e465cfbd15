"""The type of the reactor."""

from __future__ import annotations

from twisted.internet.interfaces import IReactorFDSet, IReactorFromThreads, IReactorTCP, IReactorTime


class IReactor(IReactorTime, IReactorFDSet, IReactorTCP, IReactorFromThreads):
    """
    A reactor with timers, descriptors, connections and calls from threads.

    All reactors of Twisted that watch descriptors have them (epoll, kqueue, poll, select, and asyncio's on a selector
    loop), but Twisted has no single type for them. The entry points cast theirs once.
    """
