"""``twistd bore-server --workers``."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Mapping, Sequence

from twisted.application.service import IService
from twisted.logger import Logger

from bore import tap
from bore.commandline import NotPossible
from bore.options.server import ServerCommand
from bore.server.controlsockets import CannotListen
from bore.startup import IProgramReactor
from bore.tap.exiting import exitWith
from bore.workersprogram import supervisorProgram, wordsOf


def makeSupervisor(
    reactor: IProgramReactor, program: str, options: tap.Options[ServerCommand], sockets: Sequence[socket.socket]
) -> IService:
    """
    Return the supervisor of a server with workers. When no worker can start, the process ends with the exit code 1.

    :param program: the program and the command, as the user writes them.
    :raises SystemExit: if that is not possible.
    """
    twistd: Mapping[str, object] = getattr(options, "parent", None) or {}
    if twistd.get("chroot"):
        sys.exit(f"{program}: --workers is not possible with twistd's --chroot: an upgrade would enter it once more")
    daemons: list[tap.Daemon] = []

    def gaveUp(code: int, lines: Sequence[str]) -> None:
        for line in lines:
            Logger(namespace="bore").critical("{line}", line=line)
        exitWith(1)
        reactor.callWhenRunning(reactor.stop)

    def copy(line: str) -> None:
        daemons[0].copy(line)

    log = os.dup(sys.stdout.fileno()) if tap.logsToOutput(twistd) else None
    words = wordsOf(reactor, program, options.words)
    load, again = options.parseAgain, runAgain(sys.orig_argv[1:], twistd)
    try:
        service = supervisorProgram(reactor, options.command, load, words, gaveUp, sockets, log, copy, again)
    except NotPossible as e:
        sys.exit(f"{program}: {e}")
    daemon = tap.Daemon(reactor, service, service.reload, options.command.log, twistd, (CannotListen,))
    daemons.append(daemon)
    return daemon


def runAgain(words: Sequence[str], twistd: Mapping[str, object]) -> list[str]:
    """
    The command line with which this process runs other code: twistd is in its directory already, and must not fork.

    :param words: the one that it was started with, without the interpreter.
    :param twistd: the options of twistd.
    """
    at = list(words).index("bore-server")
    script = sys.argv[0]
    before = [os.path.abspath(each) if each == script and os.path.isfile(each) else each for each in words[:at]]
    more = ["--rundir=."]
    if not twistd.get("nodaemon"):
        more += ["--nodaemon", *([] if twistd.get("logfile") or twistd.get("syslog") else ["--logfile=twistd.log"])]
    return [*before, *more, *words[at:]]
