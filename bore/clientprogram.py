"""What ``bore local``, ``bore up`` and the twistd plugin run: the client, and what reloads its settings file."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

from bore.client.log import logged
from bore.client.service import ClientService
from bore.client.tunneldiff import diff
from bore.options.client import ClientCommand
from bore.startup import IProgramReactor

if TYPE_CHECKING:
    from bore.events import Sink
    from bore.operated import OperatedProgram
    from bore.programservice import ProgramService
    from bore.reloading import Reloading
    from bore.screen.screen import Screen
    from bore.status.history import History
    from bore.status.questions import Route
    from bore.status.routes import Operated
    from bore.status.settings import AdminSettings, StatusPortSettings
    from bore.statusprogram import WithStatusPort

    Program: TypeAlias = ClientService | Reloading[ClientCommand] | ProgramService | WithStatusPort


def clientProgram(
    reactor: IProgramReactor, command: ClientCommand, load: Callable[[], ClientCommand], screen: Screen | None = None
) -> tuple[ClientService, Program | OperatedProgram]:
    """
    Make the client.

    :param load: parses the command line again.
    :param screen: shows the client; None: there is none.
    :returns: the client, and the service to start, which contains it.
    :raises bore.commandline.NotPossible: if its admin socket or its status port cannot be opened.
    """
    sink = logged(reactor, command.log.visitors)
    history = None if command.admin is None and command.statusPort is None else _history(sink)
    service = ClientService(reactor, command.settings, command.tunnels, sink)
    if screen is not None:
        from bore.screen.start import show

        show(screen, reactor, service, sink, visits=not command.log.visitors)
    program: Program = service if command.file is None else _withFile(reactor, sink, command, load, service)
    if "NOTIFY_SOCKET" in os.environ:
        program = _withNotices(reactor, sink, service, program)
    if command.statusPort is not None and history is not None:
        program = _withStatusPort(reactor, sink, command.statusPort, service, program, history)
    if command.admin is None or history is None:
        return service, program
    return service, _administered(reactor, sink, command.admin, service, program, history)


def _history(sink: Sink) -> History:
    from bore.events.client import VisitorRefused
    from bore.status.history import History

    return History(sink, VisitorRefused)


def _withNotices(reactor: IProgramReactor, sink: Sink, service: ClientService, program: Program) -> ProgramService:
    """Have the service manager that has started the program know its state."""
    from bore.status.statuslines import ClientLine
    from bore.supervised import supervised

    return supervised(reactor, sink, program, program.reload, ClientLine(service, sink), lambda: service.alive)


def _withFile(
    reactor: IProgramReactor,
    sink: Sink,
    command: ClientCommand,
    load: Callable[[], ClientCommand],
    service: ClientService,
) -> Reloading[ClientCommand]:
    """Have a client read its settings file again."""
    from bore.reloading import Reloading

    def apply(new: ClientCommand) -> Sequence[str]:
        changes = diff(service.tunnels, new.tunnels)
        service.apply(new.tunnels)
        service.applySettings(new.settings)
        counts = {"added": changes.added, "changed": changes.changed, "removed": changes.removed}
        return [f"{_tunnels(len(each))} {word}" for word, each in counts.items() if each]

    return Reloading(reactor, sink, service, command, load, apply)


def _withStatusPort(
    reactor: IProgramReactor,
    sink: Sink,
    settings: StatusPortSettings,
    service: ClientService,
    program: Program,
    history: History,
) -> WithStatusPort:
    """Give a client a status port."""
    from bore.status.client import ClientStatus
    from bore.status.traffic import Traffic
    from bore.statusprogram import WithStatusPort

    status = ClientStatus(reactor, service, history)
    traffic = Traffic(reactor, status.take)

    def makeRoutes() -> Mapping[str, Route]:
        from bore.status.portroutes import clientRoutes

        return clientRoutes(reactor, status, traffic, settings)

    return WithStatusPort(reactor, sink, settings, program, makeRoutes, traffic)


def _administered(
    reactor: IProgramReactor,
    sink: Sink,
    settings: AdminSettings,
    service: ClientService,
    program: Program,
    history: History,
) -> OperatedProgram:
    """Give a client an admin socket."""
    from bore.operated import OperatedProgram

    def makeRoutes(operated: Operated) -> Route:
        from bore.status.client import ClientStatus
        from bore.status.clientroutes import clientRoutes

        return clientRoutes(ClientStatus(reactor, service, history), operated)

    def name() -> str:
        return f"client-{os.getpid()}"

    return OperatedProgram(reactor, sink, settings, program, service.drain, history, name, makeRoutes)


def _tunnels(count: int) -> str:
    return "1 tunnel" if count == 1 else f"{count} tunnels"
