"""The ``bore`` command."""

# Longer than 300 lines: each command begins here.

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Protocol

from bore import exits

# Nothing else is imported here: bore --version has to be quick, and does not load Twisted.
if TYPE_CHECKING:
    from pathlib import Path

    from bore.inheritance import Inheritance
    from bore.logs.settings import LogSettings
    from bore.options.client import ClientCommand
    from bore.options.server import ServerCommand
    from bore.screen.screen import Screen
    from bore.startup import IProgramReactor

USAGE_TEXT: Final = """\
usage: bore COMMAND ...

A self-hosted TCP tunnel.

commands:
  local    Show local services to the world through a server
  up       Show the local services in a settings file
  join     Join a server by a line from its operator
  servers  List the servers that were joined
  leave    Forget a server that was joined
  server   Run the server, which listens on public ports on behalf of clients
  status   Show what running servers and clients do
  kick     End the sessions of a user, or close a tunnel
  drain    Let a server or client end when its visitors have left
  reload   Let a server or a client read its files again
  upgrade  Let a server with workers go on with the code that is installed now
  check    Print all mistakes in a settings file
  doctor   Examine why a tunnel does not work, and say what to do
  secret   Print a new random secret, or write it to a file
  cluster-key
           Write a new key that the nodes of a cluster share to a file
  user     Add, change and revoke the users of a server
  server-key
           Show the key of a server, or replace it
  service  Have systemd run a client or a server
  demo     Show a built-in web page through a tunnel on this machine
  completion
           Print what completes commands and options in a shell

'bore COMMAND --help' lists the options of a command.
'bore --reactor NAME COMMAND ...' uses another reactor of Twisted.
'bore --version' prints the version.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Run ``bore``.

    :param arguments: the command line without the name of the program; None: that of the process.
    :returns: the exit code, see :mod:`bore.exits`.
    """
    code = exits.OK
    try:
        try:
            code = _run(list(sys.argv[1:] if arguments is None else arguments))
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()
    except BrokenPipeError:
        # The reader of the output has seen enough. Nothing is left for Python to write at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return code


def _run(words: Sequence[str]) -> int:
    """Run the command that the words name."""
    match words:
        case ["help", name] if name in _RUNNERS:
            return _command(name, ["--help"])
        case ["-h" | "--help" | "help", *_]:
            print(USAGE_TEXT, end="")  # noqa: T201
            return exits.OK
        case ["-V" | "--version", *_]:
            from bore.version import __version__

            print(f"txbore {__version__}")  # noqa: T201
            return exits.OK
        case [name, *rest] if name in _RUNNERS:
            return _command(name, rest)
        case ["--reactor", name, command, *rest] if command in _RUNNERS:
            from bore.reactors import install

            try:
                install(name)
            except ValueError as e:
                return _fail("bore", f"--reactor: {e}", exits.USAGE)
            return _command(command, rest)
        case ["--reactor", *_]:
            return _fail("bore", "--reactor needs a name and a command: bore --reactor poll server ...", exits.USAGE)
        case []:
            return _fail("bore", f"no command given; commands: {_commands()} (see 'bore --help')", exits.USAGE)
    return _fail("bore", f"{_unknown(words[0])} (see 'bore --help')", exits.USAGE)


def _unknown(word: str) -> str:
    """The error for a word in the place of a command."""
    from bore.commandline import unknownCommand

    if any(c.isdigit() for c in word):  # a local service, as the original's users may write it
        from bore.options.localservice import localServiceOrTunnel

        with suppress(ValueError):
            return f"unknown command {word!r}; did you mean: bore local {localServiceOrTunnel(word).text} --to HOST"
    return unknownCommand(word, _commands())


def _commands() -> str:
    return ", ".join(_RUNNERS)


def _command(name: str, arguments: Sequence[str]) -> int:
    from bore.commandline import BadFile, NotPossible, UsageError

    program = f"bore {name}"
    try:
        return _RUNNERS[name](program, arguments)
    except KeyboardInterrupt:
        return exits.OK  # stopped on request, before the reactor ran
    except BadFile as e:
        for line in e.lines:
            _fail(program, line, exits.USAGE)
        return exits.USAGE
    except NotPossible as e:
        return _fail(program, str(e), exits.FAILURE)
    except UsageError as e:
        return _fail(program, f"{e} (see '{e.command or program} --help')", exits.USAGE)


def _reactor() -> object:
    """Import the reactor: the best one of this system, unless another one was chosen."""
    if sys.platform != "linux" and "twisted.internet.reactor" not in sys.modules:
        from bore.reactors import prefer

        prefer()
    from twisted.internet import reactor

    return reactor


def _server(program: str, arguments: Sequence[str]) -> int:
    from bore.system.openssl import withoutOpenSSL

    with withoutOpenSSL():
        untyped = _reactor()

        from bore.options.server import serverCommand
        from bore.server.controlsockets import CannotListen
        from bore.serversockets import passedSockets

    line = serverCommand(program, forSupervisor=True)
    command = line.parse(arguments)
    if command.workers is not None:
        return _supervisor(program, arguments, untyped, command, lambda: line.parse(arguments))
    with withoutOpenSSL():
        from bore.serverprogram import serverProgram

    reactor = _begin(untyped, command.log)
    inheritance = _inheritance(command)
    try:
        sockets = passedSockets()
        service = serverProgram(reactor, command, lambda: line.parse(arguments), sockets, inheritance=inheritance)
        _followSignals(reactor, service)  # before the log says that the server listens
        service.startService()
        if inheritance is not None:
            inheritance.begin()
    except CannotListen as e:
        if inheritance is not None:
            inheritance.decline(str(e))
        return _fail(program, str(e), exits.FAILURE)
    except BaseException as e:
        if inheritance is not None:
            inheritance.decline(str(e) or type(e).__name__)
        raise
    _runUntilSignal(reactor, service)
    return exits.FAILURE if inheritance is not None and inheritance.failed else exits.OK


def _inheritance(command: ServerCommand) -> Inheritance | None:
    """Get what a running server has, if this one takes over from it."""
    if not command.takeOver:
        return None
    from bore.takeover import takeOver

    return takeOver(command, os.environ)


def _supervisor(
    program: str, arguments: Sequence[str], untyped: object, command: ServerCommand, load: Callable[[], ServerCommand]
) -> int:
    """Run a server with worker processes."""
    from bore.system.openssl import withoutOpenSSL

    with withoutOpenSSL():
        from bore.server.controlsockets import CannotListen
        from bore.serversockets import passedSockets
        from bore.workersprogram import supervisorProgram, wordsOf

    log = os.dup(sys.stderr.fileno())
    reactor = _begin(untyped, command.log)
    code = exits.OK

    def gaveUp(found: int, lines: Sequence[str]) -> None:
        nonlocal code
        for line in lines:
            code = _fail(program, line, found)
        reactor.stop()

    try:
        words = wordsOf(reactor, program, arguments)
        again = sys.orig_argv[1:]
        service = supervisorProgram(reactor, command, load, words, gaveUp, passedSockets(), log, again=again)
        _followSignals(reactor, service)
        service.startService()
    except CannotListen as e:
        return _fail(program, str(e), exits.FAILURE)
    _runUntilSignal(reactor, service)
    return code


def _client(program: str, arguments: Sequence[str]) -> int:
    from bore.system.openssl import withoutOpenSSL

    with withoutOpenSSL():
        untyped = _reactor()
        from twisted.python.failure import Failure

        from bore.client.reasons import describe
        from bore.clientprogram import clientProgram
        from bore.options.client import clientCommand, upCommand

    line = upCommand(program) if program == "bore up" else clientCommand(program)
    command = line.parse(arguments)
    reactor, screen = _beginOnTerminal(untyped, command)
    client, service = clientProgram(reactor, command, lambda: line.parse(arguments), screen)
    code = exits.OK

    def gaveUp(reason: Failure) -> None:
        nonlocal code
        code = _fail(program, describe(reason.value), exits.codeFor(reason.value))
        reactor.stop()

    client.whenGaveUp().addErrback(gaveUp)
    _followSignals(reactor, service)
    reactor.callWhenRunning(service.startService)
    _runUntilSignal(reactor, service)
    return code


def _check(program: str, arguments: Sequence[str]) -> int:
    from bore.options.check import check, checkCommand

    command = checkCommand(program).parse(arguments)
    print(f"{command.file}: {check(command)}, no mistakes")  # noqa: T201
    return exits.OK


def _doctor(program: str, arguments: Sequence[str]) -> int:
    untyped = _reactor()

    from bore.logs.settings import LogSettings
    from bore.options.doctor import doctorCommand

    command = doctorCommand(program).parse(arguments)
    reactor = _begin(untyped, LogSettings(level="warn"))
    from bore.doctorprogram import examine

    return examine(reactor, command)


def _secret(program: str, arguments: Sequence[str]) -> int:
    from bore.options.secrets import secretCommand
    from bore.wire.secret import newSecret

    target = secretCommand(program).parse(arguments)
    if target is None:
        print(newSecret())  # noqa: T201
        return exits.OK
    about = "a new secret, which only you can read; the other end needs a copy of the file"
    return _writeSecret(program, target, about)


def _writeSecret(program: str, target: Path, about: str) -> int:
    from bore.options.secrets import writeSecret
    from bore.wire.secret import newSecret

    try:
        writeSecret(target, newSecret())
    except FileExistsError:
        return _fail(program, f"{target} already exists and is not overwritten: name a new file", exits.FAILURE)
    except OSError as e:
        return _fail(program, f"cannot write {target}: {e.strerror}", exits.FAILURE)
    print(f"{target}: {about}")  # noqa: T201
    return exits.OK


def _clusterKey(program: str, arguments: Sequence[str]) -> int:
    from bore.options.cluster import clusterKeyCommand

    return _writeSecret(
        program,
        clusterKeyCommand(program).parse(arguments),
        "a new key of a cluster, which only you can read; each node needs a copy of the file",
    )


def _completion(program: str, arguments: Sequence[str]) -> int:
    from bore.completion import script
    from bore.options.completion import completionCommand

    print(script(completionCommand(program).parse(arguments)), end="")  # noqa: T201
    return exits.OK


def _people(program: str, arguments: Sequence[str]) -> int:
    from bore.people import Failed, run

    def begin() -> IProgramReactor:
        untyped = _reactor()

        from bore.logs.settings import LogSettings

        return _begin(untyped, LogSettings(level="warn"))

    try:
        run(program, arguments, begin)
    except Failed as e:
        return _fail(program, str(e), e.code)
    return exits.OK


def _service(program: str, arguments: Sequence[str]) -> int:
    from bore.serviceprogram import run
    from bore.systemd.install import CannotInstall

    try:
        run(arguments)
    except CannotInstall as e:
        return _fail(program, str(e), exits.FAILURE)
    return exits.OK


def _admin(program: str, arguments: Sequence[str]) -> int:
    from bore.admin.ask import NoAnswer
    from bore.adminprogram import run

    try:
        run(program, arguments)
    except NoAnswer as e:
        return _fail(program, str(e), e.code)
    return exits.OK


def _demo(program: str, arguments: Sequence[str]) -> int:
    untyped = _reactor()

    from bore.demo import Demo
    from bore.options.demo import demoCommand

    command = demoCommand(program).parse(arguments)
    reactor = _begin(untyped, command.log)
    demo = Demo(reactor, reactor.stop, command)
    _followSignals(reactor, demo)
    reactor.callWhenRunning(demo.startService)
    _runUntilSignal(reactor, demo)
    return demo.code


class _Program(Protocol):
    """A service that is a whole program."""

    @property
    def running(self) -> object:
        """Whether it has been started and not stopped."""

    def reload(self) -> object:
        """Read its files again."""

    def stopService(self) -> object:
        """Stop."""


def _begin(untyped: object, log: LogSettings) -> IProgramReactor:
    """Prepare the process, and begin to log."""
    from bore.logs.observers import beginLogging
    from bore.startup import prepare, warnOfSelect
    from bore.system.descriptors import usesSelect

    reactor = prepare(untyped)
    beginLogging(log, reactor)
    if usesSelect():
        warnOfSelect()
    return reactor


def _beginOnTerminal(untyped: object, command: ClientCommand) -> tuple[IProgramReactor, Screen | None]:
    """Prepare the process, and begin to log: to a screen, if there is a terminal for it."""
    if command.quiet or os.name != "posix" or sys.stdout is None or not sys.stdout.isatty():
        return _begin(untyped, command.log), None
    from bore.screen.start import beginScreen, isTerminal
    from bore.startup import prepare

    if not isTerminal(os.environ, command.log):
        return _begin(untyped, command.log), None
    reactor = prepare(untyped)
    return reactor, beginScreen(reactor, command.log, os.environ)


def _followSignals(reactor: IProgramReactor, program: _Program) -> None:
    from bore.system.signals import handleHangup, handleStop

    handleStop(reactor)
    handleHangup(reactor, program.reload)


def _runUntilSignal(reactor: IProgramReactor, program: _Program) -> None:
    """Run the reactor until a signal arrives, and then stop the program in order."""
    from bore.startup import followRun

    followRun(reactor)
    reactor.addSystemEventTrigger("before", "shutdown", lambda: program.stopService() if program.running else None)
    reactor.run()


def _fail(program: str, text: str, code: int) -> int:
    """Print one line on standard error, and return the exit code."""
    from bore.commandline import printable

    print(f"{program}: {printable(text)}", file=sys.stderr)  # noqa: T201
    return code


#: What runs each command.
_RUNNERS: Final[dict[str, Callable[[str, Sequence[str]], int]]] = {
    "local": _client,
    "up": _client,
    "join": _people,
    "servers": _people,
    "leave": _people,
    "server": _server,
    "status": _admin,
    "kick": _admin,
    "drain": _admin,
    "reload": _admin,
    "upgrade": _admin,
    "check": _check,
    "doctor": _doctor,
    "secret": _secret,
    "user": _people,
    "cluster-key": _clusterKey,
    "server-key": _people,
    "service": _service,
    "demo": _demo,
    "completion": _completion,
}
