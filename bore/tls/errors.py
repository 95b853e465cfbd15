"""Why a server inside TLS is not trusted. OpenSSL is not loaded here: exit codes need these without TLS, too."""

from __future__ import annotations


class ServerNotTrusted(Exception):
    """The certificate of a server does not prove that it is the server that the user means."""


class CertificateNotCurrent(ServerNotTrusted):
    """Only the dates of the server's certificate are wrong, by this machine's clock."""


class ServerKeyChanged(ServerNotTrusted):
    """The server's key is not the one that is known of it, or that the user has given."""
