"""The ``bore`` command."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from bore.options.common import LogSettings

USAGE_TEXT = """\
usage: bore COMMAND ...

A self-hosted TCP tunnel.

commands:
  local    Show a local port to the world through a server
  server   Run the server: it listens on public ports on behalf of its clients
  secret   Print a secret that cannot be guessed, or write it to a file
  demo     Show a built-in web page through a server and a client on this machine

'bore COMMAND --help' tells the options of a command, 'bore --version' the version.
"""

_GIVE = "give one of local, server, secret, demo"


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Run ``bore``.

    :param arguments: the command line without the program's name; the process's own by default.
    :returns: the exit code; :mod:`bore.exits` has their meanings.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    match words:
        case ["-h" | "--help" | "help", *_]:
            print(USAGE_TEXT, end="")  # noqa: T201
            return 0
        case ["-V" | "--version", *_]:
            from bore import __version__

            print(f"txbore {__version__}")  # noqa: T201
            return 0
        case ["server" | "local" | "secret" | "demo" as name, *rest]:
            return _command(name, rest)
        case []:
            return _complain("bore", f"a command is missing: {_GIVE}; 'bore --help' explains", 2)
    return _complain("bore", f"{words[0]!r} is no command: {_GIVE}", 2)


def _command(name: str, arguments: Sequence[str]) -> int:
    # Imported late: bore --version is to be quick.
    from bore.commandline import UsageError

    runners: dict[str, Callable[[str, Sequence[str]], int]] = {
        "server": _server,
        "local": _local,
        "secret": _secret,
        "demo": _demo,
    }
    program = f"bore {name}"
    try:
        return runners[name](program, arguments)
    except KeyboardInterrupt:
        return 0  # on purpose, before anything was up
    except UsageError as e:
        return _complain(program, f"{e} ('{program} --help' explains)", 2)


def _server(program: str, arguments: Sequence[str]) -> int:
    from bore.system.activation import BadSocket, inheritedSockets
    from bore.system.openssl import withoutOpenSSL

    with withoutOpenSSL():
        from twisted.internet import reactor

        from bore import exits
        from bore.options.server import serverCommand
        from bore.server.service import CannotListen, ServerService
        from bore.streams.reactor import IReactor

    command = serverCommand(program).parse(arguments)
    _begin(command.log)
    try:
        service = ServerService(cast(IReactor, reactor), command.settings, inheritedSockets())
        _followHangup(service)  # before anybody is told that it is up
        service.startService()
    except (BadSocket, CannotListen) as e:
        return _complain(program, str(e), exits.FAILURE)
    _runUntilSignal(service)
    return exits.OK


def _local(program: str, arguments: Sequence[str]) -> int:
    from bore.system.openssl import withoutOpenSSL

    with withoutOpenSSL():
        from twisted.internet import reactor
        from twisted.python.failure import Failure

        from bore import exits
        from bore.client.reasons import describe
        from bore.client.service import ClientService
        from bore.options.client import clientCommand
        from bore.streams.reactor import IReactor

    command = clientCommand(program).parse(arguments)
    _begin(command.log)
    service = ClientService(cast(IReactor, reactor), command.settings)
    code = exits.OK

    def gaveUp(reason: Failure) -> None:
        nonlocal code
        code = _complain(program, describe(reason.value), exits.codeFor(reason.value))
        reactor.stop()

    service.gaveUp.addErrback(gaveUp)
    _followHangup(service)
    reactor.callWhenRunning(service.startService)
    _runUntilSignal(service)
    return code


def _secret(program: str, arguments: Sequence[str]) -> int:
    from bore import exits
    from bore.options.secrets import secretCommand, writeSecret
    from bore.wire.secret import newSecret

    target = secretCommand(program).parse(arguments)
    if target is None:
        print(newSecret())  # noqa: T201
        return exits.OK
    try:
        writeSecret(target, newSecret())
    except FileExistsError:
        return _complain(program, f"{target} exists, and is not overwritten: give another file", exits.FAILURE)
    except OSError as e:
        return _complain(program, f"cannot write {target}: {e.strerror}", exits.FAILURE)
    return exits.OK


def _demo(program: str, arguments: Sequence[str]) -> int:
    from twisted.internet import reactor

    from bore.demo import Demo
    from bore.options.demo import demoCommand
    from bore.streams.reactor import IReactor

    command = demoCommand(program).parse(arguments)
    _begin(command.log)
    demo = Demo(cast(IReactor, reactor), reactor.stop, command.port, command.once)
    _followHangup(demo)
    reactor.callWhenRunning(demo.startService)
    _runUntilSignal(demo)
    return demo.code


def _begin(log: LogSettings) -> None:
    """Prepare the process for what runs in the reactor, before anything is made that does."""
    from twisted.internet import reactor

    from bore.logs.observers import beginLogging
    from bore.logs.outlet import Reactor
    from bore.system.clock import useMonotonicClock
    from bore.system.limits import raiseDescriptorLimit

    raiseDescriptorLimit()
    useMonotonicClock(reactor)
    beginLogging(log, cast(Reactor, reactor))


def _followHangup(service: Any) -> None:
    """Follow SIGHUP from here on."""
    from twisted.internet import reactor

    from bore.system.signals import IReactorSignals, handleHangup

    handleHangup(cast(IReactorSignals, reactor), service.reload)


def _runUntilSignal(service: Any) -> None:
    """Run the reactor until a signal ends it, then stop the service in order; a second signal ends the process."""
    from twisted.internet import reactor

    from bore.system.memory import settle
    from bore.system.signals import endOnNextSignal

    def stop() -> object:
        endOnNextSignal()
        return service.stopService() if service.running else None

    reactor.addSystemEventTrigger("before", "shutdown", stop)
    reactor.callWhenRunning(settle)
    reactor.run()


def _complain(program: str, text: str, code: int) -> int:
    """Print one line on standard error."""
    from bore.commandline import printable

    print(f"{program}: {printable(text)}", file=sys.stderr)  # noqa: T201
    return code
