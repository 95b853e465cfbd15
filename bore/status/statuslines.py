"""The state of a program in one line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from bore.events import Event, Sink
from bore.events.client import ServerLost
from bore.events.server import Listening, ServerHandedOver

if TYPE_CHECKING:
    from bore.client.service import ClientService
    from bore.server.service import ServerService

#: The most public addresses in a line.
_SHOWN: Final = 3


class ServerLine:
    """The state of a server, such as ``listening on 0.0.0.0:7835; 2 tunnels, 1 client``."""

    def __init__(self, service: ServerService, sink: Sink) -> None:
        self._service = service
        self._places: list[str] = []
        self._successor = 0
        sink.subscribe(self._happened)

    def __call__(self) -> str:
        server = self._service.server
        if self._successor:
            return f"process {self._successor} has taken over; {_count(len(server.relay), 'visitor')} here"
        counts = f"{_count(len(server.tunnels), 'tunnel')}, {_count(len(server.sessions), 'client')}"
        return f"listening on {' and '.join(self._places)}; {counts}"

    def _happened(self, event: Event) -> None:
        if isinstance(event, Listening):
            self._places.append(event.at)
        elif isinstance(event, ServerHandedOver):
            self._successor = event.pid


class SupervisorLine:
    """
    The state of a server with workers, such as ``listening on 0.0.0.0:7835; 4 workers, 2 tunnels, 1 client``.

    :param clients: returns how many sessions the workers have reported.
    """

    def __init__(
        self,
        ports: Callable[[], Sequence[str]],
        workers: Callable[[], int],
        tunnels: Callable[[], int],
        clients: Callable[[], int],
    ) -> None:
        self._ports = ports
        self._workers = workers
        self._tunnels = tunnels
        self._clients = clients

    def __call__(self) -> str:
        counts = (self._workers(), "worker"), (self._tunnels(), "tunnel"), (self._clients(), "client")
        return f"listening on {' and '.join(self._ports())}; {', '.join(_count(*each) for each in counts)}"


class ClientLine:
    """
    The state of a client, such as ``up: example.com:20080``, or the reason why no tunnel is up.
    """

    def __init__(self, service: ClientService, sink: Sink) -> None:
        self._service = service
        self._lost = ""
        sink.subscribe(self._happened)

    def __call__(self) -> str:
        up, wanted = self._service.publicAddresses, len(self._service.tunnels)
        if not wanted:
            return "no tunnels in the settings file"
        if not up:
            return self._lost or "connecting"
        shown = ", ".join(up[:_SHOWN]) + (f" and {len(up) - _SHOWN} more" if len(up) > _SHOWN else "")
        return f"up: {shown}" if len(up) == wanted else f"{len(up)} of {wanted} tunnels up: {shown}"

    def _happened(self, event: Event) -> None:
        if isinstance(event, ServerLost):
            self._lost = f"{event.what.value} {event.server}: {event.why}; next attempt within {event.delay:.1f} s"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
