"""The command lines and the settings file of the client."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bore.client.settings import ClientSettings
from bore.client.tunnelspec import TunnelSpec
from bore.commandline import Command, UsageError, Values
from bore.logs.settings import LogSettings
from bore.option import Option, option, switch
from bore.options import admin, common, rules, servers, statusport, tunnels, values
from bore.status.settings import AdminSettings, StatusPortSettings
from bore.system.descriptors import FOR_CONTROL, descriptorsForVisitors
from bore.system.statefolder import settingsFolder, stateFolder

if TYPE_CHECKING:
    from bore.config.tables import Vocabulary


@dataclass(frozen=True, slots=True)
class ClientCommand:
    """
    The result of parsing ``bore local`` or ``bore up``.

    :ivar file: its settings file; None: there is none.
    :ivar admin: its admin socket; None: it has none.
    :ivar statusPort: where its status is served over HTTP; None: nowhere.
    :ivar quiet: whether there is no screen, even on a terminal.
    """

    settings: ClientSettings
    tunnels: tuple[TunnelSpec, ...]
    log: LogSettings
    file: common.FileSettings | None = None
    admin: AdminSettings | None = None
    statusPort: StatusPortSettings | None = None
    quiet: bool = False


#: Only for the defaults of the other fields.
_DEFAULTS: Final = ClientSettings(servers=())

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
_FAIL_FAST: Final = switch(
    "--fail-fast", "Before the first tunnel is up, exit at a failure that a retry is unlikely to solve: for scripts"
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
_QUIET: Final = switch("-q --quiet", "Show no screen on a terminal: print the address and the log alone")
_FILE: Final = option(
    "file",
    "File (TOML) with tunnels and options",
    values.path,
    "FILE",
    None,
    shown="./bore.toml, or else ~/.config/txbore/bore.toml",
)

#: The options with a key in the file.
KEYS: Final[tuple[Option[object], ...]] = (
    servers.TO,
    tunnels.LOCAL_HOST,
    servers.CONTROL_PORT,
    tunnels.PROXY_PROTOCOL,
    tunnels.BANDWIDTH,
    tunnels.NO_ERROR_PAGE,
    tunnels.NO_PROBE,
    *rules.BOTH,
    _NO_STATE,
    _NO_RECONNECT,
    _MAX_DELAY,
    _FAILURES,
    _FAIL_FAST,
    _LANES,
    servers.NODES,
    _CHECK,
    *servers.OF_TLS,
    *admin.KEYS,
    *common.KEYS,
)

#: The keys at the top of a client's settings file.
CLIENT_KEYS: Final = (tunnels.TUNNEL, *(each.key for each in KEYS))

#: Other keys that users may try at its top.
STRAY_KEYS: Final = ("to", *(each.key for each in tunnels.KEYS))

#: Those that cannot change while the client runs: see :mod:`bore.client.settingsdiff`.
FIXED: Final[tuple[Option[object], ...]] = (*admin.KEYS, *statusport.KEYS, *common.LOG.all)

_OPTIONS: Final[tuple[Option[object], ...]] = (*KEYS, common.SECRET, _QUIET)

#: The options in groups, for the help.
GROUPS: Final[dict[str, tuple[Option[object], ...]]] = {
    "connection": (servers.TO, servers.CONTROL_PORT, _LANES),
    "local services": (
        tunnels.LOCAL,
        tunnels.LOCAL_HOST,
        tunnels.PROXY_PROTOCOL,
        tunnels.NO_ERROR_PAGE,
        tunnels.NO_PROBE,
    ),
    "public address": (tunnels.PORT, _NO_STATE),
    "trust": (common.SECRET, common.SECRET_FILE, *servers.OF_TLS),
    "robustness": (_NO_RECONNECT, _MAX_DELAY, _FAILURES, _FAIL_FAST, _CHECK, common.HALF_OPEN),
    "limits": (*rules.BOTH, common.VISITORS, tunnels.BANDWIDTH),
    "admin socket": admin.KEYS,
    "status port": statusport.KEYS,
    "settings and logs": (_FILE, common.CONFIG, common.WATCH, *common.LOG.all, _QUIET),
}


#: The options of the command line with local services.
LOCAL_OPTIONS: Final[tuple[Option[object], ...]] = (
    tunnels.LOCAL,
    servers.TO,
    tunnels.LOCAL_HOST,
    tunnels.PORT,
    *_OPTIONS[2:],
    common.CONFIG,
)


def clientCommand(name: str) -> Command[ClientCommand]:
    """
    Return the command line of the client.

    :param name: the program and the command, as the user writes them.
    """
    examples = (
        "local 8000 --to tls://tunnel.example.com --secret-file secret.txt",
        "local 3000 5432:20432 nas.lan:80:8080 --to tls://tunnel.example.com",
    )
    summary = "Show local services to the world through a server."
    return Command(name, summary, LOCAL_OPTIONS, commandOf, GROUPS, examples)


def upCommand(name: str) -> Command[ClientCommand]:
    """
    Return the command line of the client with a settings file.

    :param name: the program and the command, as the user writes them.
    """
    groups = {title: tuple(each for each in options if each is not tunnels.LOCAL) for title, options in GROUPS.items()}
    examples = ("up", "up tunnels.toml --watch")
    return Command(name, "Show the local services in a settings file.", (_FILE, *_OPTIONS), _buildUp, groups, examples)


def libraryCommand(name: str) -> Command[ClientCommand]:
    """
    Return the options of a tunnel in another program, which has its own log, and may provide the local service itself.

    :param name: what errors call the whole.
    """
    keys = [each for each in KEYS if each not in (*FIXED, common.WATCH)]
    return Command(
        name, "A tunnel in another program.", (tunnels.LOCAL, tunnels.PORT, *keys, common.SECRET), _buildPart
    )


def _buildPart(found: Values) -> ClientCommand:
    specs = tunnels.fromWords(found) if found[tunnels.LOCAL] else (tunnels.provided(found),)
    return ClientCommand(_settings(found), specs, LogSettings())


def commandOf(found: Values, bare: bool = False) -> ClientCommand:
    """
    Return the client of a command line with local services.

    :param bare: whether it may name none; then there is a tunnel without a service.
    """
    file = found[common.CONFIG]
    if file is not None:
        for each in (tunnels.LOCAL, tunnels.PORT):
            if found.given(each):
                raise UsageError(f"{each.name} and --config exclude each other: the file names the tunnels")
        return _fromFile(found, file)
    common.refuseWatch(found)
    specs = (tunnels.provided(found),) if bare and not found[tunnels.LOCAL] else tunnels.fromWords(found)
    _refuseUselessCheck(found, specs)
    settings, status, quiet = _settings(found), statusport.statusPort(found), found[_QUIET]
    return ClientCommand(settings, specs, common.LOG.settings(found), None, admin.settings(found), status, quiet)


def _buildUp(found: Values) -> ClientCommand:
    file = found[_FILE]
    if file is not None:
        return _fromFile(found, file)
    here, folder = Path("bore.toml"), settingsFolder(found.environment)
    others = [] if folder is None else [folder / here]
    for each in (here, *others):
        if each.exists():
            return _fromFile(found, each)
    raise UsageError(
        f"no FILE given, and there is no {' and no '.join(map(str, (here, *others)))}: name the file, as in "
        "'bore up tunnels.toml'"
    )


def _fromFile(found: Values, path: Path) -> ClientCommand:
    from bore.config.tables import readFile

    file = readFile(path, _vocabulary())
    found = found.withKeys(file.keys)
    objection = common.objectionTo(path) if servers.TO in file.keys and servers.hasSecret(found) else None
    if objection is not None:
        file.add((servers.TO.key,), f"has a secret, and the file {objection}")
    specs = tunnels.fromFile(found, file)
    settings = file.checked(partial(_settings, found))
    file.checked(partial(_refuseUselessCheck, found, specs))
    status = file.checked(partial(statusport.statusPort, found))
    fileSettings = common.fileSettings(found, path, KEYS, FIXED)
    logged, quiet = common.LOG.settings(found), found[_QUIET]
    return ClientCommand(settings, specs, logged, fileSettings, admin.settings(found), status, quiet)


def _vocabulary() -> Vocabulary:
    from bore.config.tables import Vocabulary

    return Vocabulary(
        KEYS,
        tunnels.KEYS,
        tunnels.REQUIRED,
        private=(common.SECRET_FILE, *servers.OF_TLS[1:], statusport.TOKEN_FILE),
        refused={
            "secret": common.INSTEAD_OF_KEY,
            "to": "unknown key; did you mean 'server'?",
            "local-port": "unknown key; did you mean 'local', in a [tunnel.NAME] table?",
        },
    )


def _refuseUselessCheck(found: Values, specs: Sequence[TunnelSpec]) -> None:
    """
    Refuse checks of public ports if there is no public port.

    :raises UsageError: if so.
    """
    if found[_CHECK] and specs and not any(isinstance(each.public, int) for each in specs):
        raise UsageError(
            f"{found.name(_CHECK)} has no effect: a client cannot connect to a Unix socket of the server. Leave it out"
        )


def _settings(found: Values) -> ClientSettings:
    member = servers.membership(found)
    own = None if member is None or found.given(common.SECRET) or found.given(common.SECRET_FILE) else member.secret
    return ClientSettings(
        servers=servers.servers(found) if member is None else (member.server,),
        secret=common.secret(found) if own is None else own,
        reconnect=not found[_NO_RECONNECT],
        maxReconnectDelay=found[_MAX_DELAY],
        exitAfterFailures=found[_FAILURES],
        failFast=found[_FAIL_FAST],
        checkEvery=found[_CHECK],
        stateFolder=None if found[_NO_STATE] else stateFolder(found.environment),
        lanes=found[_LANES],
        nodes=found[servers.NODES],
        tls=servers.tls(found, None if member is None else member.pins),
        descriptors=descriptorsForVisitors(FOR_CONTROL),
        halfOpenTimeout=found[common.HALF_OPEN],
        portableRelay=common.isRelayPortable(found.environment),
        user="" if member is None else member.user,
    )
