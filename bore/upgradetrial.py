"""A trial of the code that is installed now, in a process of its own: whether a supervisor could go on with it."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator, Sequence
from importlib import import_module
from importlib.machinery import SourceFileLoader
from pathlib import Path
from typing import Final

from bore import exits
from bore.system.openssl import withoutOpenSSL

#: What a supervisor and its workers import when they start.
_MODULES: Final = (
    "bore.cli",
    "bore.workersprogram",
    "bore.workerprogram",
    "bore.workers.worker",
    "bore.serverparts",
    "bore.server.core",
    "bore.logs.observers",
    "bore.startup",
)


def tryOut(words: Sequence[str]) -> int:
    """
    Compile the package, import what is needed, parse the command line, and read the state of a supervisor.

    :param words: the descriptor of the state, the module of the reactor, and the program and words of the command line.
    :returns: the exit code. What is wrong is on standard error.
    """
    state, _, program, *rest = words
    lines = list(_mistakes(int(state), program, rest))
    for line in lines:
        print(line, file=sys.stderr)  # noqa: T201
    return exits.USAGE if lines else exits.OK


def _mistakes(state: int, program: str, words: Sequence[str]) -> Iterator[str]:
    """What is wrong."""
    broken = list(_broken())
    yield from broken
    if broken:
        return
    try:
        with withoutOpenSSL():
            for name in _MODULES:
                import_module(name)
        yield from _wrongSettings(program, words)
        from bore.server.custodystate import BadState
        from bore.workers.handover import load

        try:
            load(state)
        except BadState as e:
            yield f"the state of the supervisor cannot be taken over: {e}"
    except Exception as e:
        place = traceback.extract_tb(e.__traceback__)[-1]
        yield f"{place.filename}:{place.lineno}: {type(e).__name__}: {e}"


def _broken() -> Iterator[str]:
    """
    The modules of the package that do not compile: most are imported when they are needed. What is compiled is kept in
    the usual place, if Python may write there, for the processes that follow.
    """
    for file in sorted(Path(__file__).parent.rglob("*.py")):
        try:
            SourceFileLoader(file.stem, str(file)).get_code(file.stem)
        except SyntaxError as e:
            yield f"{file}:{e.lineno}: {e.msg}"
        except (OSError, ValueError) as e:
            yield f"{file}: {e}"


def _wrongSettings(program: str, words: Sequence[str]) -> Iterator[str]:
    """The mistakes in the command line, and in the files that it names."""
    from bore.commandline import BadFile, UsageError
    from bore.options.server import serverCommand

    try:
        command = serverCommand(program).parse(words)
        if command.users is not None:
            from bore.options.users import readUsers

            readUsers(command.users)
        if command.workers is None:
            yield "the settings have no workers any more: a server without a supervisor has to be started again"
    except BadFile as e:
        yield from e.lines
    except UsageError as e:
        yield str(e)
