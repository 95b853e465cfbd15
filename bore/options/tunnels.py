"""The tunnels of a client: from the command line, or from the tables of a settings file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from bore.client.target import AnyTarget, Target
from bore.client.tunnelspec import TunnelSpec
from bore.commandline import UsageError, Values
from bore.option import Option, option, repeated, switch
from bore.options import common, rules, values
from bore.options.localservice import localService, localServiceOrTunnel
from bore.streams.addresses import parsePort
from bore.streams.socketoptions import canPace
from bore.wire.proxyprotocol import Version
from bore.wire.publicaddress import UNIX, PublicAddress

if TYPE_CHECKING:
    from bore.config.tables import Keys, SettingsFile


_VERSIONS: Final = tuple(each.value for each in Version)


def _version(text: str) -> Version:
    return Version(values.oneOf(*_VERSIONS)(text))


def _addresses(text: str) -> Sequence[PublicAddress]:
    """Parse a public port, 0, a range of public ports, or a Unix socket at the server."""
    if text.startswith(UNIX):
        return (values.publicAddress(text),)
    first, dash, last = text.partition("-")
    try:
        lowest = parsePort(first, lowest=1 if dash else 0)
        highest = parsePort(last, lowest=lowest) if dash else lowest
    except ValueError:
        raise ValueError("must be a number from 0 to 65535, a range such as 27015-27020, or unix:PATH") from None
    return range(lowest, highest + 1)


#: The table in a settings file whose entries are the tunnels.
TUNNEL: Final = "tunnel"

#: Only for the defaults of the other fields.
_TARGET: Final = Target(0)
_DEFAULTS: Final = TunnelSpec(_TARGET)

LOCAL: Final = repeated(
    "local-port",
    "Local services to show: PORT, HOST:PORT, [ADDRESS]:PORT or unix:PATH, each with or without the public port for "
    "it, as in 5432:20432, or a Unix socket at the server, as in 3000:unix:/run/bore/web.sock",
    localServiceOrTunnel,
    "LOCAL",
    environment="BORE_LOCAL_PORT",
)
LOCAL_HOST: Final = option("-l --local-host", "Host of local services given by port", values.host, "HOST", _TARGET.host)
PORT: Final = option(
    "-p --port",
    "Public port to request from the server; 0: any; or unix:PATH, a Unix socket at the server",
    values.publicAddress,
    "PORT",
    _DEFAULTS.public,
)
PROXY_PROTOCOL: Final = option(
    "--proxy-protocol",
    "Send the visitor's address to the local service in a PROXY protocol header, version v1 or v2",
    _version,
    "VERSION",
    _DEFAULTS.proxyProtocol,
    choices=_VERSIONS,
)

BANDWIDTH: Final = option(
    "--bandwidth",
    "Limit each visitor's stream to this rate, in each direction, such as 10 MB/s",
    values.rate,
    "RATE",
    None,
    shown="unlimited",
)

NO_ERROR_PAGE: Final = switch(
    "--no-error-page",
    "When the local service cannot be reached, close all visitors: by default those that speak HTTP get an error page "
    "(502)",
)
NO_PROBE: Final = switch(
    "--no-probe",
    "Do not connect to the local service, at start and while it cannot be reached, to find out whether it answers",
)

#: Options that a settings file has at its top, for all tunnels, and in each table of a tunnel.
OF_TUNNEL: Final[tuple[Option[object], ...]] = (
    PROXY_PROTOCOL,
    common.VISITORS,
    BANDWIDTH,
    NO_ERROR_PAGE,
    NO_PROBE,
    *rules.BOTH,
)

#: The keys of a tunnel whose values are more than those of an option.
_LOCAL_KEY: Final = option(
    "local", "local service: PORT, HOST:PORT, [ADDRESS]:PORT or unix:PATH", localService, "LOCAL", None,
    unquoted=True,
)  # fmt: skip
_PORT_KEY: Final = option(
    "port", "public port, a range of them, or unix:PATH at the server", _addresses, "PORT", None, unquoted=True
)

#: The keys in a table of a tunnel.
KEYS: Final[tuple[Option[object], ...]] = (_LOCAL_KEY, _PORT_KEY, *OF_TUNNEL)

#: Those that it must have.
REQUIRED: Final[tuple[Option[object], ...]] = (_LOCAL_KEY,)


def fromWords(found: Values) -> tuple[TunnelSpec, ...]:
    """
    Return the tunnels of a command line.

    :raises UsageError: if there is none, or if options contradict each other.
    """
    services = found[LOCAL]
    if not services:
        raise UsageError("no LOCAL given: name the local port to show, as in 'bore local 8000 --to example.com'")
    if len(services) > 1 and found.given(PORT):
        raise UsageError(
            "--port names the public port of one local service, and there are several: write it behind each, as in "
            f"{services[0].text.split(':')[0]}:{found[PORT] or 20000}"
        )
    if found.given(LOCAL_HOST) and all(each.host is not None or each.path is not None for each in services):
        raise UsageError("--local-host has no effect: each local service has a host of its own")
    made: dict[str, TunnelSpec] = {}
    public: dict[PublicAddress, str] = {}
    for each in services:
        if each.public is not None and found.given(PORT):
            raise UsageError(f"{each.text!r} names a public port, and so does --port: give only one of them")
        port = found[PORT] if each.public is None else each.public
        if each.text in made:
            raise UsageError(f"{each.text!r} is given twice")
        if port in public:
            raise UsageError(f"{each.text!r} has the public port of {public[port]!r}: give each its own")
        if port:
            public[port] = each.text
        written = {} if each.public is None else {PORT.name: f"the public port in {each.text!r}"}
        made[each.text] = _spec(found, each.text, each.target(found[LOCAL_HOST]), port, written)
    return tuple(made.values())


def provided(found: Values) -> TunnelSpec:
    """
    Return the tunnel of a local service that another program provides: its target is still to be replaced.

    :raises UsageError: if options contradict each other.
    """
    return _spec(found, "", _TARGET, found[PORT], {})


def fromFile(found: Values, file: SettingsFile) -> tuple[TunnelSpec, ...]:
    """
    Return the tunnels of a settings file. Mistakes in their tables go to the file.

    :param found: the values at the top of the file, and those of the command line.
    """
    made: dict[str, TunnelSpec] = {}
    public: dict[PublicAddress, str] = {}
    for name, keys in file.tunnels.items():
        if not keys:
            continue  # there are mistakes in it
        at = (TUNNEL, name)
        here = found.withKeys(keys, KEYS)
        local, ports = here[_LOCAL_KEY], here[_PORT_KEY] or range(1)
        assert local is not None
        if local.path is not None and len(ports) > 1:
            file.add((*at, "port"), "is a range, and a Unix socket is one service: give it one port")
            continue
        if local.port + len(ports) - 1 > 65535:
            file.add((*at, "local"), f"{local.port} to {local.port + len(ports) - 1} goes beyond 65535")
            continue
        target = local.target(here[LOCAL_HOST])
        written = _written(here, keys, at)
        for number, port in enumerate(ports):
            nth = name if len(ports) == 1 else f"{name}-{number}"
            if nth in made:
                file.add(at, f"the name of {nth!r} is taken: rename one of the two")
                break
            if port in public:
                file.add((*at, "port"), f"{port} is the public port of {public[port]!r} already: give each its own")
                break
            if port:
                public[port] = nth
            try:
                made[nth] = _spec(here, nth, _plus(target, number), port, written)
            except UsageError as e:
                file.add(at, str(e))
                break
    if not file.hasTables:
        file.add((), "has no tunnel: add a table such as [tunnel.web] with local = 8000")
    return tuple(made.values())


def _plus(target: AnyTarget, number: int) -> AnyTarget:
    """Return the target this many ports above another one."""
    return replace(target, port=target.port + number) if isinstance(target, Target) else target


def _written(here: Values, keys: Keys, at: Sequence[str]) -> dict[str, str]:
    """Return how a file has written the options of a tunnel: in its table, which is at this path, or at its top."""
    from bore.config.mistakes import keyName

    names = {each: each.name for each in OF_TUNNEL}
    names |= {_PORT_KEY: PORT.name}
    return {
        flag: keyName((*at, each.key)) if each in keys and not here.flagged(each) else here.name(each)
        for each, flag in names.items()
        if here.given(each)
    }


def _spec(found: Values, name: str, target: AnyTarget, public: PublicAddress, written: Mapping[str, str]) -> TunnelSpec:
    """
    Make one tunnel.

    :param written: how the user has written its options, by flag.
    :raises UsageError: if options contradict each other.
    """
    rate = found[BANDWIDTH] or 0
    if rate and not canPace():
        raise UsageError(
            f"{found.name(BANDWIDTH)}: this system cannot limit the rate of a connection (Linux can): leave it out"
        )
    own = rules.tunnelRules(found)
    if own and not isinstance(public, int):
        name = found.name(rules.ALLOW if own.allow else rules.DENY)
        raise UsageError(
            f"{name} has no effect on {public}, as visitors of a Unix socket have no address: give it to other "
            "tunnels only. Who may connect is up to the group of the socket, and to what is in front of it"
        )
    return TunnelSpec(
        target,
        public,
        found[PROXY_PROTOCOL],
        found[common.VISITORS],
        name,
        own,
        rate,
        errorPage=not found[NO_ERROR_PAGE],
        probe=not found[NO_PROBE],
        written=written,
    )
