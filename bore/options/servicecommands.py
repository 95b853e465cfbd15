"""The command lines of ``bore service``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bore.commandline import Command, UsageError, Values
from bore.option import Option, option, switch
from bore.options.usercommands import SYSTEM_SETTINGS
from bore.system.statefolder import settingsFolder

_CLIENT: Final = "client"
_SERVER: Final = "server"

#: Where the system's administrator has units, and where a user has them, below the directory of settings.
_SYSTEM_UNITS: Final = Path("/etc/systemd/system")
_USER_UNITS: Final = "systemd/user"

#: Other files of these names are beside the settings of clients.
_TAKEN: Final = ("server", "users")

#: With such an end, systemctl would take ``bore-client@NAME`` for another unit (systemd.unit(5)).
_KINDS: Final = re.compile(r"\.(automount|device|mount|path|scope|service|slice|socket|swap|target|timer)\Z")

_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")


def _name(text: str) -> str:
    if _NAME.fullmatch(text) is None:
        raise ValueError("must be letters, digits, and . _ - behind the first of them, such as web")
    found = _KINDS.search(text)
    if found is not None:
        raise ValueError(f"must not end with {found[0]}, which systemd takes for a kind of unit: leave it out")
    if text in _TAKEN:
        raise ValueError(f"is the name of another file, {text}.toml: choose another name")
    return text


def _what(text: str) -> str:
    if text not in (_CLIENT, _SERVER):
        raise ValueError("must be client or server, as in 'bore service install client web'")
    return text


_WHAT: Final = option("what", "client or server", _what, "WHAT", None)
_OF: Final = option("name", "Name of a client, and of its settings file, such as web", _name, "NAME", None)
_USER: Final = switch("--user", "Install it for your own user, without root, and not for the system")
_NOW: Final = switch("--now", "Start it at once, and at each boot")

_ACTIONS: Final[dict[str, tuple[str, tuple[Option[object], ...]]]] = {
    "install": ("Write the unit of a client or server, and a first settings file.", (_USER, _NOW)),
    "show": ("Print what 'install' would write.", (_USER,)),
    "remove": ("Stop a client or server, and remove its unit. Its settings stay.", (_USER,)),
}

ACTIONS: Final = ", ".join(_ACTIONS)

USAGE_TEXT: Final = (
    "usage: bore service COMMAND WHAT [NAME]\n\nHave systemd run a client or a server.\n\ncommands:\n"
    + "".join(f"  {word:8} {summary.rstrip('.')}\n" for word, (summary, _) in _ACTIONS.items())
    + "\nWHAT is client, with a NAME of your choice, or server.\n"
    + "'bore service COMMAND --help' lists the options of a command."
)


@dataclass(frozen=True, slots=True)
class ServiceCommand:
    """
    The result of parsing ``bore service``.

    :ivar action: the word after it.
    :ivar client: the name of the client; empty: it is the server.
    :ivar user: whether it is run by the manager of a user, and not by that of the system.
    :ivar units: the directory of units.
    :ivar settings: the directory of settings files.
    :ivar now: whether it is started at once.
    """

    action: str
    client: str
    user: bool
    units: Path
    settings: Path
    now: bool = False

    @property
    def file(self) -> Path:
        """The settings file."""
        return self.settings / f"{self.client or _SERVER}.toml"

    @property
    def files(self) -> tuple[str, ...]:
        """The units, by the names of their files."""
        return ("bore-client@.service",) if self.client else ("bore-server.service", "bore-server.socket")

    @property
    def unit(self) -> str:
        """What is started, as systemctl has it."""
        return f"bore-client@{self.client}" if self.client else "bore-server"


def serviceCommand(action: str) -> Command[ServiceCommand] | None:
    """Return the command line of one of :data:`ACTIONS`; None if it is none of them."""
    if action not in _ACTIONS:
        return None
    summary, options = _ACTIONS[action]
    return Command(
        f"bore service {action}", summary, (_WHAT, _OF, *options), lambda found: _build(action, options, found)
    )


def _build(action: str, options: tuple[Option[object], ...], found: Values) -> ServiceCommand:
    what, name = found[_WHAT], found[_OF]
    if what is None or (what == _CLIENT and name is None):
        raise UsageError(
            f"give client and a name, or server, as in 'bore service {action} client web' and 'bore service {action} "
            "server'"
        )
    if what == _SERVER and name is not None:
        raise UsageError(f"a server has no name: 'bore service {action} server'")
    units, settings = _folders(found[_USER], found.environment)
    return ServiceCommand(action, name or "", found[_USER], units, settings, _NOW in options and found[_NOW])


def _folders(user: bool, environment: Mapping[str, str]) -> tuple[Path, Path]:
    if not user:
        return _SYSTEM_UNITS, SYSTEM_SETTINGS
    settings = settingsFolder(environment)
    if settings is None:
        raise UsageError(f"{_USER.name}: this user has no home directory: set HOME to one")
    return settings.parent / _USER_UNITS, settings
