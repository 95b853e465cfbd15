"""Errors of OpenSSL, as people understand them."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from typing import Final

from OpenSSL import SSL

from bore.streams.encryption import NotTls, OtherTls, TlsError

NO_TLS: Final = "it does not speak TLS, or not on this port"
_OTHER: Final = "it does not accept bore/1 inside TLS"

#: Errors of OpenSSL in a handshake with a peer that does not use TLS.
_NO_TLS_ERRORS: Final = (
    "wrong version number",
    "packet length too long",
    "http request",
    "record type",
    "record layer",
)

#: Errors of OpenSSL for the usual mistakes, and our texts for these.
_MISTAKES: Final = (
    (("alert protocol version", "unsupported protocol"), "it does not speak TLS 1.3"),
    (("alert certificate required",), "it requires a certificate of the client: give --tls-cert and --tls-key"),
    (("alert certificate revoked",), "it says that our certificate is revoked: its authority issues another one"),
    (
        ("alert certificate expired",),
        "it says that our certificate has expired: renew it, or set the clocks of both machines",
    ),
    (
        ("alert unknown ca", "alert bad certificate", "alert certificate", "alert decrypt error"),
        "it rejects our certificate",
    ),
    (("did not return a certificate",), "it has sent no certificate"),
    (("no application protocol",), _OTHER),
)

#: An error of OpenSSL in the handshake of a server whose client has presented a certificate.
_NOT_VERIFIED: Final = "certificate verify failed"

_UNSIGNED: Final = "no authority in the file of --tls-client-ca has signed its certificate"

#: Why, as codes of SSL_get_verify_result(3).
_WHY_NOT: Final = {
    7: _UNSIGNED,
    9: "its certificate is not valid yet: its clock, or ours, is wrong",
    10: "its certificate has expired",
    18: _UNSIGNED,
    19: _UNSIGNED,
    20: _UNSIGNED,
    21: _UNSIGNED,
    23: "its certificate is revoked",
    26: "its certificate is not made for clients",
}


def mistakeIn(error: SSL.Error) -> str:
    """Return our text for an error of OpenSSL, or its own."""
    reasons = _reasons(error)
    for words, mistake in _MISTAKES:
        if any(word in reason for word in words for reason in reasons):
            return mistake
    return f"TLS has failed: {reasons[0] if reasons else 'OpenSSL gives no reason'}"


def handshakeError(error: SSL.Error, verified: int) -> TlsError:
    """
    Return what an error in a handshake is for the caller.

    :param verified: the result of SSL_get_verify_result(3).
    """
    mistake = mistakeIn(error)
    if any(words in mistake for words in _NO_TLS_ERRORS):
        return NotTls(errno.EPROTO, NO_TLS)
    if mistake == _OTHER:
        return OtherTls(errno.EPROTO, mistake)
    if any(_NOT_VERIFIED in reason for reason in _reasons(error)):
        return TlsError(errno.EPROTO, _WHY_NOT.get(verified, mistake))
    return TlsError(errno.EPROTO, mistake)


def _reasons(error: SSL.Error) -> list[str]:
    details: Sequence[Sequence[str]] = error.args[0] if error.args and isinstance(error.args[0], list) else ()
    return [detail[-1] for detail in details if detail and detail[-1]]
