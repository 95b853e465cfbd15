"""What the users of both ends decide about TLS. OpenSSL is not loaded here: a tunnel without TLS has settings, too."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bore.wire.values import value

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

    from bore.tls.certificates import Credentials


@value
class ClientTls:
    """
    How a client uses TLS.

    :ivar authorities: the only authorities that may have signed the server's certificate; None: the system's
        authorities, or what is known of the server.
    :ivar fingerprint: the fingerprint of the server's key; None: see above.
    :ivar credentials: the certificate for servers that require one; None: there is none.
    :ivar knownServers: the file with the keys of known servers; None: there is no directory for it.
    :ivar pins: what the server is known by, from the line of an invitation; none: see above.
    :ivar lasting: whether new servers, and keys that servers announce, are written down; else they are known for this
        run only.
    """

    authorities: tuple[Certificate, ...] | None = None
    fingerprint: str | None = None
    credentials: Credentials | None = None
    knownServers: Path | None = None
    pins: tuple[str, ...] = ()
    lasting: bool = True


@value
class ServerTls:
    """
    How a server uses TLS.

    :ivar port: the TLS port beside the plain control port; None: the control port itself requires TLS.
    :ivar certificate: a PEM file with the certificate; None: the server makes its own.
    :ivar key: a PEM file with its key; None: the file of the certificate has it.
    :ivar clients: a PEM file with the authorities for the certificates of clients; None: clients need no certificate.
    :ivar revoked: a PEM file with lists of certificates of clients that are revoked; None: there is none.
    :ivar folder: the directory for the server's own certificate; None: there is none.
    """

    port: int | None = None
    certificate: Path | None = None
    key: Path | None = None
    clients: Path | None = None
    folder: Path | None = None
    revoked: Path | None = None
