"""The options of a client that name servers, and how they are trusted."""

from __future__ import annotations

from typing import Final

from bore.client.settings import ServerAddress
from bore.commandline import UsageError, Values
from bore.option import Option, option, repeated, switch
from bore.options import common, values
from bore.streams.addresses import parseHostPort
from bore.system.statefolder import stateFolder
from bore.tls.settings import ClientTls

#: The prefix of a server that is connected to with TLS.
_TLS_PREFIX: Final = "tls://"


def _server(text: str) -> tuple[bool, str, int | None]:
    """Parse a server: whether it has the prefix, its host and its port."""
    rest = text.removeprefix(_TLS_PREFIX)
    if "://" in rest:
        raise ValueError("must be a server, such as example.com or tls://example.com:7835")
    return rest != text, *parseHostPort(rest)


TO: Final = repeated(
    "-t --to",
    "Server: HOST, HOST:PORT, or with TLS tls://HOST or tls://HOST:PORT. If repeated, the client moves to the next "
    "server when it loses one",
    _server,
    "HOST",
    environment="BORE_SERVER",
    keyed="server",
)
CONTROL_PORT: Final = common.controlPort("Control port of the server", values.port)
_TLS: Final = switch("--tls", "Use TLS with every server, as if all had tls://")
_TLS_CA: Final = option(
    "--tls-ca",
    "File with the certificates (PEM) of the only authorities to trust",
    values.path,
    "PATH",
    None,
    isFile=True,
    shown="the system's authorities, or the server's known key",
)
_FINGERPRINT: Final = option(
    "--tls-fingerprint",
    "Fingerprint of the server's key, as the server prints it at startup",
    values.fingerprint,
    "SHA256:...",
    None,
)
_CERTIFICATE: Final = option(
    "--tls-cert",
    "File with the client's certificate (PEM), for servers that require one",
    values.path,
    "PATH",
    None,
    isFile=True,
)
KEY: Final = option(
    "--tls-key", "File with the private key (PEM) for --tls-cert", values.path, "PATH", None, isFile=True
)

#: The options for TLS.
OF_TLS: Final[tuple[Option[object], ...]] = (_TLS, _TLS_CA, _FINGERPRINT, _CERTIFICATE, KEY)


def tls(found: Values) -> ClientTls | None:
    """Return the settings for TLS, or None if it is not used."""
    wanted = [encrypted for encrypted, _, _ in found[TO]]
    if not found[_TLS] and not any(wanted):
        common.refuseWithoutTls(found, (_TLS_CA, _FINGERPRINT, _CERTIFICATE, KEY), _TLS, f"{found.name(TO)} tls://HOST")
        return None
    if not found[_TLS] and not all(wanted):
        raise UsageError(f"{found.name(TO)} names servers with and without tls://: add it to all of them")
    authorities = found[_TLS_CA]
    if authorities is not None and found[_FINGERPRINT] is not None:
        raise UsageError(f"{found.name(_TLS_CA)} and {found.name(_FINGERPRINT)} exclude each other")
    folder = stateFolder(found.environment)
    return ClientTls(
        None if authorities is None else common.certificates(found, _TLS_CA, authorities),
        found[_FINGERPRINT],
        common.checkPair(found, _CERTIFICATE, KEY),
        None if folder is None else folder / "known_servers",
    )


def servers(found: Values) -> tuple[ServerAddress, ...]:
    """Return the servers. A port named with --to takes precedence over BORE_CONTROL_PORT."""
    control = found[CONTROL_PORT]
    explicit = found.given(CONTROL_PORT)
    addresses = []
    for _, host, port in found[TO]:
        if port not in (None, control) and explicit and found.given(TO):
            raise UsageError(
                f"{found.name(TO)} names port {port}, and {found.name(CONTROL_PORT)} {control}: give only one of them"
            )
        addresses.append(ServerAddress(host, control if port is None or explicit else port))
    if len(set(addresses)) < len(addresses):
        raise UsageError(f"{found.name(TO)} names the same server twice")
    return tuple(addresses)
