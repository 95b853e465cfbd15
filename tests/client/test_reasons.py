"""What people read when something went wrong with a connection."""

from __future__ import annotations

import errno
import os
import re
import socket

from OpenSSL import SSL
from twisted.internet import defer, error
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from bore.client.reasons import describe
from bore.streams.encryption import TlsError
from bore.streams.resolver import LookupFailed
from bore.wire.errors import ClientHasNoSecret, FrameTooLong, InvalidSecret, ServerHasNoSecret


def numbered(number: int) -> OSError:
    return OSError(number, os.strerror(number))


class WordsTests(SynchronousTestCase):
    """The texts of all errors."""

    def test_eachKindHasItsWords(self) -> None:
        for why, text in (
            (numbered(errno.ECONNREFUSED), "connection refused"),
            (error.ConnectionRefusedError(), "connection refused"),
            (error.getConnectError((errno.ECONNREFUSED, "x")), "connection refused"),
            (error.ConnectError(errno.EHOSTUNREACH, "x"), "there is no route to it"),
            (numbered(errno.ENETUNREACH), "there is no route to it"),
            (numbered(errno.ETIMEDOUT), "it does not answer"),
            (error.TimeoutError(), "it does not answer"),
            (TimeoutError(), "it does not answer"),
            (error.ConnectionDone(), "it closed the connection"),
            (error.ConnectionLost(), "the connection was cut"),
            (error.ConnectionAborted(), "the connection was cut"),
            (numbered(errno.ECONNRESET), "the connection was cut"),
            (numbered(errno.EMFILE), "this program has no file descriptors left (ulimit -n)"),
            (numbered(errno.EADDRNOTAVAIL), "this machine has no address or no port left for it"),
            (LookupFailed("the name x does not exist"), "the name x does not exist"),
            (error.DNSLookupError("x"), "its name cannot be looked up"),
            (TlsError(errno.EPROTO, "it does not speak TLS 1.3"), "it does not speak TLS 1.3"),
            (
                InvalidSecret(),
                "server error: invalid secret: give the client the server's secret, as with --secret-file FILE",
            ),
            (
                ClientHasNoSecret(),
                f"{ClientHasNoSecret.text}: give the client the server's secret, as with --secret-file FILE",
            ),
            (
                ServerHasNoSecret(),
                f"{ServerHasNoSecret.text}: omit the secret of the client, or give it to the server as well",
            ),
            (FrameTooLong("a frame is too long"), "a frame is too long"),
            (error.UserError(), "it was given up"),
            (BlockingIOError("x"), "it takes nothing"),
            (SSL.Error([("SSL routines", "", "internal error")]), "TLS has failed"),
            (ZeroDivisionError(), "an unexpected error (ZeroDivisionError)"),
            (None, "it is not known why"),
        ):
            self.assertEqual(describe(why), text)

    def test_theTimeoutOfADeferredIsNoTuple(self) -> None:
        clock = Clock()
        late = defer.Deferred[None]().addTimeout(10, clock)
        clock.advance(11)
        self.assertEqual(describe(self.failureResultOf(late).value), "it does not answer")

    def test_noErrorOfTheSystemShowsItsNumber(self) -> None:
        for number in errno.errorcode:
            for why in (numbered(number), error.getConnectError((number, os.strerror(number)))):
                text = describe(why)
                self.assertNotRegex(text, re.compile(r"errno|\[|\d\d:|An error occurred", re.IGNORECASE), repr(why))

    def test_anAddressWhoseInterfaceDoesNotExistIsDescribed(self) -> None:
        with self.assertRaises(OSError) as caught:
            socket.getaddrinfo("fe80::1%nowhere", 80, flags=socket.AI_NUMERICHOST)
        self.assertNotIn("[", describe(caught.exception))
