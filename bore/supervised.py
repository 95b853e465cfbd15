"""A program that a service manager has started, which wants to know its state (sd_notify(3))."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial

from twisted.application.service import IService

from bore.events import Sink
from bore.programservice import ProgramService
from bore.startup import IProgramReactor
from bore.status.notices import Notices
from bore.system.notify import VARIABLE, Notifier, watchdogInterval


def supervised(
    reactor: IProgramReactor,
    sink: Sink,
    service: IService,
    reload: Callable[[], object],
    status: Callable[[], str],
    alive: Callable[[], bool],
) -> ProgramService:
    """See :func:`withNotices`."""
    return withNotices(reactor, sink, service, reload, status, alive)[0]


def withNotices(
    reactor: IProgramReactor,
    sink: Sink,
    service: IService,
    reload: Callable[[], object],
    status: Callable[[], str],
    alive: Callable[[], bool],
    waits: bool = False,
) -> tuple[ProgramService, Notices]:
    """
    Have the manager know when a program has started, reloads and stops, and that it lives.

    :param reload: has the program read its files again.
    :param status: returns its state in one line.
    :param waits: whether another process is the one that the manager listens to, at first.
    :param alive: returns whether all of it works that has to work always.
    """
    notifier = Notifier(os.environ[VARIABLE])
    notices = Notices(reactor, sink, notifier, status, alive, watchdogInterval(os.environ), waits)
    started = (lambda: None) if waits else partial(reactor.callWhenRunning, notices.ready)
    return ProgramService(service, partial(notices.reload, reload), started), notices
