"""The options of the server about the certificates of clients."""

from __future__ import annotations

from typing import Final

from bore.commandline import UsageError, Values
from bore.option import Option, option
from bore.options import common, values

AUTHORITIES: Final = option(
    "--tls-client-ca",
    "Require client certificates signed by the authorities in this file (PEM); reloaded when it changes",
    values.path,
    "PATH",
    None,
    isFile=True,
)
REVOKED: Final = option(
    "--tls-crl",
    "Refuse client certificates that are revoked by the lists in this file (CRLs, PEM); reloaded when it changes",
    values.path,
    "PATH",
    None,
    isFile=True,
)

#: All of them.
ALL: Final[tuple[Option[object], ...]] = (AUTHORITIES, REVOKED)


def check(found: Values) -> None:
    """
    Check the files.

    :raises UsageError: if one of them cannot be used.
    """
    authorities, revoked = found[AUTHORITIES], found[REVOKED]
    if authorities is None:
        if revoked is not None:
            raise UsageError(
                f"{found.name(REVOKED)} has no effect without {found.name(AUTHORITIES)}, which has clients need "
                "certificates"
            )
        return
    accepted = common.certificates(found, AUTHORITIES, authorities)
    if revoked is None:
        return
    from bore.tls.certificates import BadCredentials
    from bore.tls.clientcertificates import readRevoked

    try:
        readRevoked(revoked, accepted)
    except BadCredentials as e:
        raise UsageError(f"{found.name(REVOKED)}: {e}") from None
