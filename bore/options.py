"""
Every option, once: its flag, its environment variable, its default and its help, for ``bore`` and twistd alike.

A flag beats its environment variable, and that beats the default.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Generic, NoReturn, TypeVar

from bore import __version__
from bore.client.settings import ClientSettings
from bore.server.settings import ServerSettings
from bore.streams.addresses import isLiteral, parseHostPort, parsePort
from bore.wire.limits import CONTROL_PORT
from bore.wire.secret import Secret


class UsageError(Exception):
    """The command line, or the environment, is wrong; the text says what would be right."""


@dataclass(frozen=True, slots=True)
class Option:
    """
    One option.

    :ivar flags: its flags, short ones first; one word without dashes is a positional argument.
    :ivar help: one sentence without a full stop.
    :ivar parse: makes the value of a text; a ValueError says what would be right. None: a flag that takes no value.
    :ivar default: the value when neither the flag nor the variable is given.
    :ivar shown: how the default is written in the help, where it is not plain.
    """

    flags: tuple[str, ...]
    help: str
    parse: Callable[[str], object] | None = None
    metavar: str | None = None
    default: object = None
    shown: str | None = None
    environment: str | None = None

    @property
    def name(self) -> str:
        """What the option's value is kept under."""
        return self.flags[-1].lstrip("-").replace("-", "_")

    @property
    def positional(self) -> bool:
        """Whether this is an argument and no flag."""
        return not self.flags[0].startswith("-")

    def describe(self) -> str:
        """The help, with the default and the environment variable."""
        shown = self.shown or (None if self.default is None or self.parse is None else str(self.default))
        notes = [f"[default: {shown}]" if shown else "", f"[env: {self.environment}]" if self.environment else ""]
        return " ".join(part for part in (self.help, *notes) if part).replace("%", "%%")


@dataclass(frozen=True, slots=True)
class LogSettings:
    """What is logged, and how."""

    level: str
    format: str


C = TypeVar("C")


class Command(Generic[C]):
    """
    One command: its options, and what they make together.

    :param name: how the user calls it.
    :param build: makes the result of all options' values, by name; the second argument has those that were given as
        flags. A UsageError says what does not go together.
    """

    def __init__(
        self,
        name: str,
        summary: str,
        options: Sequence[Option],
        build: Callable[[dict[str, Any], dict[str, Any]], C],
    ) -> None:
        self.name = name
        self.summary = summary
        self.options = tuple(options)
        self._build = build

    def parse(self, arguments: Sequence[str], environment: Mapping[str, str] = os.environ) -> C:
        """
        Read a command line.

        :raises UsageError: when something is wrong with it.
        :raises SystemExit: after ``--help`` or ``--version``, with code 0.
        """
        given = {k: v for k, v in vars(self._parser().parse_args(list(arguments))).items() if v is not None}
        values = {option.name: self._value(option, given, environment) for option in self.options}
        return self._build(values, given)

    def help(self) -> str:
        """The text of ``--help``."""
        return self._parser().format_help()

    def _value(self, option: Option, given: Mapping[str, Any], environment: Mapping[str, str]) -> object:
        if option.name in given:
            return given[option.name]
        if option.parse is not None and option.environment is not None and option.environment in environment:
            try:
                return option.parse(environment[option.environment])
            except ValueError as e:
                raise UsageError(f"environment variable {option.environment}: {e}") from e
        return option.default

    def _parser(self) -> argparse.ArgumentParser:
        parser = _Parser(prog=self.name, description=self.summary, add_help=False, allow_abbrev=False)
        for option in self.options:
            if option.positional:
                parser.add_argument(
                    option.name, metavar=option.metavar, nargs="?", type=_argument(option), help=option.describe()
                )
            elif option.parse is None:
                parser.add_argument(
                    *option.flags, dest=option.name, action="store_const", const=True, help=option.describe()
                )
            else:
                parser.add_argument(
                    *option.flags,
                    dest=option.name,
                    metavar=option.metavar,
                    type=_argument(option),
                    help=option.describe(),
                )
        parser.add_argument("-h", "--help", action="help", help="Print this help and exit")
        parser.add_argument(
            "-V", "--version", action="version", version=VERSION_TEXT, help="Print the version and exit"
        )
        return parser


class _Parser(argparse.ArgumentParser):
    """Raises what is wrong instead of ending the process."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(message.removeprefix("argument "))


def _argument(option: Option) -> Callable[[str], object]:
    parse = option.parse
    assert parse is not None

    def parseArgument(text: str) -> object:
        try:
            return parse(text)
        except ValueError as e:
            raise argparse.ArgumentTypeError(f"{text!r}: {e}") from e

    return parseArgument


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


def _delay(text: str) -> float:
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

VERSION_TEXT: Final = f"txbore {__version__}"

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
        raise UsageError("--secret: give a text in UTF-8") from None


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
                _delay,
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
