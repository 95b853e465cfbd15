"""
The values that make a snapshot, and their JSON (docs/status.rst).

The names of the fields are the keys; a trailing underscore is left out of these. What there can be thousands of is a
named tuple, which is made in a quarter of the time. Times are texts of RFC 3339 in UTC,
durations are in seconds, amounts of data in bytes. What does not apply is None.
"""
# Longer than 300 lines: one list of values, and how they become JSON.

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple, TypeAlias, TypeVar, cast

from bore.events import nameOf
from bore.status.history import History
from bore.status.slices import Work, mapped
from bore.wire.publicaddress import UNIX, PublicAddress, parseUnixPath
from bore.wire.values import value

#: A public address in JSON: a port, or a text such as ``unix:/run/bore/web.sock``.
Address: TypeAlias = int | str

T = TypeVar("T")
V = TypeVar("V")

#: A tunnel and its visitors; None: there is no such tunnel.
Visited: TypeAlias = tuple[T, list[V]] | None

#: Keys that only the report of a server with workers has.
OF_WORKERS: Final = frozenset(("worker", "generation", "workers", "supervisor", "deaths"))

#: Keys that only the report of a node of a cluster has.
OF_CLUSTER: Final = frozenset(("cluster", "forwards", "nodes"))

#: From this part of a limit on it is nearly reached.
NEARLY: Final = 0.8

#: What is limited of the whole server.
TUNNELS: Final = "tunnels"
UNCLASSIFIED: Final = "connections without a first message"
TUNNELS_OF_SOURCE: Final = "tunnels from one address"
TUNNELS_OF_USER: Final = "tunnels of one user"
VISITORS_OF_USER: Final = "visitors of one user"

#: The state of a tunnel at a worker that serves visitors of it, although another worker has it now.
MOVED: Final = "moved"

#: The state of a tunnel whose visitors are passed on to other nodes of the cluster.
FORWARDED: Final = "forwarded"

#: What is limited of each process.
DESCRIPTORS: Final = "descriptors"


class LanesReport(NamedTuple):
    """
    The lanes of a session.

    :ivar open: how many there are.
    :ivar busy: on how many of them there is a visitor.
    """

    open: int
    busy: int


@value
class PortsReport:
    """The public ports of a server: the lowest and the highest one."""

    from_: int
    to: int


@value
class ControlReport:
    """
    A control port.

    :ivar at: the address, as ``HOST:PORT``.
    :ivar fingerprint: of its key; None: it has no TLS.
    """

    at: str
    tls: bool
    fingerprint: str | None


class SessionReport(NamedTuple):
    """
    A session of a server.

    :ivar roundTrip: of its control connection, as the kernel has measured it.
    :ivar tunnels: their public addresses.
    :ivar worker: the number of the worker that has it, and its generation; None: the server has no workers.
    """

    peer: str
    network: str
    user: str
    extended: bool
    since: str
    uptime: float
    roundTrip: float | None
    lanes: LanesReport
    tunnels: Sequence[Address]
    worker: int | None = None
    generation: int | None = None


class CountsReport(NamedTuple):
    """
    The visitors of a server's tunnel.

    :ivar open: how many are served.
    :ivar waiting: how many wait for the client.
    :ivar total: how many were accepted since the tunnel was opened.
    :ivar refused: how many were closed as soon as they came.
    """

    open: int
    waiting: int
    total: int
    refused: int


class BytesReport(NamedTuple):
    """The bytes that a server's tunnel has passed on, those of visitors who are still there included."""

    toClient: int
    toVisitors: int


class TunnelReport(NamedTuple):
    """
    A tunnel of a server.

    :ivar peer: the client; None: it is away, or at other nodes of the cluster.
    :ivar state: ``up``, ``away``, ``heldBack``: it accepts no visitors for a while; or ``forwarded``: they are passed
        on to other nodes of the cluster.
    :ivar keptFor: how long its address is still kept; None: its client is there.
    :ivar worker: the number of the worker that has it, and its generation; None: the server has no workers, or the
        worker has ended and the client has not come back yet.
    :ivar nodes: the names of the nodes of the cluster that have a session of the tunnel, this one first; None: the
        server is not a node of one.
    """

    address: Address
    user: str
    network: str
    peer: str | None
    state: str
    since: str
    awaySince: str | None
    keptFor: float | None
    visitors: CountsReport
    bytes: BytesReport
    worker: int | None = None
    generation: int | None = None
    nodes: Sequence[str] | None = None


class VisitorReport(NamedTuple):
    """
    A visitor of a server's tunnel.

    :ivar from_: its address, as ``HOST:PORT``.
    :ivar state: ``waiting`` or ``served``.
    :ivar lane: the lane that it is on, as the log has it; None: it is on none.
    """

    id: str
    from_: str
    since: str
    seconds: float
    state: str
    lane: int | None
    toClient: int
    toVisitor: int


@value
class UserReport:
    """
    A user of a server.

    :ivar name: the name; empty: all who hold a shared secret.
    """

    name: str
    sessions: int
    tunnels: int
    visitors: int
    maxTunnels: int | None
    maxVisitors: int | None
    expires: str | None


@value
class LimitReport:
    """
    A limit.

    :ivar what: what is limited.
    :ivar whose: whose limit it is: an address, a user, or a tunnel; None: that of the program.
    """

    what: str
    whose: str | None
    used: int
    limit: int

    @property
    def isNearlyReached(self) -> bool:
        """Whether at least four fifths of it are in use."""
        return self.used >= NEARLY * self.limit


@value
class EventReport:
    """
    Something that has happened.

    :ivar event: what: the name of its kind.
    :ivar text: the same for people, with all its fields.
    :ivar worker: the number of the worker where it was, and its generation; None: the server has no workers, or it was
        at none of them.
    """

    at: str
    event: str
    text: str
    fields: Mapping[str, object]
    worker: int | None = None
    generation: int | None = None


@value
class ServerTotals:
    """
    What a server has done since its start.

    :ivar visitors: how many were accepted.
    :ivar open: how many of them are served now, also those of tunnels that are closed.
    :ivar refused: how often something was refused, by the code of the reason.
    :ivar events: how many events there were, by name, without those of single visitors.
    """

    visitors: int
    toClient: int
    toVisitors: int
    refused: Mapping[str, int]
    events: Mapping[str, int]
    open: int = 0


@value
class ProcessReport:
    """
    What a process uses.

    :ivar cpu: CPU time since its start, in seconds.
    :ivar memory: resident memory, in bytes.
    :ivar descriptors: how many are open.
    """

    cpu: float
    memory: int
    descriptors: int


@value
class WorkerReport:
    """
    A worker of a server.

    :ivar worker: its number.
    :ivar state: ``starting``, ``serving``, ``retired``, ``ending`` or ``hung``.
    :ivar answers: whether it has answered when it was asked last. If not, all about it is as it was when it did.
    :ivar visitors: how many it serves, also those of tunnels that are closed or have moved to another worker.
    :ivar process: None: it has not answered yet, or the system does not show it.
    """

    worker: int
    generation: int
    pid: int
    state: str
    since: str
    uptime: float
    answers: bool
    sessions: int
    tunnels: int
    visitors: int
    process: ProcessReport | None


@value
class NodeReport:
    """
    Another node of a cluster.

    :ivar state: ``up``, ``draining``, or ``away``.
    :ivar tunnels: how many public addresses it owns, alone or with others.
    :ivar beat: how long ago it has called the engine, as far as is known, in seconds.
    """

    name: str
    state: str
    advertise: str
    tunnels: int
    version: str
    beat: float


@value
class ClusterReport:
    """
    A cluster, as one of its nodes sees it.

    :ivar node: the name of the node.
    :ivar state: ``joining``, ``acting``, or ``holding``: it has acted, and new visitors of its tunnels wait.
    :ivar engineAway: for how many seconds the engine has not answered; None: it answers.
    :ivar recovering: whether the engine grants nothing, as it has lost what it knew.
    :ivar recoversIn: for how long that may still be so, in seconds; None: it is not.
    :ivar nodes: the other nodes, as they were when the engine answered last.
    """

    node: str
    state: str
    engineAway: float | None
    recovering: bool
    recoversIn: float | None
    nodes: Sequence[NodeReport]


@value
class ServerReport:
    """
    A server.

    :ivar state: ``running``, ``draining`` or ``stopping``.
    :ivar publicHost: the address of its public ports.
    :ivar admission: which clients may open tunnels.
    :ivar workers: None: the server is one process.
    :ivar supervisor: what the process that was asked uses, which in the report of a worker is the worker itself; None:
        the server is one process.
    :ivar deaths: how many workers have ended that should not; None: the server is one process.
    :ivar cluster: None: the server is not a node of one.
    :ivar forwards: the tunnels whose visitors it passes on to other nodes; None: the server is not a node of a cluster.
    """

    program: str
    version: str
    pid: int
    state: str
    since: str
    uptime: float
    control: Sequence[ControlReport]
    publicHost: str
    ports: PortsReport
    admission: str
    sessions: Sequence[SessionReport]
    tunnels: Sequence[TunnelReport]
    users: Sequence[UserReport]
    limits: Sequence[LimitReport]
    totals: ServerTotals
    recent: Sequence[EventReport]
    workers: Sequence[WorkerReport] | None = None
    supervisor: ProcessReport | None = None
    deaths: int | None = None
    cluster: ClusterReport | None = None
    forwards: Sequence[TunnelReport] | None = None


@value
class LinkReport:
    """
    A client's connection to a server.

    :ivar state: ``up``, ``away`` or ``connecting``.
    :ivar trust: why the server is trusted; None: there is no TLS.
    :ivar version: the server's version; None: it has not sent it.
    :ivar why: why there is no session; None: there is one, or no attempt has failed yet.
    :ivar retryIn: when the next attempt is made; None: there is a session, or an attempt is under way.
    """

    server: str
    state: str
    since: str
    awaySince: str | None
    roundTrip: float | None
    trust: str | None
    lanes: LanesReport
    user: str
    version: str | None
    why: str | None
    retryIn: float | None


class ClientCounts(NamedTuple):
    """
    The visitors of a client's tunnel.

    :ivar open: how many are served, or on their way to the local service.
    :ivar total: how many have come since the start.
    :ivar unserved: how many of them were not served.
    """

    open: int
    total: int
    unserved: int


class ClientBytes(NamedTuple):
    """The bytes that a client's tunnel has passed on, those of visitors who are still there included."""

    fromVisitors: int
    toVisitors: int


class ClientTunnelReport(NamedTuple):
    """
    A tunnel of a client.

    :ivar local: the local service.
    :ivar public: the public address, as ``HOST:PORT``; None: it was never up.
    :ivar server: the server that it is open at; None: it is not open.
    :ivar state: ``up``, ``away``, ``refused`` or ``givenUp``.
    :ivar why: why it was refused or given up.
    :ivar localState: ``up``, ``down``, or ``unknown``: neither a visitor nor a probe has shown it yet.
    """

    name: str
    local: str
    public: str | None
    server: str | None
    state: str
    since: str
    why: str | None
    localState: str
    visitors: ClientCounts
    bytes: ClientBytes


class ClientVisitorReport(NamedTuple):
    """
    A visitor of a client's tunnel.

    :ivar from_: its address, as ``HOST:PORT``; None: the server has not sent it.
    :ivar since: when the local service was reached for it; None: it was not, yet.
    :ivar state: ``waiting`` or ``served``.
    """

    id: str
    from_: str | None
    since: str | None
    seconds: float | None
    state: str
    lane: int | None
    fromVisitor: int
    toVisitor: int


@value
class ClientTotals:
    """What a client has done since its start: see :class:`ServerTotals`."""

    visitors: int
    unserved: int
    fromVisitors: int
    toVisitors: int
    refused: Mapping[str, int]
    events: Mapping[str, int]


@value
class ClientReport:
    """
    A client.

    :ivar state: ``up``: all tunnels are; ``partly``: some are; ``away``, ``connecting`` or ``stopping``.
    """

    program: str
    version: str
    pid: int
    state: str
    since: str
    uptime: float
    servers: Sequence[LinkReport]
    tunnels: Sequence[ClientTunnelReport]
    totals: ClientTotals
    recent: Sequence[EventReport]


def timeText(seconds: float) -> str:
    """A time as text (RFC 3339)."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def addressOf(address: PublicAddress) -> Address:
    """A public address in JSON."""
    return address if isinstance(address, int) else str(address)


def addressNamed(text: str) -> PublicAddress | None:
    """The public address that a text names, as in a path of HTTP; None: it names none."""
    if text.startswith(UNIX):
        try:
            return parseUnixPath(text.removeprefix(UNIX))
        except ValueError:
            return None
    return int(text) if text.isascii() and text.isdigit() and len(text) < 6 else None


def eventReport(at: float, entry: Mapping[str, object]) -> EventReport:
    """
    Report an event.

    :param at: when it happened, in seconds since the epoch.
    :param entry: see :func:`bore.events.entryOf`.
    """
    fields = {key: _plain(each) for key, each in entry.items() if key != "event"}
    name = str(entry["event"])
    shown = ", ".join(f"{key} {_short(each)}" for key, each in fields.items() if each not in (None, ""))
    words = name.replace("-", " ")
    return EventReport(timeText(at), name, f"{words}: {shown}" if shown else words, fields)


def _short(field: object) -> str:
    """A field for people, to whom a tenth of a second is enough."""
    return f"{field:.1f}" if isinstance(field, float) else str(field)


def eventReports(history: History) -> Work[list[EventReport]]:
    """Report the last events, the oldest first."""
    return mapped(lambda entry: eventReport(*entry), list(history.recent))


def eventCounts(history: History) -> dict[str, int]:
    """How many events there were of each kind, by its name."""
    return {nameOf(kind): count for kind, count in history.counts.items()}


def toJson(report: object) -> object:
    """What the values of a snapshot are in JSON: dictionaries, lists, texts, numbers and None."""
    if report is None or isinstance(report, str | int | float):
        return report
    if isinstance(report, Mapping):
        return {key: toJson(each) for key, each in report.items()}
    if isList(report):
        return [toJson(each) for each in cast("Sequence[object]", report)]
    return {key: toJson(each) for key, each in fieldsIn(report)}


def jsonParts(report: object) -> Iterator[str]:
    """
    The JSON of a report, or of what is in a mapping, in parts that each take a fraction of a millisecond.

    Together they are one line. The value must not change meanwhile.
    """
    before = "{"
    for key, each in fieldsIn(report):
        yield f"{before}{json.dumps(key)}: "
        before = ", "
        if isList(each):
            yield "["
            for number, one in enumerate(cast("Sequence[object]", each)):
                yield ("," if number else "") + json.dumps(toJson(one))
            yield "]"
        else:
            yield json.dumps(toJson(each))
    yield "}\n"


def fieldsIn(report: object) -> Iterator[tuple[str, object]]:
    """The fields of a report, or of a mapping, by their keys."""
    if isinstance(report, Mapping):
        return iter(report.items())
    names: tuple[str, ...] = getattr(report, "__match_args__", ())
    return (
        (name.rstrip("_"), each)
        for name in names
        if (each := getattr(report, name)) is not None or name not in OF_WORKERS | OF_CLUSTER
    )


def isList(report: object) -> bool:
    """Whether a value in a report is a list: neither a report of its own, nor a text."""
    return isinstance(report, Sequence) and not isinstance(report, str) and not hasattr(report, "__match_args__")


def _plain(field: object) -> object:
    """A field of an event in JSON."""
    return field if isinstance(field, str | int | float | bool | None) else str(field)
