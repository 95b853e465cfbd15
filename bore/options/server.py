"""What a server can be told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from bore.commandline import Command, Option, UsageError
from bore.options import common, values
from bore.server.settings import Bounds, ServerSettings
from bore.system.limits import FOR_CLIENTS, descriptorsForVisitors
from bore.system.statefolder import stateFolder
from bore.tls.settings import ServerTls


@dataclass(frozen=True, slots=True)
class ServerCommand:
    """What ``bore server`` was told."""

    settings: ServerSettings
    log: common.LogSettings


_BOUNDS: Final = Bounds()

_OPTIONS: Final = (
    Option(
        ("--min-port",), "Lowest port that a client may have", values.port, "PORT", 1024, environment="BORE_MIN_PORT"
    ),
    Option(
        ("--max-port",), "Highest port that a client may have", values.port, "PORT", 65535, environment="BORE_MAX_PORT"
    ),
    Option(
        ("--bind-addr",),
        "IP address of the control port; :: serves IPv4 and IPv6",
        values.address,
        "ADDRESS",
        "0.0.0.0",
    ),
    Option(
        ("--bind-tunnels",),
        "IP address of the clients' ports",
        values.address,
        "ADDRESS",
        shown="what --bind-addr is",
    ),
    common.controlPort(
        "Port that clients connect to; 0 lets the system choose. Original clients know 7835 only", values.portOrAny
    ),
    Option(
        ("--lease",),
        "How long the port of a client that was lost is kept for it, in seconds; 0: not at all",
        values.wholeSeconds,
        "SECONDS",
        60,
    ),
    Option(
        ("--max-waiting",),
        "Visitors of one tunnel that are accepted while its client is away, further ones wait; 0 closes them all",
        values.count,
        "NUMBER",
        _BOUNDS.waiting,
    ),
    Option(
        ("--max-lanes",),
        "Idle connections that one client may keep open for its next visitors; 0 is any number",
        values.count,
        "NUMBER",
        _BOUNDS.lanes,
    ),
    Option(
        ("--visitor-rate",),
        "New visitors per second that one address may send to one tunnel; 0 is any number",
        values.count,
        "NUMBER",
        _BOUNDS.visitorRate,
    ),
    Option(("--max-tunnels",), "Tunnels, all together; 0 is any number", values.count, "NUMBER", _BOUNDS.tunnels),
    Option(
        ("--max-tunnels-per-source",),
        "Tunnels of clients from one address; 0 is any number",
        values.count,
        "NUMBER",
        _BOUNDS.tunnelsPerSource,
    ),
    Option(
        ("--max-pending",),
        "Connections that have not said yet what they want; 0 is any number",
        values.count,
        "NUMBER",
        _BOUNDS.pending,
    ),
    Option(
        ("--max-pending-per-source",),
        "The same from one address that has no tunnel; 0 is any number",
        values.count,
        "NUMBER",
        _BOUNDS.pendingPerSource,
    ),
    Option(("--tls",), "Speak TLS on the control port, with nobody who does not"),
    Option(
        ("--tls-port",),
        "Speak TLS on this port, and none on the control port; 0 lets the system choose",
        values.portOrAny,
        "PORT",
    ),
    Option(
        ("--tls-cert",),
        "File with the TLS certificate and those above it (PEM), read again when it changes",
        values.path,
        "PATH",
        shown="one of the server's own",
    ),
    Option(("--tls-key",), "File with the key of --tls-cert (PEM)", values.path, "PATH"),
    Option(
        ("--tls-client-ca",),
        "File with the certificates (PEM) of those who sign the certificates that clients have to show then, read "
        "again when it changes",
        values.path,
        "PATH",
    ),
    *common.BOTH,
)


def serverCommand(name: str) -> Command[ServerCommand]:
    """The server's command line, under the name by which the user calls it."""
    return Command(name, "Run the server: it listens on public ports on behalf of its clients.", _OPTIONS, _build)


def _tls(found: dict[str, Any], given: dict[str, Any]) -> ServerTls | None:
    """How to speak TLS, if at all."""
    port = found["tls_port"]
    if found["tls"] and port is not None:
        raise UsageError(
            "--tls and --tls-port: give --tls alone for TLS on the control port, --tls-port alone for both"
        )
    if not found["tls"] and port is None:
        common.refuseWithoutTls(given, ("tls_cert", "tls_key", "tls_client_ca"), "--tls-port")
        return None
    if port is not None and port == found["control_port"] != 0:
        raise UsageError(f"--tls-port {port} is the control port: give another one, or --tls alone")
    if port is not None and "tls_client_ca" in given and common.secret(found, given) is None:
        raise UsageError(
            "--tls-client-ca with --tls-port and without a secret: everybody could open ports by way of the control "
            "port: give --tls instead of --tls-port, or a secret"
        )
    certificate, key, clients = found["tls_cert"], found["tls_key"], found["tls_client_ca"]
    common.checkPair(certificate, key)
    if clients is not None:
        common.certificates("--tls-client-ca", clients)
    return ServerTls(port, certificate, key, clients, stateFolder())


def _build(found: dict[str, Any], given: dict[str, Any]) -> ServerCommand:
    lowest, highest = found["min_port"], found["max_port"]
    if lowest > highest:
        raise UsageError(f"--min-port {lowest} is above --max-port {highest}: the range of ports is empty")
    bounds = Bounds(
        pending=found["max_pending"],
        pendingPerSource=found["max_pending_per_source"],
        tunnels=found["max_tunnels"],
        tunnelsPerSource=found["max_tunnels_per_source"],
        visitors=found["max_visitors"],
        waiting=found["max_waiting"],
        lanes=found["max_lanes"],
        visitorRate=found["visitor_rate"],
        descriptors=descriptorsForVisitors(FOR_CLIENTS),
    )
    settings = ServerSettings(
        minPort=lowest,
        maxPort=highest,
        secret=common.secret(found, given),
        bindAddr=found["bind_addr"],
        bindTunnels=found["bind_tunnels"] or found["bind_addr"],
        controlPort=found["control_port"],
        lease=found["lease"],
        bounds=bounds,
        halfOpenTimeout=found["half_open_timeout"],
        tls=_tls(found, given),
    )
    return ServerCommand(settings, common.log(found))
