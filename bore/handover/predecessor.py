"""The process that has the tunnels, and starts its successor."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Final

from bore.client.bequest import estateOf, learn
from bore.client.estate import Inherited
from bore.client.reasons import NotMovable
from bore.client.service import ClientService
from bore.events import Event, Sink
from bore.events.client import (
    HandedOver,
    HandoverBegun,
    HandoverFailed,
    HandoverIgnored,
    ServerLost,
    ServerMoved,
    Stage,
)
from bore.handover.heir import PATIENCE, Heir
from bore.handover.messages import Bequest, End, Yours
from bore.handover.place import Belonging, Listening
from bore.handover.retirement import DRAIN, Retirement
from bore.handover.start import ownCommand
from bore.startup import IProgramReactor
from bore.system.signals import stop

#: What could not be given is tried again after this time, in seconds.
_AGAIN: Final = 0.1


class Predecessor:
    """
    Starts successors of this process, one at a time, until one has taken over.

    :param client: has the tunnels.
    :param belongings: what else changes hands, in this order.
    :param listening: returns the sockets that a successor inherits.
    :param whyNot: returns why there can be no successor here; None: there can.
    :ivar command: returns the command line of a successor.
    :ivar patience: how long it has until all tunnels are up, in seconds.
    """

    def __init__(
        self,
        reactor: IProgramReactor,
        sink: Sink,
        client: ClientService,
        belongings: Sequence[Belonging],
        listening: Callable[[], Listening | None],
        whyNot: Callable[[], str | None],
    ) -> None:
        self._reactor = reactor
        self._sink = sink
        self._client = client
        self._belongings = belongings
        self._listening = listening
        self._whyNot = whyNot
        self._heir: Heir | None = None
        self._given = 0  # the process that has taken over
        self._stopping = False
        self.command: Callable[[], Sequence[str]] = ownCommand
        self.patience = PATIENCE
        sink.subscribe(self._happened)
        reactor.addSystemEventTrigger("before", "shutdown", self._stop)

    def begin(self) -> None:
        """Start a successor, if there can be one."""
        try:
            self._check()
            estate, listening = estateOf(self._client), self._listening()
        except NotMovable as e:
            self._sink.emit(HandoverIgnored(str(e)))
            return
        try:
            descriptors = [] if listening is None else [listening.descriptor]
            heir = self._heir = Heir(self._reactor, self.command(), descriptors, self, self.patience)
        except OSError as e:
            self._sink.emit(HandoverFailed(f"it cannot be started: {e.strerror or e}"))
            return
        self._client.lend()
        for each in self._belongings:
            each.hold()
        heir.bequeath(Bequest(os.getpid(), estate, *(("", -1) if listening is None else listening)))
        self._sink.emit(HandoverBegun())

    def _check(self) -> None:
        why = self._whyNot()
        if why is not None:
            raise NotMovable(why)
        if self._given:
            raise NotMovable(f"process {self._given} has taken over from this one")
        if not self._client.isOwner:
            raise NotMovable("another process of this client has the tunnels")
        if self._heir is not None:
            raise NotMovable("one is being started")
        if self._stopping:
            raise NotMovable("the client stops")

    def opened(self, heir: Heir, tunnels: Sequence[Inherited]) -> None:
        """See :class:`bore.handover.heir.Testator`."""
        if heir is self._heir:
            learn(self._client, tunnels)

    def ready(self, heir: Heir) -> None:
        """See :class:`bore.handover.heir.Testator`: give it all that is left."""
        if heir is not self._heir or self._given:
            return
        if not self._belongings or self._belongings[0].give(heir.pid):
            self._give(heir)
        else:
            self._reactor.callLater(_AGAIN, self.ready, heir)

    def _give(self, heir: Heir) -> None:
        self._given = heir.pid
        self._client.retire(giveBack=True)
        for each in self._belongings[1:]:
            each.give(heir.pid)
        heir.settle(Yours())
        visitors = self._client.parts.visitors
        self._sink.emit(HandedOver(heir.pid, 0 if visitors is None else visitors.count, DRAIN))
        Retirement(self._reactor, self._client)

    def failed(self, heir: Heir, why: str) -> None:
        """See :class:`bore.handover.heir.Testator`: go on as if nothing had been."""
        if heir is not self._heir or self._given or self._stopping:
            return
        self._heir = None
        heir.dismiss()
        self._sink.emit(HandoverFailed(why))
        self._client.takeBack()
        for each in self._belongings:
            each.keep()

    def ended(self, heir: Heir) -> None:
        """See :class:`bore.handover.heir.Testator`: end, too."""
        if heir is self._heir and self._given:
            stop(self._reactor)

    def _happened(self, event: Event) -> None:
        """A session that is lost meanwhile would be made again by both."""
        lost = isinstance(event, ServerMoved) or (isinstance(event, ServerLost) and event.what is Stage.TUNNEL)
        if lost and self._heir is not None and not self._given:
            self._reactor.callLater(0, self.failed, self._heir, "the connection to the server was lost meanwhile")

    def _stop(self) -> None:
        """This process ends: a successor that is not the client yet has to end, too."""
        self._stopping = True
        if self._heir is not None and not self._given:
            self._heir.settle(End())
