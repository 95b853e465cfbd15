"""The command line of the demonstration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from bore.commandline import Command, Values
from bore.logs.settings import LogSettings
from bore.option import option, switch
from bore.options import common, values


@dataclass(frozen=True, slots=True)
class DemoCommand:
    """
    The result of parsing ``bore demo``.

    :ivar once: whether to exit after the page was fetched.
    :ivar port: the public port; 0: any.
    :ivar portableRelay: whether to do without splice.
    """

    once: bool = False
    port: int = 0
    portableRelay: bool = False
    log: LogSettings = LogSettings(level="warn")  # the demonstration prints what matters  # noqa: RUF009


_DEFAULTS: Final = DemoCommand()

_ONCE: Final = switch("--once", "Exit after one fetch of the page, with status 0 if it succeeded")
_PORT: Final = option("-p --port", "Public port; 0: any", values.portOrAny, "PORT", _DEFAULTS.port)
_LOG: Final = common.LogOptions(_DEFAULTS.log)


def demoCommand(name: str) -> Command[DemoCommand]:
    """
    Return the command line of the demonstration.

    :param name: the program and the command, as the user writes them.
    """
    summary = "Show a built-in web page through a server and a client on this machine."
    return Command(name, summary, (_ONCE, _PORT, *_LOG.all), _build)


def _build(found: Values) -> DemoCommand:
    portable = common.isRelayPortable(found.environment)
    return DemoCommand(found[_ONCE], found[_PORT], portable, _LOG.settings(found))
