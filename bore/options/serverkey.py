"""The command lines of ``bore server-key``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bore.commandline import Command, UsageError, Values
from bore.option import Option, option, switch
from bore.options import values
from bore.options.server import serverCommand
from bore.options.usercommands import SYSTEM_STATE
from bore.system.statefolder import stateFolder

_CONFIG: Final = option("--config", "Settings file of the server", values.path, "FILE", None)
_NOW: Final = switch("--now", "Use the next key although it is less than a day old")

_ACTIONS: Final[dict[str, tuple[str, tuple[Option[object], ...]]]] = {
    "show": ("Print the fingerprint of the server's key, and of the next one.", (_CONFIG,)),
    "rotate": ("Make the next key, which clients learn; a second time: use it.", (_NOW, _CONFIG)),
}

ACTIONS: Final = ", ".join(_ACTIONS)

USAGE_TEXT: Final = (
    "usage: bore server-key COMMAND ...\n\nChange the key of a server that made its own.\n\ncommands:\n"
    + "".join(f"  {word:8} {summary.rstrip('.')}\n" for word, (summary, _) in _ACTIONS.items())
    + "\n'bore server-key COMMAND --help' lists the options of a command."
)


@dataclass(frozen=True, slots=True)
class ServerKeyCommand:
    """
    The result of parsing ``bore server-key``.

    :ivar action: the word after it.
    :ivar folder: the server's state directory.
    :ivar now: whether a next key is used that few clients can know.
    """

    action: str
    folder: Path
    now: bool = False


def serverKeyCommand(action: str) -> Command[ServerKeyCommand] | None:
    """Return the command line of one of :data:`ACTIONS`; None if it is none of them."""
    if action not in _ACTIONS:
        return None
    summary, options = _ACTIONS[action]
    return Command(f"bore server-key {action}", summary, options, lambda found: _build(action, options, found))


def _build(action: str, options: tuple[Option[object], ...], found: Values) -> ServerKeyCommand:
    config = found[_CONFIG]
    if config is not None:
        tls = serverCommand("bore server").parse(["--config", str(config)]).settings.tls
        if tls is None or tls.certificate is not None:
            raise UsageError(
                f"{config}: this server has no key of its own, but "
                + ("uses no TLS" if tls is None else f"that of {tls.certificate}: change it there")
            )
    return ServerKeyCommand(action, _folder(found), found[_NOW] if _NOW in options else False)


def _folder(found: Values) -> Path:
    folder = stateFolder(found.environment)
    for each in filter(None, (folder, SYSTEM_STATE)):
        if (each / "tls.pem").exists():
            return each
    raise UsageError(
        f"there is no server's key in {folder}: run this as the server's user, or name its state directory by the "
        "variable STATE_DIRECTORY"
    )
