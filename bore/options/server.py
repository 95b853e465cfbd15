"""The command line and the settings file of the server."""

# Longer than 300 lines: one list of options, and what is made of them.

from __future__ import annotations

import socket
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bore.commandline import Command, UsageError, Values
from bore.logs.settings import LogSettings
from bore.option import Option, option, repeated, switch
from bore.options import admin, clientcertificates, cluster, common, rules, statusport, values
from bore.server.settings import Bounds, ServerSettings, TrustedProxies
from bore.status.settings import AdminSettings, StatusPortSettings
from bore.system.descriptors import FOR_CLIENTS, descriptorsForVisitors, strangersShare
from bore.system.statefolder import stateFolder
from bore.tls.settings import ServerTls
from bore.wire.values import value
from bore.workers.settings import WorkerSettings

if TYPE_CHECKING:
    from bore.config.tables import Vocabulary


@value
class ServerCommand:
    """
    The result of parsing ``bore server``.

    :ivar file: its settings file; None: there is none.
    :ivar users: its users file; None: there is none. It is not read here.
    :ivar secretsInFile: whether its shared secrets are in a file.
    :ivar visitorLog: the file of the visitor log; None: there is none.
    :ivar admin: its admin socket; None: it has none.
    :ivar statusPort: where its status is served over HTTP; None: nowhere.
    :ivar drain: how long running streams may go on in a process that was replaced, in seconds.
    :ivar takeOver: whether it takes over from a running server.
    :ivar cluster: what it is a node of; None: of nothing.
    :ivar workers: its worker processes; None: it is one process, without a supervisor.
    """

    settings: ServerSettings
    log: LogSettings
    file: common.FileSettings | None = None
    users: Path | None = None
    secretsInFile: bool = False
    visitorLog: Path | None = None
    admin: AdminSettings | None = None
    statusPort: StatusPortSettings | None = None
    workers: WorkerSettings | None = None
    drain: int = WorkerSettings().drain
    takeOver: bool = False
    cluster: cluster.ClusterSettings | None = None


_DEFAULTS: Final = ServerSettings()
_BOUNDS: Final = _DEFAULTS.bounds


def _limit(flag: str, help: str, default: int) -> Option[int]:
    return option(flag, f"{help}; 0: unlimited", values.count, "NUMBER", default)


_MIN_PORT: Final = option(
    "--min-port", "Lowest public port", values.port, "PORT", _DEFAULTS.minPort, environment="BORE_MIN_PORT"
)
_MAX_PORT: Final = option(
    "--max-port", "Highest public port", values.port, "PORT", _DEFAULTS.maxPort, environment="BORE_MAX_PORT"
)
_ADDRESS: Final = option(
    "--bind-addr",
    "IP address of the control port; :: is IPv6 and IPv4",
    values.address,
    "ADDRESS",
    _DEFAULTS.bindAddr,
)
_TUNNEL_ADDRESS: Final = option(
    "--bind-tunnels", "IP address of the public ports", values.address, "ADDRESS", None, shown="same as --bind-addr"
)
_UNIX_FOLDERS: Final = repeated(
    "--unix-folder",
    "Let clients open Unix sockets as public addresses in this directory, and below it, such as /run/bore",
    values.socketFolder,
    "DIRECTORY",
    environment="BORE_UNIX_FOLDER",
)
_TRUSTED_PROXIES: Final = repeated(
    "--trusted-proxies",
    "Read a PROXY protocol header, version 1 or 2, at the begin of each connection from these networks, such as "
    "192.0.2.7,198.51.100.0/24, and of none from elsewhere; unix: on public addresses that are Unix sockets",
    values.trustedProxies,
    "NETWORK,...",
    environment="BORE_TRUSTED_PROXIES",
)
_CONTROL_PORT: Final = common.controlPort(
    "Port for clients; 0: chosen by the system. Original clients only use the default", values.portOrAny
)
_LEASE: Final = option(
    "--lease",
    "Reserve the port of a lost client for SECONDS; 0: release it at once",
    values.wholeSeconds,
    "SECONDS",
    _DEFAULTS.lease,
)
_WAITING: Final = option(
    "--max-waiting",
    "Visitors to accept per tunnel while its client is away; further ones stay in the kernel's queue; 0: close all",
    values.count,
    "NUMBER",
    _BOUNDS.waiting,
)
_LANES: Final = _limit(
    "--max-lanes", "Idle connections that a client may keep open for its next visitors", _BOUNDS.lanes
)
_RATE: Final = _limit("--visitor-rate", "New visitors per second from one address to one tunnel", _BOUNDS.visitorRate)
_TUNNELS: Final = _limit("--max-tunnels", "Tunnels in total", _BOUNDS.tunnels)
_SOURCE_TUNNELS: Final = _limit(
    "--max-tunnels-per-source", "Tunnels of clients with the same address", _BOUNDS.tunnelsPerSource
)
_PENDING: Final = _limit(
    "--max-pending", "Connections to the control port that have not sent a message yet", _BOUNDS.pending
)
_SOURCE_PENDING: Final = _limit(
    "--max-pending-per-source", "The same per address, if the address has no tunnel", _BOUNDS.pendingPerSource
)
_WRONG_SECRETS: Final = _limit(
    "--max-wrong-secrets",
    "Wrong secrets in a row from one address for one user; further ones are checked with a growing delay",
    _BOUNDS.wrongSecrets,
)
_TLS: Final = switch("--tls", "Require TLS on the control port")
_TLS_PORT: Final = option(
    "--tls-port",
    "Accept TLS on this port, and leave the control port without; 0: chosen by the system",
    values.portOrAny,
    "PORT",
    None,
    unquoted=True,
)
_CERTIFICATE: Final = option(
    "--tls-cert",
    "File with the certificate and its chain (PEM); reloaded when it changes",
    values.path,
    "PATH",
    None,
    shown="self-signed",
    isFile=True,
)
_KEY: Final = option(
    "--tls-key", "File with the private key (PEM) for --tls-cert", values.path, "PATH", None, isFile=True
)

_USERS: Final = option(
    "--users",
    "Users file (TOML), not readable by other users; reloaded when it changes",
    values.path,
    "PATH",
    None,
    environment="BORE_USERS",
    isFile=True,
)
_VISITOR_LOG: Final = option(
    "--visitor-log",
    "Write a line of JSON for each visitor to this file; reopened on SIGHUP and SIGUSR1",
    values.path,
    "PATH",
    None,
    isFile=True,
)

_WORKERS: Final = option(
    "--workers",
    "Serve clients in NUMBER processes behind a supervisor; auto: one for each core. 1 uses no more cores, and allows "
    "an upgrade without a gap, as each NUMBER does (Linux)",
    values.workers,
    "NUMBER|auto",
    None,
    shown="one process without a supervisor",
    unquoted=True,
)
_DRAIN: Final = option(
    "--drain",
    "How long running streams may go on in processes that were replaced, as by an upgrade or --take-over",
    values.wholeSeconds,
    "SECONDS",
    WorkerSettings().drain,
)

_TAKE_OVER: Final = switch(
    "--take-over",
    "Take over from the server that runs with the same control ports: nobody is refused, and its running streams go on "
    "(Linux; one process, without --workers)",
)

#: The options with a key in the file.
KEYS: Final[tuple[Option[object], ...]] = (
    _MIN_PORT,
    _MAX_PORT,
    _ADDRESS,
    _TUNNEL_ADDRESS,
    _UNIX_FOLDERS,
    _TRUSTED_PROXIES,
    _CONTROL_PORT,
    _LEASE,
    _WAITING,
    _LANES,
    _RATE,
    *rules.BOTH,
    _TUNNELS,
    _SOURCE_TUNNELS,
    _PENDING,
    _SOURCE_PENDING,
    _WRONG_SECRETS,
    _TLS,
    _TLS_PORT,
    _CERTIFICATE,
    _KEY,
    *clientcertificates.ALL,
    _USERS,
    _VISITOR_LOG,
    _WORKERS,
    _DRAIN,
    *cluster.ALL,
    *admin.KEYS,
    *common.KEYS,
)

#: The keys of a server's settings file.
SERVER_KEYS: Final = tuple(each.key for each in KEYS)

#: What the program has, and a server in another program has not.
OF_PROGRAM: Final[tuple[Option[object], ...]] = (
    _WORKERS,
    _DRAIN,
    *cluster.ALL,
    *admin.KEYS,
    *statusport.KEYS,
    *common.LOG.all,
)

#: Those that cannot change while the server runs: see :meth:`bore.server.service.ServerService.apply`.
FIXED: Final[tuple[Option[object], ...]] = (
    _ADDRESS,
    _TUNNEL_ADDRESS,
    _CONTROL_PORT,
    _LEASE,
    _TLS,
    _TLS_PORT,
    _USERS,
    _VISITOR_LOG,
    *cluster.ALL,
    *admin.KEYS,
    *statusport.KEYS,
    *common.LOG.all,
)


#: The options in groups, for the help.
_GROUPS: Final[dict[str, tuple[Option[object], ...]]] = {
    "connection": (_ADDRESS, _CONTROL_PORT, _LANES),
    "public addresses": (_MIN_PORT, _MAX_PORT, _TUNNEL_ADDRESS, _UNIX_FOLDERS),
    "trust": (
        _TRUSTED_PROXIES,
        common.SECRET,
        common.SECRET_FILE,
        _USERS,
        _TLS,
        _TLS_PORT,
        _CERTIFICATE,
        _KEY,
        *clientcertificates.ALL,
    ),
    "robustness": (_LEASE, _WAITING, common.HALF_OPEN),
    "limits": (
        *rules.BOTH,
        common.VISITORS,
        _RATE,
        _TUNNELS,
        _SOURCE_TUNNELS,
        _PENDING,
        _SOURCE_PENDING,
        _WRONG_SECRETS,
    ),
    "processes": (_WORKERS, _DRAIN, _TAKE_OVER),
    "cluster": cluster.ALL,
    "admin socket": admin.KEYS,
    "status port": statusport.KEYS,
    "settings and logs": (common.CONFIG, common.WATCH, *common.LOG.all, _VISITOR_LOG),
}


def serverCommand(name: str, forSupervisor: bool = False) -> Command[ServerCommand]:
    """
    Return the command line of the server.

    :param name: the program and the command, as the user writes them.
    :param forSupervisor: whether the certificates of a server with workers are left to the workers to read: then
        OpenSSL is not imported here.
    """
    return Command(
        name,
        "Run the server, which listens on public ports on behalf of its clients.",
        (*KEYS, common.SECRET, common.CONFIG, _TAKE_OVER),
        partial(_build, forSupervisor),
        _GROUPS,
        ("server --tls --secret-file secret.txt", "server --tls --users users.toml --min-port 20000 --max-port 20999"),
    )


def _build(forSupervisor: bool, found: Values) -> ServerCommand:
    path = found[common.CONFIG]
    if path is None:
        common.refuseWatch(found)
        settings = _settings(forSupervisor, found)
        return _made(found, settings, statusport.statusPort(found), None, _cluster(found, settings))
    from bore.config.tables import readFile

    file = readFile(path, _vocabulary())
    found = found.withKeys(file.keys)
    objection = common.objectionTo(path) if cluster.CLUSTER in file.keys and cluster.hasPassword(found) else None
    if objection is not None:
        file.add((cluster.CLUSTER.key,), f"has a password, and the file {objection}")
    settings = file.checked(partial(_settings, forSupervisor, found))
    status = file.checked(partial(statusport.statusPort, found))
    node = file.checked(partial(_cluster, found, settings))
    # With a supervisor, the number of workers can change; whether there is one cannot.
    fixed = (*FIXED, _WORKERS) if found[_WORKERS] is None else FIXED
    return _made(found, settings, status, common.fileSettings(found, path, KEYS, fixed), node)


def _made(
    found: Values,
    settings: ServerSettings,
    status: StatusPortSettings | None,
    file: common.FileSettings | None,
    node: cluster.ClusterSettings | None,
) -> ServerCommand:
    log, inFile, count = common.LOG.settings(found), common.secretsInFile(found), found[_WORKERS]
    return ServerCommand(
        settings,
        log,
        file,
        found[_USERS],
        inFile,
        found[_VISITOR_LOG],
        admin.settings(found),
        status,
        None if count is None else WorkerSettings(count, found[_DRAIN]),
        found[_DRAIN],
        _takesOver(found, settings),
        node,
    )


def _cluster(found: Values, settings: ServerSettings) -> cluster.ClusterSettings | None:
    """
    Return the settings of a node of a cluster; None: the server is not one.

    :raises UsageError: if it cannot be one.
    """
    node = cluster.clusterSettings(found, settings.tls, settings.controlPort)
    for each in (_WORKERS, _TAKE_OVER):
        if node is not None and found[each]:
            raise UsageError(
                f"{found.name(cluster.CLUSTER)} and {found.name(each)} exclude each other: a node is one process, and "
                "is stopped and started again for an upgrade, one node after the other"
            )
    return node


def _takesOver(found: Values, settings: ServerSettings) -> bool:
    """
    Return whether the server takes over from a running one.

    :raises UsageError: if it cannot.
    """
    if not found[_TAKE_OVER]:
        return False
    if found[_WORKERS] is not None:
        raise UsageError("--take-over is for a server of one process: one with workers has 'bore upgrade'")
    tls = settings.tls
    if not settings.controlPort or (tls is not None and tls.port == 0):
        raise UsageError("--take-over needs the control ports of the running server, and not port 0")
    if not hasattr(socket, "SO_PEERCRED"):
        raise UsageError("--take-over needs Linux")
    return True


#: Keys that users may try, and what is right instead.
_REFUSED: Final = {
    "secret": common.INSTEAD_OF_KEY,
    "server": "belongs into the settings file of a client",
    "tunnel": "belongs into the settings file of a client",
}


def _vocabulary() -> Vocabulary:
    from bore.config.tables import Vocabulary

    private = (
        common.SECRET_FILE,
        _KEY,
        _USERS,
        *clientcertificates.ALL,
        statusport.TOKEN_FILE,
        cluster.CLUSTER,
        cluster.KEY,
    )
    return Vocabulary(KEYS, private=private, refused=_REFUSED)


def _settings(forSupervisor: bool, found: Values) -> ServerSettings:
    lowest, highest = found[_MIN_PORT], found[_MAX_PORT]
    if lowest > highest:
        raise UsageError(f"{found.name(_MIN_PORT)} {lowest} is greater than {found.name(_MAX_PORT)} {highest}")
    return ServerSettings(
        minPort=lowest,
        maxPort=highest,
        secret=next(iter(common.secrets(found)), None),
        moreSecrets=common.secrets(found)[1:],
        bindAddr=found[_ADDRESS],
        bindTunnels=found[_TUNNEL_ADDRESS] or found[_ADDRESS],
        controlPort=found[_CONTROL_PORT],
        lease=found[_LEASE],
        bounds=_bounds(found),
        rules=rules.serverRules(found),
        halfOpenTimeout=found[common.HALF_OPEN],
        tls=_tls(found, readsFiles=not forSupervisor or found[_WORKERS] is None),
        portableRelay=common.isRelayPortable(found.environment),
        unixFolders=found[_UNIX_FOLDERS],
        trustedProxies=_trustedProxies(found),
    )


def _trustedProxies(found: Values) -> TrustedProxies:
    given = [each for some in found[_TRUSTED_PROXIES] for each in some]
    return TrustedProxies(tuple(each for each in given if each is not None), unix=None in given)


def _bounds(found: Values) -> Bounds:
    descriptors = descriptorsForVisitors(FOR_CLIENTS)
    return Bounds(
        pending=strangersShare(found[_PENDING], descriptors),
        pendingPerSource=found[_SOURCE_PENDING],
        tunnels=found[_TUNNELS],
        tunnelsPerSource=found[_SOURCE_TUNNELS],
        visitors=found[common.VISITORS],
        waiting=found[_WAITING],
        lanes=found[_LANES],
        visitorRate=found[_RATE],
        wrongSecrets=found[_WRONG_SECRETS],
        descriptors=descriptors,
    )


def _tls(found: Values, readsFiles: bool) -> ServerTls | None:
    """Return the settings for TLS, or None if it is not used. What is in its files is checked, if they are read."""
    port = found[_TLS_PORT]
    if found[_TLS] and port is not None:
        tls, other = found.name(_TLS), found.name(_TLS_PORT)
        raise UsageError(f"{tls} and {other} exclude each other: {tls} is TLS on the control port only")
    if not found[_TLS] and port is None:
        options = (_CERTIFICATE, _KEY, *clientcertificates.ALL)
        common.refuseWithoutTls(found, options, _TLS, found.name(_TLS_PORT))
        return None
    if port is not None and port == found[_CONTROL_PORT] != 0:
        raise UsageError(
            f"{found.name(_TLS_PORT)} {port} is the control port: give another port, or {found.name(_TLS)} instead"
        )
    clients = found[clientcertificates.AUTHORITIES]
    if port is not None and clients is not None and found[_USERS] is None and not common.secrets(found):
        raise UsageError(
            f"{found.name(clientcertificates.AUTHORITIES)} with {found.name(_TLS_PORT)} needs a secret: without one, "
            "anyone could open tunnels through the plain control port. Add a secret, or give "
            f"{found.name(_TLS)} instead of {found.name(_TLS_PORT)}"
        )
    if readsFiles:
        common.checkPair(found, _CERTIFICATE, _KEY)
        clientcertificates.check(found)
    revoked = found[clientcertificates.REVOKED]
    return ServerTls(port, found[_CERTIFICATE], found[_KEY], clients, stateFolder(found.environment), revoked)
