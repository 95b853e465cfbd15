"""What ``bore local``, ``bore up`` and the twistd plugin run: the client, and what reloads its settings file."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

from bore.client.log import logged
from bore.client.service import ClientService
from bore.client.tunneldiff import diff
from bore.handover.place import isSuccessor
from bore.options.client import ClientCommand
from bore.startup import IProgramReactor
from bore.system.signals import handleUpgrade

if TYPE_CHECKING:
    from bore.events import Sink
    from bore.handover.place import Belonging, Listening
    from bore.handover.successor import Successor
    from bore.operated import OperatedProgram
    from bore.programservice import ProgramService
    from bore.reloading import Reloading
    from bore.screen.screen import Screen
    from bore.status.history import History
    from bore.status.notices import Notices
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
    successor = _successor(reactor, sink) if isSuccessor(os.environ) else None
    history = None if command.admin is None and command.statusPort is None else _history(sink)
    service = ClientService(reactor, command.settings, command.tunnels, sink)
    if screen is not None:
        from bore.screen.start import show

        show(screen, reactor, service, sink, visits=not command.log.visitors)
    belongings: list[Belonging] = []
    port: WithStatusPort | None = None
    program: Program = service
    if command.file is not None:
        program = reloading = _withFile(reactor, sink, command, load, service)
        belongings.append(reloading)
    if "NOTIFY_SOCKET" in os.environ:
        program, notices = _withNotices(reactor, sink, service, program, successor)
        belongings.insert(0, notices)  # in front, as it alone may have to be tried again
    if command.statusPort is not None and history is not None:
        program = port = _withStatusPort(reactor, sink, command.statusPort, service, program, history, successor)
        belongings.append(port)
    operated: OperatedProgram | None = None
    if command.admin is not None and history is not None:
        operated = _administered(reactor, sink, command.admin, service, program, history, successor)
        belongings.append(operated)
    if successor is not None:
        successor.prepare(service, belongings)
    _followUpgrades(reactor, sink, service, belongings, port)
    return service, operated or program


def _successor(reactor: IProgramReactor, sink: Sink) -> Successor:
    from bore.handover.successor import Successor

    return Successor(reactor, sink, os.environ)


def _followUpgrades(
    reactor: IProgramReactor,
    sink: Sink,
    service: ClientService,
    belongings: Sequence[Belonging],
    port: WithStatusPort | None,
) -> None:
    """Have SIGUSR2 start a process that takes over from this one."""
    begin: Callable[[], None] | None = None

    def upgrade() -> None:
        nonlocal begin
        if begin is None:
            from bore.handover.predecessor import Predecessor
            from bore.handover.start import whyNot

            def listening() -> Listening | None:
                return None if port is None else port.listening

            begin = Predecessor(reactor, sink, service, belongings, listening, whyNot).begin
        begin()

    reactor.callWhenRunning(handleUpgrade, reactor, upgrade)


def _history(sink: Sink) -> History:
    from bore.events.client import VisitorRefused
    from bore.status.history import History

    return History(sink, VisitorRefused)


def _withNotices(
    reactor: IProgramReactor, sink: Sink, service: ClientService, program: Program, successor: Successor | None
) -> tuple[ProgramService, Notices]:
    """Have the service manager that has started the program know its state."""
    from bore.status.statuslines import ClientLine
    from bore.supervised import withNotices

    line, waits = ClientLine(service, sink), successor is not None
    return withNotices(reactor, sink, program, program.reload, line, lambda: service.alive, waits)


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
    successor: Successor | None,
) -> WithStatusPort:
    """Give a client a status port."""
    from bore.status.client import ClientStatus
    from bore.status.traffic import Traffic
    from bore.statusprogram import WithStatusPort, addressOf

    status = ClientStatus(reactor, service, history)
    traffic = Traffic(reactor, status.take)

    def makeRoutes() -> Mapping[str, Route]:
        from bore.status.portroutes import clientRoutes

        return clientRoutes(reactor, status, traffic, settings)

    if successor is None:
        return WithStatusPort(reactor, sink, settings, program, makeRoutes, traffic)
    sock = successor.statusSocket(addressOf(settings))
    return WithStatusPort(reactor, sink, settings, program, makeRoutes, traffic, sock, waits=True)


def _administered(
    reactor: IProgramReactor,
    sink: Sink,
    settings: AdminSettings,
    service: ClientService,
    program: Program,
    history: History,
    successor: Successor | None,
) -> OperatedProgram:
    """Give a client an admin socket."""
    from bore.operated import OperatedProgram

    def makeRoutes(operated: Operated) -> Route:
        from bore.status.client import ClientStatus
        from bore.status.clientroutes import clientRoutes

        return clientRoutes(ClientStatus(reactor, service, history), operated)

    def name() -> str:
        return f"client-{os.getpid()}"

    waits = successor is not None
    return OperatedProgram(reactor, sink, settings, program, service.drain, history, name, makeRoutes, waits)


def _tunnels(count: int) -> str:
    return "1 tunnel" if count == 1 else f"{count} tunnels"
