"""What a failure means: whether it ends the client, and whether the server may be as it was."""

from __future__ import annotations

from typing import Final

from twisted.internet.error import ConnectionClosed

from bore.client.reasons import NoVisitorAddresses, ServerNotReading, ServerSilent
from bore.streams.sockets import TlsError
from bore.tls.errors import CertificateNotCurrent, ServerNotTrusted
from bore.wire.errors import AuthenticationFailed, NoAnswer

#: What is no sign that the server itself is gone; a connection that is refused, for one, is.
_BLIPS: Final = (ServerSilent, ServerNotReading, NoAnswer, ConnectionClosed, OSError)
_NO_BLIPS: Final = (ConnectionRefusedError, TlsError)


def isFinal(why: BaseException | None, first: bool, wasUp: bool, known: bool) -> bool:
    """
    Whether nothing but the user can help.

    What has proved nothing cannot end a client whose tunnel was up: for a moment somebody else may be at the server's
    address. Dates are no reason to end: a clock may be set, or a certificate renewed.

    :param first: whether this was the client's first attempt at this server.
    :param wasUp: whether the client has had a tunnel.
    :param known: whether the peer has shown to be the server that is meant; without TLS nothing can be shown.
    """
    match why:
        case CertificateNotCurrent():
            return False
        case ServerNotTrusted():
            return first and not wasUp
        case AuthenticationFailed():
            return not wasUp or known
        case NoVisitorAddresses():
            return not wasUp
    return False


def isUnproven(why: BaseException | None) -> bool:
    """Whether a failure that is not final is one that would have been, had it come from the right server for sure."""
    return isinstance(why, AuthenticationFailed | ServerNotTrusted | NoVisitorAddresses)


def isBlip(why: BaseException | None) -> bool:
    """Whether the network may be to blame for what has happened, and the server may be as it was."""
    return isinstance(why, _BLIPS) and not isinstance(why, _NO_BLIPS)
