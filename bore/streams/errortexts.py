"""The texts of connections' errors, for people."""

from __future__ import annotations

import errno
import os
from typing import Final

from twisted.internet import defer, error

from bore.streams.encryption import TlsError
from bore.streams.resolver import LookupFailed
from bore.streams.unixdial import UnixSocketError

_NO_ANSWER: Final = "it does not answer"
_CUT: Final = "the connection was cut"
_NO_ROUTE: Final = "there is no route to it"
_FORBIDDEN: Final = "this machine does not allow it"

#: Texts for errors of the system whose own texts say less.
_BY_NUMBER: Final = {
    errno.ECONNREFUSED: "connection refused",
    errno.ETIMEDOUT: _NO_ANSWER,
    errno.ECONNRESET: _CUT,
    errno.ECONNABORTED: _CUT,
    errno.EPIPE: _CUT,
    errno.EHOSTUNREACH: _NO_ROUTE,
    errno.ENETUNREACH: _NO_ROUTE,
    errno.EHOSTDOWN: _NO_ROUTE,
    errno.ENETDOWN: "the network is down",
    errno.EACCES: _FORBIDDEN,
    errno.EPERM: _FORBIDDEN,
    errno.EMFILE: "this program has no file descriptors left (ulimit -n)",
    errno.ENFILE: "this machine has no file descriptors left",
    errno.EADDRNOTAVAIL: "this machine has no address or no port left for it",
    errno.ENOBUFS: "this machine has no memory left for it",
    errno.ENOMEM: "this machine has no memory left for it",
}

#: Texts for errors of Twisted and of Python; the first class of an error's method resolution order counts.
_BY_KIND: Final[dict[type[BaseException], str]] = {
    error.ConnectionRefusedError: _BY_NUMBER[errno.ECONNREFUSED],
    error.ConnectionDone: "it closed the connection",
    error.ConnectionLost: _CUT,
    error.ConnectionAborted: _CUT,
    error.TimeoutError: _NO_ANSWER,
    defer.TimeoutError: _NO_ANSWER,
    TimeoutError: _NO_ANSWER,
    error.NoRouteError: _NO_ROUTE,
    error.DNSLookupError: "its name cannot be looked up",
    error.UserError: "it was given up",
    defer.CancelledError: "it was given up",
    BlockingIOError: "it takes nothing",
}


def errorText(why: BaseException | None) -> str:
    """
    The text of an error of a connection: what went wrong, without a number or a tuple.

    The name of a class appears only for an error that is not expected here.
    """
    match why:
        case None:
            return "it is not known why"
        case TlsError() | LookupFailed() | UnixSocketError():
            return str(why)
        case error.ConnectError(osError=int(number)) | OSError(errno=int(number)) if number in _BY_NUMBER:
            return _BY_NUMBER[number]
    for kind in type(why).__mro__:
        if kind in _BY_KIND:
            return _BY_KIND[kind]
    if type(why).__module__.startswith("OpenSSL"):  # which is not loaded without TLS
        return "TLS has failed"
    text = os.strerror(why.osError) if isinstance(why, error.ConnectError) and why.osError else None
    text = text or (why.strerror if isinstance(why, OSError) else None)
    if text:
        return text[:1].lower() + text[1:]
    return str(why) or f"an unexpected error ({type(why).__name__})"
