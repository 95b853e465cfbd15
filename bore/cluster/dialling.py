"""Connections to the servers of an engine, plain or inside TLS."""

from __future__ import annotations

from typing import Final

from twisted.internet.interfaces import IStreamClientEndpoint

from bore.cluster.engine import EngineAway, EngineRefuses
from bore.cluster.url import EngineServer, EngineTls
from bore.streams.dial import TcpDialer
from bore.streams.endpoint import DialerEndpoint
from bore.streams.errortexts import errorText
from bore.streams.reactor import IReactor

#: The longest answer that is taken, in bytes: a thousand nodes have half of it.
MAX_ANSWER: Final = 1 << 20

#: What is said of a longer one.
TOO_LONG: Final = f"its answer has more than {MAX_ANSWER >> 20} MiB"

#: Errors of OpenSSL, and our texts for them; :mod:`bore.tls.mistakes` has more.
_MISTAKES: Final = (
    ("certificate verify failed", "its certificate is not signed by an authority that is trusted, or has expired"),
    ("alert certificate required", "it requires a certificate of ours: give cert= and key= in the URL"),
    ("alert bad certificate", "it rejects our certificate, or requires one: give cert= and key= in the URL"),
    ("wrong version number", "it does not speak TLS, or not on this port"),
)


def engineEndpoint(reactor: IReactor, server: EngineServer, tls: EngineTls | None) -> IStreamClientEndpoint:
    """
    Make what connects to a server of the engine.

    Inside TLS (1.2 or later) its certificate, and its name or address with it, are verified in the handshake, which
    begins when the endpoint has connected: a wrong one is the reason of ``connectionLost``. Files with certificates are
    read now: make a new endpoint for each connection, and it uses those that are there then.

    :param tls: how TLS is used; None: not at all.
    :raises bore.tls.certificates.BadCredentials: when a file with certificates cannot be used.
    """
    plain = DialerEndpoint(reactor, TcpDialer(reactor, *server))
    return plain if tls is None else _encrypted(reactor, plain, server.host, tls)


def _encrypted(reactor: IReactor, plain: IStreamClientEndpoint, host: str, tls: EngineTls) -> IStreamClientEndpoint:
    from OpenSSL.crypto import X509
    from twisted.internet.endpoints import wrapClientTLS
    from twisted.internet.ssl import Certificate, optionsForClientTLS, trustRootFromCertificates

    from bore.tls.certificates import readAuthorities, readCredentials

    trusted = None
    if tls.authorities is not None:
        found = readAuthorities(tls.authorities)
        trusted = trustRootFromCertificates([Certificate(X509.from_cryptography(each)) for each in found])
    own = {}
    if tls.certificate is not None and tls.key is not None:
        credentials = readCredentials(tls.certificate, tls.key)
        first, *above = credentials.chain
        own = {"privateKey": credentials.key, "certificate": first, "extraCertChain": above}
    options = optionsForClientTLS(host, trusted, extraCertificateOptions=own)
    return wrapClientTLS(options, plain, reactor)


def engineErrorText(why: BaseException | None) -> str:
    """The text of an error of such a connection, for people: see :func:`bore.streams.errortexts.errorText`."""
    if type(why).__name__ == "VerificationError":  # of service_identity, which is loaded for TLS alone
        return "its certificate is not for this name or address"
    if type(why).__module__.startswith("OpenSSL"):
        for words, text in _MISTAKES:
            if words in str(why):
                return text
    return errorText(why)


def engineAway(server: EngineServer | None, why: str) -> EngineAway:
    """The error that a server cannot be used; None: any."""
    return EngineAway(_textOf(server, why))


def engineRefuses(server: EngineServer | None, why: str) -> EngineRefuses:
    """The error that a server has answered, and does not do what was asked; None: any."""
    return EngineRefuses(_textOf(server, why))


def strangersText(prefix: str, error: object) -> str:
    """What is said of an entry or a record that no node has written."""
    return f"another program has written keys that begin with {prefix}: {error}"


def _textOf(server: EngineServer | None, why: str) -> str:
    return f"the engine{f' at {server}' if server else ''} cannot be used: {why.rstrip('.')}"
