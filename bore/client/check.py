"""The end-to-end check: the client visits its own public port."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from typing import Final

from twisted.internet.defer import CancelledError, Deferred, TimeoutError
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from bore.client.reasons import describe
from bore.client.tunnel import Tunnel
from bore.events import Sink
from bore.events.client import CheckFailed
from bore.streams.dial import TcpDialer
from bore.streams.reactor import IReactor
from bore.wire.limits import ACCEPT_TIMEOUT

#: The number of checks that have to fail in a row before the client acts on it.
_PATIENCE: Final = 3


class Check:
    """
    Connects to the public port at an interval, and sees whether a visitor comes through.

    Any visitor that comes meanwhile proves as much as the check's own: the tunnel works.

    :param seconds: the interval, and the longest time that one check may take.
    :param public: dials the public port.
    :param tunnel: the tunnel that is checked.
    :param passed: called after each check that has succeeded.
    :param failed: called with the last reason when three in a row have failed.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: IReactor,
        seconds: float,
        public: TcpDialer,
        tunnel: Tunnel,
        sink: Sink,
        passed: Callable[[], None],
        failed: Callable[[str], None],
    ) -> None:
        self._reactor = reactor
        self._timeout = min(seconds, ACCEPT_TIMEOUT)
        self._public = public
        self._tunnel = tunnel
        self._sink = sink
        self._passed = passed
        self._failed = failed
        self._failures = 0
        self._running: Deferred[None] | None = None
        self._loop = LoopingCall(self._once)
        self._loop.clock = reactor
        self._loop.start(seconds, now=False).addErrback(self._broken)

    def _broken(self, reason: Failure) -> None:
        self._log.failure("the public port is not checked any more", reason)

    def stop(self) -> None:
        """End the checks."""
        if self._loop.running:
            self._loop.stop()
        if self._running is not None:
            self._running.cancel()

    def _once(self) -> Deferred[None]:
        running = Deferred.fromCoroutine(self._visit()).addTimeout(self._timeout, self._reactor)
        self._running = running.addCallbacks(self._succeeded, self._noted)
        return self._running

    async def _visit(self) -> None:
        came: Deferred[None] = Deferred()
        self._tunnel.witness = lambda: None if came.called else came.callback(None)
        try:
            dialling = self._public.dial()
            sock: socket.socket = await dialling if isinstance(dialling, Deferred) else dialling
            try:
                await came
            except CancelledError:
                if self._turnedAway(sock):
                    return  # the server answers, and the tunnel has as many visitors as it may
                raise
            finally:
                sock.close()
        finally:
            self._tunnel.witness = None

    def _turnedAway(self, sock: socket.socket) -> bool:
        """Whether the server has closed the visit because the tunnel is full."""
        try:
            return self._tunnel.visitors > 0 and not sock.recv(1)
        except OSError as e:
            return e.errno == errno.ECONNRESET

    def _succeeded(self, _: None) -> None:
        self._running = None
        if self._loop.running:
            self._failures = 0
            self._passed()

    def _noted(self, reason: Failure) -> None:
        self._running = None
        if reason.check(CancelledError) or not self._loop.running:
            return
        text = "no visitor came through" if reason.check(TimeoutError) else describe(reason.value)
        self._failures += 1
        self._sink.emit(CheckFailed(self._tunnel.name, self._failures, _PATIENCE, text, self._tunnel.label))
        if self._failures == _PATIENCE:
            self.stop()
            self._failed(text)
