"""Makes the control connection, and makes it again when it is lost."""

from __future__ import annotations

from typing import Any, cast
from typing import Protocol as Interface

from twisted.internet.interfaces import IAddress, IConnector
from twisted.internet.protocol import Protocol, ReconnectingClientFactory
from twisted.python.failure import Failure

from bore.streams.reactor import IReactor


class Attempts(Interface):
    """What decides about the attempts to connect."""

    def connecting(self) -> None:
        """An attempt begins."""

    def makeControl(self) -> Protocol:
        """A connection was made: give its protocol."""

    def failed(self, why: BaseException | None) -> None:
        """An attempt has failed."""

    def lost(self, why: BaseException | None) -> None:
        """A connection was lost."""


class ControlFactory(ReconnectingClientFactory):
    """
    Connects again and again.

    The base class waits between two attempts, and ends that when it is stopped. How long it waits is decided by a
    :class:`bore.client.retry.RetryPolicy`, so that its own growth and jitter are off.

    :param attempts: decides about the attempts.
    """

    noisy = False
    factor = 1.0
    jitter = 0.0

    def __init__(self, reactor: IReactor, attempts: Attempts) -> None:
        self.clock = cast(Any, reactor)  # the base class asks for more of a reactor than it uses
        self._attempts = attempts

    def startedConnecting(self, connector: IConnector) -> None:
        self.connector = connector
        self._attempts.connecting()

    def buildProtocol(self, addr: IAddress | None) -> Protocol:
        return self._attempts.makeControl()

    def clientConnectionFailed(self, connector: IConnector, reason: Failure) -> None:
        self.connector = connector
        self._attempts.failed(reason.value)

    def clientConnectionLost(self, connector: IConnector, unused_reason: Failure) -> None:
        self.connector = connector
        self._attempts.lost(unused_reason.value)

    @property
    def waits(self) -> bool:
        """Whether the time until the next attempt runs."""
        return self._callID is not None and self._callID.active()

    def opened(self) -> None:
        """The tunnel is up: forget the attempts that have failed, unless the factory was stopped."""
        if self.continueTrying:
            ReconnectingClientFactory.resetDelay(self)

    def stop(self) -> None:
        """Make no further attempt, and end the one that is under way."""
        ReconnectingClientFactory.stopTrying(self)

    def retryIn(self, seconds: float) -> None:
        """Make an attempt after this time."""
        self.delay = seconds
        ReconnectingClientFactory.retry(self)

    def retryNow(self) -> None:
        """Make an attempt at once."""
        assert self.connector is not None
        self.connector.connect()

    def hurry(self) -> bool:
        """Make the attempt at once that is waited for; returns whether there is one."""
        waiting = self._callID
        if waiting is None or not waiting.active():
            return False
        waiting.reset(0)
        return True

    def stopConnecting(self) -> None:
        """
        End the attempt that is under way.

        :raises twisted.internet.error.NotConnectingError: if there is none.
        """
        assert self.connector is not None
        self.connector.stopConnecting()
