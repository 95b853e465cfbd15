"""``bore server --take-over``: a new process gets everything that a running server has."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from bore.admin.answer import Part
from bore.admin.ask import NoAnswer, ask
from bore.admin.sockets import SERVER, findSockets, runtimeFolders
from bore.commandline import NotPossible
from bore.inheritance import STEP, Inheritance, receive
from bore.options.server import ServerCommand
from bore.streams.addresses import hostPort, localAddress, socketAddress
from bore.streams.socketoptions import peerCredentials
from bore.system.statefolder import runtimeFolder
from bore.wire.errors import WireError

#: How long a running server that was taken over a moment ago is asked again, and how often, in seconds.
_PATIENCE: Final = 30.0
_AGAIN: Final = 0.25


def takeOver(command: ServerCommand, environment: Mapping[str, str]) -> Inheritance:
    """
    Get everything from the server that runs with the same control ports.

    :raises bore.commandline.NotPossible: if there is none, or it does not give it.
    """
    settings = command.settings
    wanted = hostPort(settings.bindAddr, settings.controlPort)
    path = _find(command, environment, wanted)
    with _listening(environment) as (place, listener):
        _ask(path, place)
        listener.settimeout(STEP)
        try:
            sock, _ = listener.accept()
        except OSError as e:
            raise NotPossible(f"the server at {path} has agreed, and not connected: {e}") from e
    pid, uid = peerCredentials(sock)
    if uid != os.geteuid():
        raise NotPossible(f"process {pid}, of another user, has connected instead of the running server")
    inheritance = Inheritance(pid, sock)
    try:
        receive(inheritance)
    except (OSError, WireError) as e:
        inheritance.decline(str(e))
        raise NotPossible(f"the running server has not given what it has: {e}") from e
    _check(inheritance, command, wanted)
    return inheritance


def _check(found: Inheritance, command: ServerCommand, wanted: str) -> None:
    tls = command.settings.tls
    want = [(wanted, tls is not None and tls.port is None)]
    if tls is not None and tls.port is not None:
        want.append((hostPort(command.settings.bindAddr, tls.port), True))
    has = [(socketAddress(localAddress(sock)), encrypted) for sock, encrypted in found.control]
    if has != want:
        shown = [" and ".join(at + (" with TLS" if tls else "") for at, tls in each) for each in (has, want)]
        why = f"it listens on {shown[0]}, and this one would listen on {shown[1]}"
        found.decline(why)
        raise NotPossible(f"cannot take over from process {found.pid}: {why}")


def _find(command: ServerCommand, environment: Mapping[str, str], wanted: str) -> Path:
    """
    Find the admin socket of the running server.

    :raises NotPossible: if there is none.
    """
    given = None if command.admin is None else command.admin.path
    # Of a unit, the running server has a runtime directory of another unit.
    outside = {key: value for key, value in environment.items() if key != "RUNTIME_DIRECTORY"}
    found = findSockets([*runtimeFolders(environment), *runtimeFolders(outside)])
    sockets = [given] if given is not None else [each.path for each in found.sockets if each.program in ("", SERVER)]
    others, failures = [], [f"{each} cannot be read by this user" for each in found.closed if given is None]
    for path in sockets:
        try:
            status = Part(ask(path, "GET", "/status", timeout=STEP))
        except NoAnswer as e:
            if not e.dead or given is not None:
                failures.append(str(e))
            continue
        if status.text("program") != SERVER:
            continue
        ports = [each.text("at") for each in status.parts("control")]
        if wanted in ports:
            return path
        others.append(" and ".join(ports))
    why = [*(f"one listens on {each}" for each in others), *failures]
    raise NotPossible(
        f"there is no running server to take over from: none that listens on {wanted} has an admin socket"
        + (f" ({'; '.join(why)})" if why else "")
        + ". Start this one without --take-over"
    )


def _ask(path: Path, place: str) -> None:
    """Ask the running server to give everything to this process, which listens at a Unix socket."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            answer = Part(ask(path, "POST", "/take-over", {"socket": place}, timeout=STEP))
        except NoAnswer as e:
            text = str(e)
            if "there is no /take-over" in text:
                text = "it has workers, or is of an earlier version: for a server with workers, there is 'bore upgrade'"
            raise NotPossible(f"the server at {path} does not hand over: {text}") from e
        busy = answer.text("busy")
        if not busy:
            return
        if time.monotonic() > deadline:
            raise NotPossible(f"the server at {path} does not hand over: {busy}")
        time.sleep(_AGAIN)


@contextmanager
def _listening(environment: Mapping[str, str]) -> Iterator[tuple[str, socket.socket]]:
    """Listen at a Unix socket that only this user can use, for as long as it is needed."""
    runtime = runtimeFolder(environment)
    try:
        folder = tempfile.mkdtemp(prefix="take-over-", dir=runtime if runtime and runtime.is_dir() else None)
    except OSError:
        folder = tempfile.mkdtemp(prefix="take-over-")
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            place = os.path.join(folder, "s")
            listener.bind(place)
            listener.listen(1)
            yield place, listener
    finally:
        shutil.rmtree(folder, ignore_errors=True)
