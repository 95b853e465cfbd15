"""What this program needs of a reactor."""

from __future__ import annotations

from twisted.internet.interfaces import IReactorFDSet, IReactorFromThreads, IReactorTCP, IReactorTime


class IReactor(IReactorTime, IReactorFDSet, IReactorTCP, IReactorFromThreads):
    """
    Time, descriptors, connections and calls from threads.

    Every reactor that watches descriptors has all of it (epoll, kqueue, poll, select, and asyncio's on a selector
    loop); no Twisted type says so in one word. The entry points cast theirs once.
    """
