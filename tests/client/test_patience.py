"""Dialling without descriptors."""

from __future__ import annotations

import errno
import os
import socket
from typing import NoReturn, cast

from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from bore.client.patience import Patience
from bore.streams.dial import Dialer
from bore.streams.resolver import LookupFailed, addressesOf


class ScarceDialer:
    """
    Makes no connections, and has descriptors only at times.

    :ivar code: why it fails; 0: it does not.
    :ivar under: dials that are under way; None: they succeed at once.
    """

    patience = 0.0

    def __init__(self, code: int) -> None:
        self.code = code
        self.count = 0
        self.under: list[Deferred[socket.socket]] | None = None
        self.socket = socket.socket()

    def dial(self, sendsFirst: bool = False) -> socket.socket | Deferred[socket.socket]:
        self.count += 1
        if self.code:
            return fail(OSError(self.code, os.strerror(self.code)))
        if self.under is None:
            return self.socket
        self.under.append(Deferred())
        return self.under[-1]


class LooksUp:
    """Has no descriptor for its look-up the first time."""

    patience = 0.0

    def __init__(self, trouble: LookupFailed, dialer: ScarceDialer) -> None:
        self._results = [fail(trouble), dialer.dial()]

    def dial(self, sendsFirst: bool = False) -> socket.socket | Deferred[socket.socket]:
        return self._results.pop(0)


class PatienceTests(SynchronousTestCase):
    """A dial for which there is no descriptor."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.free = 0
        self.asked = 0
        self.patience = Patience(self.clock, self.giveWay)

    def tearDown(self) -> None:
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def giveWay(self) -> bool:
        self.asked += 1
        self.free -= 1
        return self.free >= 0

    def dialer(self, code: int = 0) -> ScarceDialer:
        dialer = ScarceDialer(code)
        self.addCleanup(dialer.socket.close)
        return dialer

    def dial(self, dialer: ScarceDialer) -> Deferred[socket.socket]:
        dialled = self.patience.dial(dialer)
        assert isinstance(dialled, Deferred)
        return dialled

    def test_whatSucceedsAtOnceIsGivenAtOnce(self) -> None:
        dialer = self.dialer()
        self.assertIs(self.patience.dial(dialer), dialer.socket)

    def test_itWaitsForADescriptor(self) -> None:
        for code in (errno.EMFILE, errno.ENFILE):
            dialer = self.dialer(code)
            dialled = self.dial(dialer)
            self.clock.pump([0.1] * 50)
            self.assertNoResult(dialled)
            self.assertLess(dialer.count, 60)
            dialer.code = 0
            self.clock.advance(0.1)
            self.assertIs(self.successResultOf(dialled), dialer.socket)

    def test_itWaitsForOneForALookUp(self) -> None:
        def noDescriptor(*unused: object, **unusedToo: object) -> NoReturn:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

        self.patch(socket, "getaddrinfo", noDescriptor)
        trouble = self.assertRaises(LookupFailed, addressesOf, "example.com")
        dialer = self.dialer()
        dialled = self.patience.dial(cast(Dialer, LooksUp(trouble, dialer)))
        assert isinstance(dialled, Deferred)
        self.assertNoResult(dialled)
        self.clock.advance(0.1)
        self.assertIs(self.successResultOf(dialled), dialer.socket)

    def test_notForLongerThanAVisitorDoes(self) -> None:
        dialled = self.dial(self.dialer(errno.EMFILE))
        self.clock.pump([0.1] * 98)
        self.assertNoResult(dialled)
        self.clock.pump([0.1] * 4)
        self.assertEqual(self.failureResultOf(dialled, OSError).value.errno, errno.EMFILE)

    def test_anIdleLaneGivesWay(self) -> None:
        dialer = self.dialer(errno.EMFILE)
        self.free = 1
        dialled = self.dial(dialer)
        dialer.code = 0
        self.clock.advance(0)
        self.assertIs(self.successResultOf(dialled), dialer.socket)

    def test_otherTroubleIsTold(self) -> None:
        dialled = self.dial(self.dialer(errno.ECONNREFUSED))
        self.failureResultOf(dialled, ConnectionRefusedError)
        self.assertEqual(self.asked, 0)

    def test_troubleOfALaterAttemptIsTold(self) -> None:
        dialer = self.dialer(errno.EMFILE)
        dialled = self.dial(dialer)
        dialer.code = errno.ECONNREFUSED
        self.clock.advance(0.1)
        self.failureResultOf(dialled, ConnectionRefusedError)

    def test_whatIsCancelledIsNotTriedAgain(self) -> None:
        dialer = self.dialer(errno.EMFILE)
        dialled = self.dial(dialer)
        dialled.cancel()
        self.failureResultOf(dialled, CancelledError)
        self.clock.advance(1)
        self.assertEqual(dialer.count, 1)

    def test_aLaterAttemptIsCancelled(self) -> None:
        dialer = self.dialer(errno.EMFILE)
        dialled = self.dial(dialer)
        dialer.code, dialer.under = 0, []
        self.clock.advance(0.1)
        [under] = dialer.under
        dialled.cancel()
        self.assertTrue(under.called)
        self.failureResultOf(dialled, CancelledError)
