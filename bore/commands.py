"""Every command line of the program, for what describes them all: completions, manual pages, tables of options."""

from __future__ import annotations

from bore.commandline import Command
from bore.options import serverkey, servicecommands, usercommands
from bore.options.admincommands import ACTIONS, adminCommand
from bore.options.check import checkCommand
from bore.options.client import clientCommand, upCommand
from bore.options.cluster import clusterKeyCommand
from bore.options.completion import completionCommand
from bore.options.demo import demoCommand
from bore.options.doctor import doctorCommand
from bore.options.joincommands import joinCommand, leaveCommand, serversCommand
from bore.options.secrets import secretCommand
from bore.options.server import serverCommand


def allCommands() -> tuple[Command[object], ...]:
    """Return them, in the order of ``bore --help``."""
    actions = (
        *map(usercommands.userCommand, usercommands.ACTIONS.split(", ")),
        *map(serverkey.serverKeyCommand, serverkey.ACTIONS.split(", ")),
        *map(servicecommands.serviceCommand, servicecommands.ACTIONS.split(", ")),
    )
    return (
        clientCommand("bore local"),
        upCommand("bore up"),
        joinCommand("bore join"),
        serversCommand("bore servers"),
        leaveCommand("bore leave"),
        serverCommand("bore server"),
        *map(adminCommand, ACTIONS),
        checkCommand("bore check"),
        doctorCommand("bore doctor"),
        secretCommand("bore secret"),
        clusterKeyCommand("bore cluster-key"),
        *(each for each in actions if each is not None),
        demoCommand("bore demo"),
        completionCommand("bore completion"),
    )
