"""What a client can be told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from bore.client.settings import ClientSettings, ServerAddress
from bore.commandline import Command, Option, UsageError
from bore.options import common, values
from bore.streams.addresses import parseHostPort
from bore.system.limits import FOR_CONTROL, descriptorsForVisitors
from bore.system.statefolder import stateFolder
from bore.tls.settings import ClientTls
from bore.wire.proxyprotocol import Version


@dataclass(frozen=True, slots=True)
class ClientCommand:
    """What ``bore local`` was told."""

    settings: ClientSettings
    log: common.LogSettings


#: What a server's name may begin with.
_TLS: Final = "tls://"


def _version(text: str) -> Version:
    return Version(values.oneOf("v1", "v2")(text))


def _server(text: str) -> tuple[bool, str, int | None]:
    """A server: whether TLS is spoken with it, its host, its port."""
    rest = text.removeprefix(_TLS)
    if "://" in rest:
        raise ValueError("give a server as in example.com, or tls://example.com:7835")
    return rest != text, *parseHostPort(rest)


_OPTIONS: Final = (
    Option(("port_to_show",), "Local port to show", values.port, "PORT", environment="BORE_LOCAL_PORT"),
    Option(
        ("-t", "--to"),
        "The server: a name or an IP address, with or without :PORT; with tls:// before it, TLS is spoken. Given "
        "again, further servers: when one is lost the next is tried",
        _server,
        "HOST",
        environment="BORE_SERVER",
        many=True,
    ),
    Option(("-l", "--local-host"), "Host of the local port", values.host, "HOST", "localhost"),
    Option(("-p", "--port"), "Public port to ask the server for; 0 is any", values.portOrAny, "PORT", 0),
    common.controlPort("Port that the server listens on for clients", values.port),
    Option(
        ("--proxy-protocol",),
        "Tell the local service where each visitor comes from, in the header of HAProxy's PROXY protocol: v1 or v2",
        _version,
        "VERSION",
    ),
    Option(
        ("--no-state",),
        "Do not remember the public port for the next start",
    ),
    Option(("--no-reconnect",), "Exit when the server cannot be reached or is lost"),
    Option(
        ("--max-reconnect-delay",),
        "Longest time between two attempts to connect, in seconds",
        values.seconds,
        "SECONDS",
        64.0,
        shown="64",
    ),
    Option(
        ("--exit-after-failures",),
        "Exit when so many attempts in a row have failed, or had a session that was lost within a minute; 0: never",
        values.count,
        "NUMBER",
        0,
    ),
    Option(
        ("--lanes",),
        "Connections to the server that are kept open for the next visitors; 0: each visitor has one of its own",
        values.count,
        "NUMBER",
        4,
    ),
    Option(
        ("--check-every",),
        "Visit the own public port at this interval, in seconds, and start the session anew when three visits in a "
        "row have failed",
        values.seconds,
        "SECONDS",
        shown="never",
    ),
    Option(("--tls",), "Speak TLS with the server, as tls:// before its name has it"),
    Option(
        ("--tls-ca",),
        "File with the certificates (PEM) of those who may sign the server's certificate, and of nobody else",
        values.path,
        "PATH",
        shown="those of the system, or what is known of the server",
    ),
    Option(
        ("--tls-fingerprint",),
        "The server's key, as the server prints it at its start",
        values.fingerprint,
        "SHA256:...",
    ),
    Option(("--tls-cert",), "File with a certificate (PEM) for a server that demands one", values.path, "PATH"),
    Option(("--tls-key",), "File with the key of --tls-cert (PEM)", values.path, "PATH"),
    *common.BOTH,
)


def clientCommand(name: str) -> Command[ClientCommand]:
    """The client's command line, under the name by which the user calls it."""
    return Command(name, "Show a local port to the world through a server.", _OPTIONS, _build)


def _build(found: dict[str, Any], given: dict[str, Any]) -> ClientCommand:
    if found["port_to_show"] is None:
        raise UsageError("PORT is missing: give the local port to show, as in 'bore local 8000 --to example.com'")
    if not found["to"]:
        raise UsageError("--to is missing: give the server, as in 'bore local 8000 --to example.com'")
    settings = ClientSettings(
        localPort=found["port_to_show"],
        servers=_servers(found, given),
        localHost=found["local_host"],
        port=found["port"],
        secret=common.secret(found, given),
        reconnect=not found["no_reconnect"],
        maxReconnectDelay=found["max_reconnect_delay"],
        exitAfterFailures=found["exit_after_failures"],
        checkEvery=found["check_every"] or 0.0,
        proxyProtocol=found["proxy_protocol"],
        stateFolder=None if found["no_state"] else stateFolder(),
        lanes=found["lanes"],
        tls=_tls(found, given),
        maxVisitors=found["max_visitors"],
        descriptors=descriptorsForVisitors(FOR_CONTROL),
        halfOpenTimeout=found["half_open_timeout"],
    )
    return ClientCommand(settings, common.log(found))


def _tls(found: dict[str, Any], given: dict[str, Any]) -> ClientTls | None:
    """How to speak TLS with the servers, if at all."""
    wanted = [tls for tls, _, _ in found["to"]]
    if not found["tls"] and not any(wanted):
        common.refuseWithoutTls(given, ("tls_ca", "tls_fingerprint", "tls_cert", "tls_key"), "--to tls://HOST")
        return None
    if not found["tls"] and not all(wanted):
        raise UsageError("--to names servers with tls:// and without: give it for all, so that none is a way around it")
    if "tls_ca" in given and "tls_fingerprint" in given:
        raise UsageError("--tls-ca and --tls-fingerprint: give one of them")
    authorities = common.certificates("--tls-ca", found["tls_ca"]) if "tls_ca" in given else None
    folder = stateFolder()
    return ClientTls(
        authorities,
        found["tls_fingerprint"],
        common.checkPair(found["tls_cert"], found["tls_key"]),
        None if folder is None else folder / "known_servers",
    )


def _servers(found: dict[str, Any], given: dict[str, Any]) -> tuple[ServerAddress, ...]:
    """The servers; the control port is that of those that name none."""
    control = found["control_port"]
    servers = []
    for _, host, port in found["to"]:
        if port not in (None, control) and "control_port" in given and "to" in given:
            raise UsageError(f"--to names port {port} and --control-port {control}: give one of them")
        named = port is not None and "control_port" not in given
        servers.append(ServerAddress(host, port if named else control))
    if len(set(servers)) < len(servers):
        raise UsageError("--to names the same server twice: give each one once")
    return tuple(servers)
