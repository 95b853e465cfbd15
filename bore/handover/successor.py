"""The process that was started to take over."""

from __future__ import annotations

import os
import socket
from collections.abc import MutableMapping, Sequence
from typing import Final

from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure

from bore.client.bequest import inherit, inventoryOf, isReady
from bore.client.estate import Inherited
from bore.client.service import ClientService
from bore.commandline import NotPossible
from bore.events import Event, Sink
from bore.events.client import GaveUp, ServerLost, TookOver, TunnelGivenUp, TunnelUp
from bore.handover.line import Line
from bore.handover.messages import (
    LONGEST,
    Back,
    Bequest,
    End,
    Leaving,
    Message,
    Opened,
    Ready,
    Started,
    Trouble,
    Yours,
    decode,
)
from bore.handover.place import VARIABLE, Belonging
from bore.handover.retirement import Retirement
from bore.relay.interface import DRAIN_TIMEOUT
from bore.startup import IProgramReactor
from bore.system.signals import stop
from bore.wire.errors import WireError
from bore.wire.framing import FrameDecoder

#: How long the first message may take, in seconds.
_TIMEOUT: Final = 10.0

#: How long the predecessor may take to give everything up, in seconds. After that this process is the client anyway.
_PATIENCE: Final = 60.0

#: How long this process waits at its end for the one before it, in seconds: that one has visitors, too.
_LAST: Final = DRAIN_TIMEOUT + 2


class Successor:
    """
    Takes over from the process that has started this one.

    :param environment: of this process; what names the predecessor is removed, as no further process has it.
    :raises bore.commandline.NotPossible: if there is no bequest.
    """

    def __init__(self, reactor: IProgramReactor, sink: Sink, environment: MutableMapping[str, str]) -> None:
        self._reactor = reactor
        self._sink = sink
        self._frames = FrameDecoder(LONGEST)
        try:
            self._socket = socket.socket(fileno=int(environment.pop(VARIABLE)))
            self._socket.set_inheritable(False)
            self._bequest = self._receive()
        except (OSError, ValueError, WireError) as e:
            raise NotPossible(f"the process that has started this one has left nothing to take over: {e}") from e
        self._line: Line | None = None
        self._alone: IDelayedCall | None = None
        self._ended: Deferred[None] | None = None
        self._client: ClientService | None = None
        self._belongings: Sequence[Belonging] = ()
        self._sent: set[Inherited] = set()
        self._looking = self._isReady = self._isLeaving = False
        self.isOwner = False

    def statusSocket(self, address: str) -> socket.socket | None:
        """Return the listening socket of the status port, if it is at this address; close it otherwise."""
        number = self._bequest.statusSocket
        if number < 0:
            return None
        sock = socket.socket(fileno=number)
        sock.set_inheritable(False)
        if address == self._bequest.statusPort:
            return sock
        sock.close()
        return None

    def prepare(self, client: ClientService, belongings: Sequence[Belonging]) -> None:
        """
        Have a client take over what it starts with, and the rest when it is its own.

        :param belongings: what it has to wait for.
        """
        self._client = client
        self._belongings = belongings
        inherit(client, self._bequest.estate)
        self._sink.subscribe(self._happened)
        self._reactor.callWhenRunning(self._start)
        self._reactor.addSystemEventTrigger("before", "shutdown", self._stop)

    def _receive(self) -> Bequest:
        self._socket.settimeout(_TIMEOUT)
        while (frame := self._frames.nextFrame()) is None:
            data = self._socket.recv(1 << 16)
            if not data:
                raise OSError("it is gone")
            self._frames.feed(data)
        message = decode(frame)
        if not isinstance(message, Bequest):
            raise ValueError("it has sent something else")
        return message

    def _start(self) -> None:
        self._alone = self._reactor.callLater(_PATIENCE, self._own)
        self._line = Line(self._reactor, self._socket, self._received, self._lost, self._frames.takeRest())
        self._line.send(Started(os.getpid()))
        self._look()

    def _happened(self, event: Event) -> None:
        match event:
            case TunnelUp() if not self._looking:
                self._looking = True
                self._reactor.callLater(0, self._look)
            case ServerLost(server=server, what=stage, why=why):
                self._send(Trouble(f"{stage.value} {server}: {why}"))
            case TunnelGivenUp(why=why) | GaveUp(why=why):
                self._send(Trouble(why))
            case _:
                pass

    def _look(self) -> None:
        """Send which tunnels have come up, and that all have."""
        assert self._client is not None
        self._looking = False
        if self.isOwner:
            return
        opened = [each for each in inventoryOf(self._client) if each.up and each not in self._sent]
        if opened:
            self._sent.update(opened)
            self._send(Opened(tuple(opened)))
        if not self._isReady and isReady(self._client, self._bequest.estate):
            self._isReady = True
            self._send(Ready())

    def _received(self, message: Message) -> None:
        match message:
            case Yours():
                self._own()
            case Back():
                self._leave()
            case End():
                stop(self._reactor)
            case _:
                pass

    def _own(self) -> None:
        """The predecessor has given up everything, or is gone: be the client."""
        if self.isOwner or self._isLeaving or self._client is None:
            return
        self.isOwner = True
        self._settled()
        self._client.own()
        for each in self._belongings:
            each.take()
        self._sink.emit(TookOver(self._bequest.pid))

    def _leave(self) -> None:
        """The predecessor has its tunnels again."""
        if self._isLeaving or self._client is None:
            return
        self._isLeaving = True
        self._settled()
        self._client.retire(giveBack=False)
        self._send(Leaving())
        Retirement(self._reactor, self._client)

    def _settled(self) -> None:
        if self._alone is not None and self._alone.active():
            self._alone.cancel()

    def _lost(self) -> None:
        """The predecessor is gone."""
        if self._ended is None:
            self._own()
        elif not self._ended.called:
            self._ended.callback(None)

    def _stop(self) -> Deferred[None] | None:
        """
        This process is asked to end, or has no visitor left behind its own successor. In the first case the one before
        it ends, too, and this one later: systemd sends SIGTERM again, or SIGKILL, to what is left of a service when the
        main process has ended.
        """
        client, line = self._client, self._line
        if not self.isOwner or client is None or line is None or not line.isOpen:
            return None
        if client.isIdle and not client.isOwner:
            return None
        line.send(End())
        self._ended = Deferred()
        return self._ended.addTimeout(_LAST, self._reactor).addErrback(_waited)

    def _send(self, message: Message) -> None:
        if self._line is not None:
            self._line.send(message)


def _waited(reason: Failure) -> None:
    """The predecessor takes longer than it should."""
    reason.trap(TimeoutError)
