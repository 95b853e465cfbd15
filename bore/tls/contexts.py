"""What is offered and accepted in a TLS handshake."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from OpenSSL import SSL
from OpenSSL.crypto import X509, X509Store, X509StoreContext, X509StoreContextError, X509StoreFlags

from bore.tls.certificates import KINDS, BadCredentials, Credentials

#: What is agreed on by ALPN (RFC 7301).
PROTOCOL: Final = b"bore/1"

#: RFC 8446, section 4.2.3: the curves that have a signature scheme.
_CURVES: Final = ("secp256r1", "secp384r1", "secp521r1")

#: So much of what a client wants is worth a line in the log.
_MENTIONED: Final = 100

#: X509_VERIFY_PARAM_set_flags(3), X509_V_FLAG_NO_CHECK_TIME, for which pyOpenSSL has no name.
_NO_CHECK_TIME: Final = 0x200000


class WrongProtocol(Exception):
    """The client wants to speak something else inside TLS."""


def serverContext(credentials: Credentials, clients: Sequence[x509.Certificate] = ()) -> SSL.Context:
    """
    What a server offers and accepts: TLS 1.3, and by ALPN nothing but ours, if the client asks for anything.

    :param clients: who signs the certificates that clients have to show; nobody: they need none.
    :raises BadCredentials: when OpenSSL will not have them.
    """
    context = _newContext(credentials)
    context.set_alpn_select_callback(_choose)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_options(SSL.OP_NO_TICKET)  # to resume a session costs as much as to begin one
    if clients:
        _trust(context, clients)
        for authority in clients:
            context.add_client_ca(authority)
        context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, lambda _c, _x, _e, _d, ok: bool(ok))
    return context


def repeatedContext(credentials: Credentials | None = None) -> SSL.Context:
    """
    What a client offers to a server whose certificate it knows already. The handshake accepts every certificate, and
    does not look at it: to see that it is the same is left to the client.

    :param credentials: what is shown to a server that demands it.
    """
    context = _newContext(credentials)
    context.set_alpn_protos([PROTOCOL])
    context.set_verify(SSL.VERIFY_NONE)
    return context


def clientContext(
    authorities: Sequence[x509.Certificate] | None,
    credentials: Credentials | None = None,
) -> SSL.Context:
    """
    What a client offers. The handshake accepts every certificate, and notes what is wrong with the chain in the list
    that the connection has as its application data: to judge it is left to the client.

    :param authorities: who is trusted to sign certificates; None: those of the system.
    :param credentials: what is shown to a server that demands it.
    """
    context = repeatedContext(credentials)
    if authorities is None:
        context.set_default_verify_paths()
    else:
        _trust(context, authorities)

    def note(connection: SSL.Connection, _certificate: X509, error: int, _depth: int, ok: int) -> bool:
        if not ok:
            connection.get_app_data().append(error)
        return True

    context.set_verify(SSL.VERIFY_PEER, note)
    return context


def _newContext(credentials: Credentials | None) -> SSL.Context:
    context = SSL.Context(SSL.TLS_METHOD)
    context.set_min_proto_version(SSL.TLS1_3_VERSION)
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)  # an idle connection needs none
    if credentials is not None:
        if isinstance(credentials.key, ec.EllipticCurvePrivateKey) and credentials.key.curve.name not in _CURVES:
            raise BadCredentials(f"the certificate's key is of a curve that TLS 1.3 does not know: {KINDS}")
        try:
            context.use_certificate(credentials.chain[0])
            for certificate in credentials.chain[1:]:
                context.add_extra_chain_cert(certificate)
            context.use_privatekey(credentials.key)
        except SSL.Error as e:
            why = ", ".join(detail[-1] for detail in e.args[0]) if e.args else "it does not say why"
            raise BadCredentials(f"OpenSSL refuses this certificate, or its key: {why}: {KINDS}") from None
    return context


def _trust(context: SSL.Context, certificates: Sequence[x509.Certificate]) -> None:
    store = context.get_cert_store()
    assert store is not None
    store.set_flags(X509StoreFlags.PARTIAL_CHAIN)  # an authority need not be the highest one
    for certificate in certificates:
        store.add_cert(X509.from_cryptography(certificate))


def isSigned(certificate: X509, others: Sequence[X509], authorities: Sequence[x509.Certificate]) -> bool:
    """
    Whether one of these authorities has signed a certificate. Its dates are left out: they were looked at when it was
    shown.

    :param others: those that were shown with it.
    """
    store = X509Store()
    store.set_flags(X509StoreFlags.PARTIAL_CHAIN | _NO_CHECK_TIME)
    for authority in authorities:
        store.add_cert(X509.from_cryptography(authority))
    try:
        X509StoreContext(store, certificate, others).verify_certificate()
    except X509StoreContextError:
        return False
    return True


def _choose(_connection: SSL.Connection, offered: list[bytes]) -> bytes:
    """Agree on our own protocol: a client that wants another one is at the wrong port, or was led there."""
    if PROTOCOL in offered:
        return PROTOCOL
    wanted = b" ".join(offered)[:_MENTIONED].decode("ascii", "replace")
    raise WrongProtocol(f"the client wants {wanted!r}, and not bore/1")
