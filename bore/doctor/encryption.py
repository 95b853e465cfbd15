"""Observes a server inside TLS. OpenSSL is loaded here, and not before TLS is used."""

from __future__ import annotations

from bore.client.servers import Trusts
from bore.client.settings import ServerAddress
from bore.doctor.network import dialOnce
from bore.doctor.verdicts import Certificate, Trusted
from bore.streams.dial import TcpDialer
from bore.streams.reactor import IReactor
from bore.tls.certificates import ODD, silenced
from bore.tls.dialer import TlsDialer
from bore.tls.tlssocket import TlsSocket
from bore.tls.verdict import Verdict


async def encrypt(reactor: IReactor, address: ServerAddress, trusts: Trusts, seconds: float) -> Trusted:
    """
    Connect to a server with TLS, and close the connection.

    :returns: what it has shown, which was accepted.
    :raises Exception: if it was not, or there is no connection.
    """
    judged: list[Verdict] = []
    dialer = TlsDialer(reactor, TcpDialer(reactor, *address), trusts.of(address), judged.append)
    sock = await dialOnce(reactor, dialer, seconds)
    try:
        assert isinstance(sock, TlsSocket)
        return Trusted(judged[0].key, judged[0].why, _certificate(sock))
    finally:
        sock.close()


def _certificate(sock: TlsSocket) -> Certificate | None:
    try:
        with silenced():
            certificate = sock.certificate
            return (
                None
                if certificate is None
                else Certificate(certificate.not_valid_before_utc, certificate.not_valid_after_utc)
            )
    except ODD:
        return None
