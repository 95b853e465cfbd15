"""The command lines of ``bore user``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final

from bore.admin.sockets import runtimeFolders
from bore.commandline import Command, UsageError, Values
from bore.option import Option, option, repeated, switch
from bore.options import users, values
from bore.options.invitation import parseName
from bore.options.server import ServerCommand, serverCommand
from bore.server.settings import ServerSettings
from bore.streams.addresses import parseHostPort
from bore.system.statefolder import settingsFolder, stateFolder
from bore.users.entry import SHARED
from bore.users.rights import parseEnd

#: A value in the file.
Value = str | int | bool | date | datetime | Sequence[str | int]

#: Where a packaged server has its settings and its state: see bore/systemd/units/bore-server.service.
SYSTEM_SETTINGS: Final = Path("/etc/txbore")
SYSTEM_STATE: Final = Path("/var/lib/txbore/server")

_FILE_NAME: Final = "users.toml"


@dataclass(frozen=True, slots=True)
class UserCommand:
    """
    The result of parsing ``bore user``.

    :ivar action: the word after ``bore user``.
    :ivar file: the users file.
    :ivar name: the user; empty: all.
    :ivar keys: the keys to set in the user's table.
    :ivar certificate: whether the user has a certificate, and no secret.
    :ivar unset: the keys to remove.
    :ivar grace: how long the former secret stays valid.
    :ivar address: the host and the port that clients reach the server by; None: as it was before.
    :ivar settings: those of the server, from its settings file; None: no such file was given.
    :ivar certificateFile: the file with the certificate of the server; None: that of the settings, or its own.
    :ivar folder: the server's state directory; None: there is none.
    :ivar runtime: the directories in which running servers have their admin sockets.
    """

    action: str
    file: Path
    name: str = ""
    keys: Mapping[str, Value] = field(default_factory=dict)
    certificate: bool = False
    unset: Sequence[str] = ()
    grace: timedelta = timedelta()
    address: tuple[str, int | None] | None = None
    settings: ServerSettings | None = None
    certificateFile: Path | None = None
    folder: Path | None = None
    runtime: Sequence[Path] = ()


def _end(text: str) -> date | datetime:
    """Parse an end: a date, a time, or a duration from now on."""
    now = datetime.now(UTC)
    if values.DURATION.fullmatch(text):
        duration = values.duration(text)
        whole = text[-1] in "dw"
        return (now + duration).date() if whole else (now + duration).replace(microsecond=0)
    try:
        end = parseEnd(text)
    except ValueError as e:
        raise ValueError(f"{e}, or a duration, such as 30d") from None
    if end <= now.timestamp():
        raise ValueError("is in the past")
    return date.fromisoformat(text) if len(text) == len("2027-06-30") else datetime.fromisoformat(text)


def _name(text: str) -> str:
    return text if text == SHARED else parseName(text)


def _written(described: Option[object]) -> Option[tuple[str, ...] | None]:
    """
    Return an option of the same form whose values are the texts, as they were written. Where there may be several, one
    text may have them all, separated by commas.
    """
    read = described.read
    assert read is not None

    def checked(texts: Sequence[str]) -> tuple[str, ...]:
        if described.repeats:
            texts = [part.strip() for text in texts for part in text.split(",")]
        read(texts)
        return tuple(texts if described.repeats else texts[-1:])

    return Option(described.flags, described.help, checked, described.metavar, None, repeats=described.repeats)


_NAME: Final = option("name", "The user", _name, "NAME", None)
_USERS: Final = option(
    "--users",
    "Users file of the server",
    values.path,
    "FILE",
    None,
    shown="that of --config, or ~/.config/txbore/users.toml, or /etc/txbore/users.toml",
    environment="BORE_USERS",
)
_CONFIG: Final = option("--config", "Settings file of the server", values.path, "FILE", None)
_ADDRESS: Final = option(
    "--address",
    "Address that clients reach the server by: HOST or HOST:PORT; the users file remembers it",
    parseHostPort,
    "HOST",
    None,
    environment="BORE_ADDRESS",
)
_SERVER_CERTIFICATE: Final = option(
    "--tls-cert",
    "File with the certificate of the server, if it runs with this option and without a settings file",
    values.path,
    "FILE",
    None,
    shown="that of --config, or the server's own",
)
_EXPIRES: Final = option(
    "--expires",
    "Last day (UTC) of the user, such as 2027-06-30, or a time, or a duration from now on, such as 30d or 12h",
    _end,
    "END",
    None,
)
_GRACE: Final = option(
    "--grace", "How long the former secret stays valid, such as 7d or 12h; 0: not at all", values.duration, "DURATION",
    timedelta(days=7), shown="7d",
)  # fmt: skip
_UNSET: Final = repeated(
    "--unset",
    "Remove a right or a limit, such as ports: the user has what all have",
    values.oneOf(*(each.key for each in users.RIGHTS)),
    "KEY",
)

_TEXTS: Final = {
    each.key: _written(each)
    for each in (users.PORTS, users.EXCLUSIVE, users.MAX_TUNNELS, users.MAX_VISITORS, users.BANDWIDTH, users.FROM)
}
_WITH_CERTIFICATE: Final = switch(
    "--certificate", "The user has a certificate with this name, which the server demands, and no secret"
)
_RIGHTS: Final[tuple[Option[object], ...]] = (*_TEXTS.values(), _EXPIRES, users.ORIGINAL)
_PLACE: Final[tuple[Option[object], ...]] = (_USERS, _CONFIG)

#: The words after ``bore user``, what they do, and their options.
_ACTIONS: Final[dict[str, tuple[str, tuple[Option[object], ...]]]] = {
    "add": (
        "Add a user, and print the line by which the user joins.",
        (_NAME, *_RIGHTS, _WITH_CERTIFICATE, _ADDRESS, _SERVER_CERTIFICATE, *_PLACE),
    ),
    "list": ("List the users.", _PLACE),
    "show": ("Show what a user may do.", (_NAME, *_PLACE)),
    "change": ("Change what a user may do.", (_NAME, *_RIGHTS, _UNSET, *_PLACE)),
    "revoke": ("Remove a user.", (_NAME, *_PLACE)),
    "rotate": (
        "Give a user a new secret, and print the new line.",
        (_NAME, _GRACE, _ADDRESS, _SERVER_CERTIFICATE, *_PLACE),
    ),
}

ACTIONS: Final = ", ".join(_ACTIONS)

USAGE_TEXT: Final = (
    "usage: bore user COMMAND ...\n\nEdit the users file of a server.\n\ncommands:\n"
    + "".join(f"  {word:8} {summary.rstrip('.')}\n" for word, (summary, _) in _ACTIONS.items())
    + "\n'bore user COMMAND --help' lists the options of a command.\n"
)


def userCommand(action: str) -> Command[UserCommand] | None:
    """Return the command line of one of :data:`ACTIONS`; None if it is none of them."""
    if action not in _ACTIONS:
        return None
    summary, options = _ACTIONS[action]
    return Command(f"bore user {action}", summary, options, lambda found: _build(action, options, found))


def _build(action: str, options: Sequence[Option[object]], found: Values) -> UserCommand:
    name = found[_NAME] if _NAME in options else ""
    if name is None:
        raise UsageError(f"no NAME given: name the user, as in 'bore user {action} alice'")
    if name == SHARED and _WITH_CERTIFICATE in options and found[_WITH_CERTIFICATE]:
        raise UsageError(f"{_WITH_CERTIFICATE.name} is for a user with a name")
    config = found[_CONFIG]
    server = None if config is None else serverCommand("bore server").parse(["--config", str(config)])
    keys = _keys(found) if _EXPIRES in options else {}
    unset = found[_UNSET] if _UNSET in options else ()
    if action == "change" and not keys and not unset:
        raise UsageError(f"nothing to change: give one of {', '.join(each.name for each in _RIGHTS)} or --unset")
    for key in unset:
        if key in keys:
            raise UsageError(f"--{key} and --unset {key} exclude each other")
    return UserCommand(
        action,
        _file(found, server),
        name,
        keys,
        found[_WITH_CERTIFICATE] if _WITH_CERTIFICATE in options else False,
        unset,
        found[_GRACE] if _GRACE in options else timedelta(),
        found[_ADDRESS] if _ADDRESS in options else None,
        None if server is None else server.settings,
        found[_SERVER_CERTIFICATE] if _SERVER_CERTIFICATE in options else None,
        stateFolder(found.environment),
        runtimeFolders(found.environment),
    )


def _file(found: Values, server: ServerCommand | None) -> Path:
    file = found[_USERS]
    if server is not None and not found.flagged(_USERS):
        file = server.users or file
    if file is not None:
        return file
    if server is not None:
        raise UsageError(f'{found[_CONFIG]} names no users file: add users = "{_FILE_NAME}" to it, or give --users')
    folder = settingsFolder(found.environment)
    places = [each / _FILE_NAME for each in (folder, SYSTEM_SETTINGS) if each is not None]
    return next((each for each in places if each.exists()), places[0])


def _keys(found: Values) -> dict[str, Value]:
    """Return the keys of the file that the command line sets, in the order of the file."""
    keys: dict[str, Value] = {}
    for key, each in _TEXTS.items():
        texts = found[each]
        if texts is not None:
            plain = [int(text) if text.isdigit() else text for text in texts]
            keys[key] = plain if each.repeats else plain[0]
    end = found[_EXPIRES]
    if end is not None:
        keys[users.EXPIRES.key] = end
    if found[users.ORIGINAL]:
        keys[users.ORIGINAL.key] = True
    return keys
