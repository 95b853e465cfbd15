"""The command line of the client."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from bore.client.settings import ClientSettings, ServerAddress
from bore.client.target import Target
from bore.client.tunnelspec import TunnelSpec
from bore.commandline import Command, Option, UsageError, Values, option, repeated, switch
from bore.logs.settings import LogSettings
from bore.options import common, values
from bore.streams.addresses import parseHostPort
from bore.system.descriptors import FOR_CONTROL, descriptorsForVisitors
from bore.system.statefolder import stateFolder
from bore.tls.settings import ClientTls
from bore.wire.proxyprotocol import Version


@dataclass(frozen=True, slots=True)
class ClientCommand:
    """The result of parsing ``bore local``."""

    settings: ClientSettings
    tunnels: tuple[TunnelSpec, ...]
    log: LogSettings


#: The prefix of a server that is connected to with TLS.
_TLS_PREFIX: Final = "tls://"


def _version(text: str) -> Version:
    return Version(values.oneOf("v1", "v2")(text))


def _server(text: str) -> tuple[bool, str, int | None]:
    """Parse a server: whether it has the prefix, its host and its port."""
    rest = text.removeprefix(_TLS_PREFIX)
    if "://" in rest:
        raise ValueError("must be a server, such as example.com or tls://example.com:7835")
    return rest != text, *parseHostPort(rest)


#: Only for the defaults of the other fields.
_DEFAULTS: Final = ClientSettings(servers=())
_TUNNEL: Final = TunnelSpec(Target(0))

_LOCAL_PORT: Final = option(
    "local-port", "Local port to show", values.port, "PORT", None, environment="BORE_LOCAL_PORT"
)
_TO: Final = repeated(
    "-t --to",
    "Server: HOST, HOST:PORT, or with TLS tls://HOST or tls://HOST:PORT. If repeated, the client moves to the next "
    "server when it loses one",
    _server,
    "HOST",
    environment="BORE_SERVER",
)
_LOCAL_HOST: Final = option("-l --local-host", "Host of the local port", values.host, "HOST", _TUNNEL.target.host)
_PORT: Final = option(
    "-p --port", "Public port to request from the server; 0: any", values.portOrAny, "PORT", _TUNNEL.port
)
_CONTROL_PORT: Final = common.controlPort("Control port of the server", values.port)
_PROXY_PROTOCOL: Final = option(
    "--proxy-protocol",
    "Send the visitor's address to the local service in a PROXY protocol header, version v1 or v2",
    _version,
    "VERSION",
    _TUNNEL.proxyProtocol,
)
_NO_STATE: Final = switch("--no-state", "Do not save the public port for the next start")
_NO_RECONNECT: Final = switch("--no-reconnect", "Exit if the server cannot be reached or the connection is lost")
_MAX_DELAY: Final = option(
    "--max-reconnect-delay",
    "Longest delay between two connection attempts",
    values.seconds,
    "SECONDS",
    _DEFAULTS.maxReconnectDelay,
)
_FAILURES: Final = option(
    "--exit-after-failures",
    "Exit after NUMBER consecutive failures; a session lost within a minute is a failure; 0: never",
    values.count,
    "NUMBER",
    _DEFAULTS.exitAfterFailures,
)
_LANES: Final = option(
    "--lanes",
    "Idle connections to keep open to the server for the next visitors; 0: one new connection per visitor",
    values.count,
    "NUMBER",
    _DEFAULTS.lanes,
)
_CHECK: Final = option(
    "--check-every",
    "Test the tunnel end to end every SECONDS; reconnect after three failures in a row",
    values.seconds,
    "SECONDS",
    _DEFAULTS.checkEvery,
    shown="never",
)
_TLS: Final = switch("--tls", "Use TLS with every server, as if all had tls://")
_TLS_CA: Final = option(
    "--tls-ca",
    "File with the certificates (PEM) of the only authorities to trust",
    values.path,
    "PATH",
    None,
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
    "--tls-cert", "File with the client's certificate (PEM), for servers that require one", values.path, "PATH", None
)
_KEY: Final = option("--tls-key", "File with the private key (PEM) for --tls-cert", values.path, "PATH", None)

_OPTIONS: Final[tuple[Option[object], ...]] = (
    _LOCAL_PORT,
    _TO,
    _LOCAL_HOST,
    _PORT,
    _CONTROL_PORT,
    _PROXY_PROTOCOL,
    _NO_STATE,
    _NO_RECONNECT,
    _MAX_DELAY,
    _FAILURES,
    _LANES,
    _CHECK,
    _TLS,
    _TLS_CA,
    _FINGERPRINT,
    _CERTIFICATE,
    _KEY,
    *common.BOTH,
)


def clientCommand(name: str) -> Command[ClientCommand]:
    """
    Return the command line of the client.

    :param name: the program and the command, as the user writes them.
    """
    return Command(name, "Show a local port to the world through a server.", _OPTIONS, _build)


def _build(found: Values) -> ClientCommand:
    localPort = found[_LOCAL_PORT]
    if localPort is None:
        raise UsageError("no PORT given: name the local port to show, as in 'bore local 8000 --to example.com'")
    if not found[_TO]:
        raise UsageError("no --to given: name the server, as in 'bore local 8000 --to example.com'")
    settings = ClientSettings(
        servers=_servers(found),
        secret=common.secret(found),
        reconnect=not found[_NO_RECONNECT],
        maxReconnectDelay=found[_MAX_DELAY],
        exitAfterFailures=found[_FAILURES],
        checkEvery=found[_CHECK],
        stateFolder=None if found[_NO_STATE] else stateFolder(found.environment),
        lanes=found[_LANES],
        tls=_tls(found),
        descriptors=descriptorsForVisitors(FOR_CONTROL),
        halfOpenTimeout=found[common.HALF_OPEN],
        portableRelay=common.isRelayPortable(found.environment),
    )
    target = Target(localPort, found[_LOCAL_HOST])
    tunnel = TunnelSpec(target, found[_PORT], found[_PROXY_PROTOCOL], found[common.VISITORS])
    return ClientCommand(settings, (tunnel,), common.LOG.settings(found))


def _tls(found: Values) -> ClientTls | None:
    """Return the settings for TLS, or None if it is not used."""
    wanted = [tls for tls, _, _ in found[_TO]]
    if not found[_TLS] and not any(wanted):
        common.refuseWithoutTls(found, (_TLS_CA, _FINGERPRINT, _CERTIFICATE, _KEY), "--to tls://HOST")
        return None
    if not found[_TLS] and not all(wanted):
        raise UsageError("--to names servers with and without tls://: add it to all of them")
    authorities = found[_TLS_CA]
    if authorities is not None and found[_FINGERPRINT] is not None:
        raise UsageError("--tls-ca and --tls-fingerprint exclude each other")
    folder = stateFolder(found.environment)
    return ClientTls(
        None if authorities is None else common.certificates(_TLS_CA, authorities),
        found[_FINGERPRINT],
        common.checkPair(found[_CERTIFICATE], found[_KEY]),
        None if folder is None else folder / "known_servers",
    )


def _servers(found: Values) -> tuple[ServerAddress, ...]:
    """Return the servers. A port named with --to takes precedence over BORE_CONTROL_PORT."""
    control = found[_CONTROL_PORT]
    explicit = found.given(_CONTROL_PORT)
    servers = []
    for _, host, port in found[_TO]:
        if port not in (None, control) and explicit and found.given(_TO):
            raise UsageError(f"--to names port {port}, and --control-port {control}: give only one of them")
        servers.append(ServerAddress(host, control if port is None or explicit else port))
    if len(set(servers)) < len(servers):
        raise UsageError("--to names the same server twice")
    return tuple(servers)
