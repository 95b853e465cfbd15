"""What both ends offer and accept in a TLS handshake."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from OpenSSL import SSL
from OpenSSL.crypto import X509, X509Store, X509StoreContext, X509StoreContextError, X509StoreFlags

from bore.tls.certificates import KINDS, BadCredentials, Credentials
from bore.tls.clientcertificates import ANY_CLIENT, ClientCertificates, RevokedList

#: Our protocol in ALPN (RFC 7301).
PROTOCOL: Final = b"bore/1"

#: The protocol of a connection between two nodes of a cluster, which prove the cluster's key inside TLS.
NODE_PROTOCOL: Final = b"bore-node/1"

#: The curves that have a signature scheme (RFC 8446, section 4.2.3).
_CURVES: Final = ("secp256r1", "secp384r1", "secp521r1")

#: How many characters of the protocols that a client wants are in the error.
_MAX_WANTED: Final = 100

#: X509_VERIFY_PARAM_set_flags(3), X509_V_FLAG_NO_CHECK_TIME, for which pyOpenSSL has no name.
_NO_CHECK_TIME: Final = 0x200000


#: X509_STORE_CTX_get_error(3): a list of revoked certificates is missing for an authority, or is not in order. Those
#: that are used were checked when they were read, and may have expired since: what they have is still revoked.
_ABOUT_LISTS: Final = frozenset((3, 5, 8, 11, 12, 15, 16, 33, 35, 36, 44, 54))


class WrongProtocol(Exception):
    """The client wants another protocol inside TLS."""


def serverContext(
    credentials: Credentials, clients: ClientCertificates = ANY_CLIENT, nodes: bool = False
) -> SSL.Context:
    """
    The context of a server: TLS 1.3, and only our protocol if the client offers any by ALPN.

    :param clients: which certificates of clients are accepted.
    :param nodes: whether other nodes of a cluster come, too. They need no certificate.
    :raises BadCredentials: when OpenSSL rejects the credentials.
    """
    context = _newContext(credentials)
    context.set_alpn_select_callback(_chooseOfNodes if nodes else _choose)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_options(SSL.OP_NO_TICKET)  # to resume a session costs as much as to begin one
    if clients.authorities:
        _trust(context, clients.authorities)
        for authority in clients.authorities:
            context.add_client_ca(authority)
        if clients.revoked:
            _refuse(context, clients.revoked)
        context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, _judge)
    return context


def repeatedContext(credentials: Credentials | None = None) -> SSL.Context:
    """
    The context of a client for a server that should present the same certificate again. The handshake accepts every
    certificate without verifying it; the caller compares it.

    :param credentials: the certificate for a server that requires one.
    """
    context = _newContext(credentials)
    context.set_alpn_protos([PROTOCOL])
    context.set_verify(SSL.VERIFY_NONE)
    return context


def nodeContext() -> SSL.Context:
    """
    The context of a node for another node. The handshake accepts every certificate: both prove the cluster's key behind
    it, bound to the connection.
    """
    context = _newContext(None)
    context.set_alpn_protos([NODE_PROTOCOL])
    context.set_verify(SSL.VERIFY_NONE)
    return context


def clientContext(
    authorities: Sequence[x509.Certificate] | None,
    credentials: Credentials | None = None,
) -> SSL.Context:
    """
    The context of a client. The handshake accepts every certificate, and appends the errors of the chain to the list
    that is the application data of the connection; the caller judges them.

    :param authorities: the trusted authorities; None: those of the system.
    :param credentials: the certificate for a server that requires one.
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
            raise BadCredentials(f"the certificate's key is on a curve that TLS 1.3 does not have: {KINDS}")
        try:
            context.use_certificate(credentials.chain[0])
            for certificate in credentials.chain[1:]:
                context.add_extra_chain_cert(certificate)
            context.use_privatekey(credentials.key)
        except SSL.Error as e:
            why = ", ".join(detail[-1] for detail in e.args[0]) if e.args else "no reason given"
            raise BadCredentials(f"OpenSSL rejects this certificate, or its key: {why}: {KINDS}") from None
    return context


def _trust(context: SSL.Context, certificates: Sequence[x509.Certificate]) -> None:
    store = context.get_cert_store()
    assert store is not None
    store.set_flags(X509StoreFlags.PARTIAL_CHAIN)  # an authority need not be the highest one
    for certificate in certificates:
        store.add_cert(X509.from_cryptography(certificate))


def _refuse(context: SSL.Context, revoked: Sequence[RevokedList]) -> None:
    """Have OpenSSL refuse certificates that are revoked, with the alert for that."""
    store = context.get_cert_store()
    assert store is not None
    store.set_flags(X509StoreFlags.CRL_CHECK | X509StoreFlags.CRL_CHECK_ALL)
    for each in revoked:
        store.add_crl(each.content)


def _judge(_connection: SSL.Connection, _certificate: X509, error: int, _depth: int, ok: int) -> bool:
    """Judge a certificate of a client."""
    return bool(ok) or error in _ABOUT_LISTS


def isSigned(certificate: X509, others: Sequence[X509], authorities: Sequence[x509.Certificate]) -> bool:
    """
    Whether one of these authorities has signed a certificate. Its dates are not checked: they were when it was
    received.

    :param others: the certificates that were received with it.
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


def _chooseOfNodes(connection: SSL.Connection, offered: list[bytes]) -> bytes:
    """Choose the protocol of nodes, if the peer offers that alone, or ours."""
    if offered == [NODE_PROTOCOL]:
        connection.set_verify(SSL.VERIFY_NONE)  # before a certificate is requested
        return NODE_PROTOCOL
    return _choose(connection, offered)


def _choose(_connection: SSL.Connection, offered: list[bytes]) -> bytes:
    """Choose our protocol. A client that does not offer it is at the wrong port, or was redirected to it."""
    if PROTOCOL in offered:
        return PROTOCOL
    wanted = b" ".join(offered)[:_MAX_WANTED].decode("ascii", "replace")
    raise WrongProtocol(f"the client offers {wanted!r}, and this server needs bore/1")
