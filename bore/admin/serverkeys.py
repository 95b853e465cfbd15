"""The keys that running servers show in TLS."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bore.admin.answer import Part
from bore.admin.ask import NoAnswer, ask
from bore.admin.sockets import SERVER, findSockets

#: How long a server may take for an answer, in seconds.
_TIMEOUT: Final = 1.0


class OtherKey(Exception):
    """A server that runs has another key. The text says what would be right."""


def refuseOthers(folders: Sequence[Path], port: int, pins: Sequence[str], state: Path | None) -> None:
    """
    Ask the servers that run with a control port for their keys. Those that do not answer, or that this user may not
    ask, are left out.

    :param folders: the runtime directories.
    :param pins: the fingerprints that a line would have.
    :param state: the state directory that they are from.
    :raises OtherKey: if there are such servers, and none has one of these keys.
    """
    keys = _keysAt(folders, port)
    if keys and keys.keys().isdisjoint(pins):
        key, socket = next(iter(keys.items()))
        raise OtherKey(
            f"the server that runs at port {port} ({socket}) has the key {key}, and not that in {state}: give "
            "--tls-cert FILE with its certificate, or --config FILE with its settings file; if its key was changed a "
            "moment ago, run 'bore reload' first"
        )


def _keysAt(folders: Sequence[Path], port: int) -> dict[str, Path]:
    """Return the fingerprints of the keys that servers show at a control port, and their admin sockets."""
    found: dict[str, Path] = {}
    for each in findSockets(folders).sockets:
        if each.program != SERVER:
            continue
        with contextlib.suppress(NoAnswer):
            status = Part(ask(each.path, "GET", "/status", timeout=_TIMEOUT))
            for control in status.parts("control"):
                key = control.text("fingerprint")
                if key and control.text("at").rpartition(":")[2] == str(port):
                    found.setdefault(key, each.path)
    return found
