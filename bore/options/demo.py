"""What the demonstration can be told."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from bore.commandline import Command, Option
from bore.options import common, values


@dataclass(frozen=True, slots=True)
class DemoCommand:
    """What ``bore demo`` was told."""

    once: bool
    port: int
    log: common.LogSettings


#: The demonstration announces what matters: its log is for when something goes wrong.
_DEFAULTS: Final = {"log_level": "warn", "log_format": "text"}


def demoCommand(name: str) -> Command[DemoCommand]:
    """The demonstration's command line."""
    return Command(
        name,
        "Show a built-in web page through a server and a client on this machine.",
        (
            Option(("--once",), "Exit after the page was fetched once, with 0 if it came through"),
            Option(("-p", "--port"), "Public port; 0 is any", values.portOrAny, "PORT", 0),
            *(replace(option, default=_DEFAULTS[option.name]) for option in common.LOG),
        ),
        lambda found, given: DemoCommand(bool(found["once"]), found["port"], common.log(found)),
    )
