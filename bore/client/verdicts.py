"""What follows from a failure of the control connection."""

from __future__ import annotations

from typing import Final

from twisted.internet.error import ConnectionClosed

from bore.client.reasons import ExtensionNeeded, ServerNotReading, ServerSilent
from bore.events.client import Verdict
from bore.streams.encryption import TlsError
from bore.tls.errors import CertificateNotCurrent, ServerNotTrusted
from bore.wire.errors import (
    AuthenticationFailed,
    BindFailed,
    NoAnswer,
    NoFreePort,
    PortForbidden,
    PortInUse,
    PortNotAllowed,
    Refusal,
    TooManyInSession,
    TooManyTunnelsFromSource,
    TooManyTunnelsOfUser,
)

#: Only the user can help, as far as this server is concerned.
FINAL: Final = (Verdict.DROP, Verdict.DROP_FOR_GOOD)

#: Failures that do not show that the server itself is gone. A refused connection, for one, does.
_BLIPS: Final = (ServerSilent, ServerNotReading, NoAnswer, ConnectionClosed, OSError)
_NO_BLIPS: Final = (ConnectionRefusedError, TlsError)


def verdictOn(why: BaseException | None, first: bool, wasUp: bool, known: bool) -> Verdict:
    """
    Judge a failure.

    A failure that proves nothing cannot end a client whose tunnel was up: for a moment another machine may have the
    server's address. Wrong dates end none: a clock may be set, or a certificate renewed.

    :param first: whether this was the client's first attempt at this server.
    :param wasUp: whether the client has had a tunnel.
    :param known: whether the peer has shown that it is the server that is meant; without TLS it cannot show that.
    """
    match why:
        case CertificateNotCurrent():
            return Verdict.CLOCK
        case ServerNotTrusted():
            return Verdict.DROP if first and not wasUp else Verdict.UNPROVEN
        case AuthenticationFailed():
            return Verdict.DROP_FOR_GOOD if known or not wasUp else Verdict.UNPROVEN
        case ExtensionNeeded():
            return Verdict.UNPROVEN if wasUp else Verdict.DROP
        case Refusal() if not why.retry:
            return Verdict.LATER
    return Verdict.RETRY


def isLimit(why: BaseException | None) -> bool:
    """Whether a server gives no further tunnel to this client, while it has others."""
    return isinstance(why, TooManyTunnelsFromSource | TooManyTunnelsOfUser | TooManyInSession)


def concernsPort(why: Refusal) -> bool:
    """Whether a server has refused a public port, and not the client."""
    return isinstance(why, PortNotAllowed | PortInUse | PortForbidden | BindFailed | NoFreePort)


def isBlip(why: BaseException | None) -> bool:
    """Whether the network may have caused a failure while the server goes on."""
    return isinstance(why, _BLIPS) and not isinstance(why, _NO_BLIPS)
