"""What a client can be told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from bore.client.settings import ClientSettings, ServerAddress
from bore.commandline import Command, Option, UsageError
from bore.options import common, values
from bore.process import stateFolder
from bore.streams.addresses import parseHostPort
from bore.wire.proxyprotocol import Version


@dataclass(frozen=True, slots=True)
class ClientCommand:
    """What ``bore local`` was told."""

    settings: ClientSettings
    log: common.LogSettings


def _version(text: str) -> Version:
    return Version(values.oneOf("v1", "v2")(text))


_OPTIONS: Final = (
    Option(("port_to_show",), "Local port to show", values.port, "PORT", environment="BORE_LOCAL_PORT"),
    Option(
        ("-t", "--to"),
        "The server: a name or an IP address, with or without :PORT. Given again, further servers: when one is lost "
        "the next is tried",
        parseHostPort,
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
        "Exit when so many attempts in a row have failed; 0: never",
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
        maxVisitors=found["max_visitors"],
        halfOpenTimeout=found["half_open_timeout"],
    )
    return ClientCommand(settings, common.log(found))


def _servers(found: dict[str, Any], given: dict[str, Any]) -> tuple[ServerAddress, ...]:
    """The servers; the control port is that of those that name none."""
    control = found["control_port"]
    servers = []
    for host, port in found["to"]:
        if port not in (None, control) and "control_port" in given and "to" in given:
            raise UsageError(f"--to names port {port} and --control-port {control}: give one of them")
        named = port is not None and "control_port" not in given
        servers.append(ServerAddress(host, port if named else control))
    if len(set(servers)) < len(servers):
        raise UsageError("--to names the same server twice: give each one once")
    return tuple(servers)
