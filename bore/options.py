"""Every option, once: its flag, its environment variable, its default and its help, for ``bore`` and twistd alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from bore.client.settings import ClientSettings
from bore.commandline import Command, Option, UsageError
from bore.relay.face import HALF_OPEN_TIMEOUT
from bore.server.settings import ServerSettings
from bore.streams.addresses import isLiteral, parseHostPort, parsePort
from bore.wire.limits import CONTROL_PORT
from bore.wire.secret import Secret


@dataclass(frozen=True, slots=True)
class LogSettings:
    """What is logged, and how."""

    level: str
    format: str


def _port(text: str) -> int:
    return parsePort(text)


def _portOrAny(text: str) -> int:
    return parsePort(text, lowest=0)


def _address(text: str) -> str:
    if isLiteral(text):
        return text
    raise ValueError("give an IP address, as in 0.0.0.0, 192.0.2.7 or ::")


def _host(text: str) -> str:
    host, port = parseHostPort(text)
    if port is not None:
        raise ValueError("give a name or an IP address without a port")
    return host


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if 0.1 <= seconds <= 86400.0:
        return seconds
    raise ValueError("give a number of seconds from 0.1 to 86400")


def _oneOf(*words: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text in words:
            return text
        raise ValueError(f"give one of {', '.join(words)}")

    return parse


def _secretFile(path: str) -> str:
    try:
        with open(path, encoding="utf-8", newline="") as file:
            text = file.read(_LONGEST_SECRET + 1)
    except OSError as e:
        raise ValueError(f"cannot be read ({e.strerror}): give a file that holds the secret") from e
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8 text: give a file that holds the secret") from None
    if len(text) > _LONGEST_SECRET:
        raise ValueError(f"is longer than {_LONGEST_SECRET} characters: give a file that holds the secret alone")
    return text.removesuffix("\n").removesuffix("\r")


_LONGEST_SECRET: Final = 4096

_CONTROL_PORT: Final = "--control-port"

#: The demonstration announces what matters: its log is for when something goes wrong.
_DEMO_LOG: Final = {"log_level": "warn", "log_format": "text"}

_COMMON: Final = (
    Option(
        ("-s", "--secret"),
        "Secret that both ends must know; every user of this machine can read it in the list of processes",
        str,
        "SECRET",
        environment="BORE_SECRET",
    ),
    Option(
        ("--secret-file",), "File that holds the secret; a newline at its end is no part of it", _secretFile, "PATH"
    ),
    Option(
        ("--half-open-timeout",),
        "How long a visitor may be silent when the other direction has ended, in seconds",
        _seconds,
        "SECONDS",
        HALF_OPEN_TIMEOUT,
        shown="600",
    ),
    Option(
        ("--log-level",),
        "What to log: debug, info, warn or error",
        _oneOf("debug", "info", "warn", "error"),
        "LEVEL",
        "info",
    ),
    Option(("--log-format",), "How to log: text or json", _oneOf("text", "json"), "FORMAT", "text"),
)


@dataclass(frozen=True, slots=True)
class ServerCommand:
    """What ``bore server`` was told."""

    settings: ServerSettings
    log: LogSettings


@dataclass(frozen=True, slots=True)
class ClientCommand:
    """What ``bore local`` was told."""

    settings: ClientSettings
    log: LogSettings


@dataclass(frozen=True, slots=True)
class DemoCommand:
    """What ``bore demo`` was told."""

    once: bool
    port: int
    log: LogSettings


def _secret(values: dict[str, Any], given: dict[str, Any]) -> Secret | None:
    if "secret" in given and "secret_file" in given:
        raise UsageError("--secret and --secret-file: give one of them")
    text = values["secret_file"] if "secret_file" in given else values["secret"]
    if text is None:
        return None
    try:
        return Secret(text)
    except UnicodeEncodeError:
        raise UsageError("the secret is not UTF-8: give a text") from None


def _log(values: dict[str, Any]) -> LogSettings:
    return LogSettings(values["log_level"], values["log_format"])


def _buildServer(values: dict[str, Any], given: dict[str, Any]) -> ServerCommand:
    lowest, highest = values["min_port"], values["max_port"]
    if lowest > highest:
        raise UsageError(f"--min-port {lowest} is above --max-port {highest}: the range of ports is empty")
    settings = ServerSettings(
        minPort=lowest,
        maxPort=highest,
        secret=_secret(values, given),
        bindAddr=values["bind_addr"],
        bindTunnels=values["bind_tunnels"] or values["bind_addr"],
        controlPort=values["control_port"],
        halfOpenTimeout=values["half_open_timeout"],
    )
    return ServerCommand(settings, _log(values))


def _buildClient(values: dict[str, Any], given: dict[str, Any]) -> ClientCommand:
    if values["port_to_show"] is None:
        raise UsageError("PORT is missing: give the local port to show, as in 'bore local 8000 --to example.com'")
    if values["to"] is None:
        raise UsageError("--to is missing: give the server, as in 'bore local 8000 --to example.com'")
    server, inServer = values["to"]
    control = values["control_port"]
    if inServer is not None and inServer != control:
        if "control_port" in given and "to" in given:
            raise UsageError(f"--to names port {inServer} and --control-port {control}: give one of them")
        if "control_port" not in given:
            control = inServer
    settings = ClientSettings(
        localPort=values["port_to_show"],
        server=server,
        localHost=values["local_host"],
        port=values["port"],
        secret=_secret(values, given),
        controlPort=control,
        reconnect=not values["no_reconnect"],
        maxReconnectDelay=values["max_reconnect_delay"],
        halfOpenTimeout=values["half_open_timeout"],
    )
    return ClientCommand(settings, _log(values))


def serverCommand(name: str) -> Command[ServerCommand]:
    """The server's command line, under the name by which the user calls it."""
    return Command(
        name,
        "Run the server: it listens on public ports on behalf of its clients.",
        (
            Option(
                ("--min-port",), "Lowest port that a client may have", _port, "PORT", 1024, environment="BORE_MIN_PORT"
            ),
            Option(
                ("--max-port",),
                "Highest port that a client may have",
                _port,
                "PORT",
                65535,
                environment="BORE_MAX_PORT",
            ),
            Option(
                ("--bind-addr",),
                "IP address of the control port; :: serves IPv4 and IPv6",
                _address,
                "ADDRESS",
                "0.0.0.0",
            ),
            Option(
                ("--bind-tunnels",),
                "IP address of the clients' ports",
                _address,
                "ADDRESS",
                shown="what --bind-addr is",
            ),
            Option(
                (_CONTROL_PORT,),
                "Port that clients connect to; 0 lets the system choose. Original clients know 7835 only",
                _portOrAny,
                "PORT",
                CONTROL_PORT,
                environment="BORE_CONTROL_PORT",
            ),
            *_COMMON,
        ),
        _buildServer,
    )


def clientCommand(name: str) -> Command[ClientCommand]:
    """The client's command line, under the name by which the user calls it."""
    return Command(
        name,
        "Show a local port to the world through a server.",
        (
            Option(("port_to_show",), "Local port to show", _port, "PORT", environment="BORE_LOCAL_PORT"),
            Option(
                ("-t", "--to"),
                "The server: a name or an IP address, with or without :PORT",
                parseHostPort,
                "HOST",
                environment="BORE_SERVER",
            ),
            Option(("-l", "--local-host"), "Host of the local port", _host, "HOST", "localhost"),
            Option(("-p", "--port"), "Public port to ask the server for; 0 is any", _portOrAny, "PORT", 0),
            Option(
                (_CONTROL_PORT,),
                "Port that the server listens on for clients",
                _port,
                "PORT",
                CONTROL_PORT,
                environment="BORE_CONTROL_PORT",
            ),
            Option(("--no-reconnect",), "Exit when the server cannot be reached or is lost"),
            Option(
                ("--max-reconnect-delay",),
                "Longest time between two attempts to connect, in seconds",
                _seconds,
                "SECONDS",
                64.0,
                shown="64",
            ),
            *_COMMON,
        ),
        _buildClient,
    )


def demoCommand(name: str) -> Command[DemoCommand]:
    """The demonstration's command line."""
    return Command(
        name,
        "Show a built-in web page through a server and a client on this machine.",
        (
            Option(("--once",), "Exit after the page was fetched once, with 0 if it came through"),
            Option(("-p", "--port"), "Public port; 0 is any", _portOrAny, "PORT", 0),
            *(replace(option, default=_DEMO_LOG[option.name]) for option in _COMMON if option.name in _DEMO_LOG),
        ),
        lambda values, given: DemoCommand(bool(values["once"]), values["port"], _log(values)),
    )
