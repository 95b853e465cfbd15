"""The admin socket: a Unix socket at which the programs of this machine ask a running program, in HTTP."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from twisted.application.service import Service

from bore.events import AdminSocketFailed, AdminSocketOpen, Sink
from bore.status.door import Door, Host
from bore.status.settings import AdminSettings
from bore.streams.reactor import IReactor
from bore.wire.publicaddress import MAX_UNIX_PATH

if TYPE_CHECKING:
    from bore.streams.unixlistener import UnixListeningSocket

#: Who may connect: the user and root, or a group as well.
_MODE: Final = 0o600
_GROUP_MODE: Final = 0o660

#: The sockets of programs that were killed, which are removed.
_OF_CLIENT: Final = re.compile(r"client-(\d+)\.sock")

#: How many of them at most, at a time.
_SWEEP: Final = 64


class AdminSocketError(Exception):
    """The admin socket that the user has given cannot be opened."""


class AdminSocket(Service):
    """
    The admin socket of a program.

    One whose path the user has given has to be opened by :meth:`open`, before the program starts; the other one is
    opened when it starts, and the program goes on without it if it cannot be.

    :param name: returns its name in the runtime directory, when the program has started.
    :param host: makes what serves its connections, when the first one comes.
    :param sharesName: whether another process of the program, which takes over, has the same name.
    :param waits: whether that process has the socket, before :meth:`take`.
    """

    def __init__(
        self,
        reactor: IReactor,
        sink: Sink,
        settings: AdminSettings,
        name: Callable[[], str],
        host: Callable[[], Host],
        sharesName: bool = False,
        waits: bool = False,
    ) -> None:
        self._reactor = reactor
        self._sink = sink
        self._settings = settings
        self._name = name
        self._host = host
        self._sharesName = sharesName
        self._waits = waits and sharesName
        self._socket: UnixListeningSocket | None = None
        self._door: Door | None = None

    @property
    def path(self) -> str | None:
        """Where it is; None: it is not open."""
        return None if self._socket is None else self._socket.path

    @property
    def busy(self) -> bool:
        """Whether there is a connection."""
        return self._door is not None and self._door.busy

    def open(self) -> None:
        """
        Open the socket that the user has given, if one was given.

        :raises AdminSocketError: if it cannot be.
        """
        path = self._settings.path
        if path is None:
            return
        try:
            self._socket = self._listen(path)
        except OSError as e:
            raise AdminSocketError(f"cannot open the admin socket {path}: {_reason(e, path)}") from e

    def privilegedStartService(self) -> None:
        """Open it, as long as the process has the rights that it was started with."""
        if self._socket is None and self._settings.path is None and not self._waits:
            self._openOwn()
        if self._socket is not None and self._door is None:
            self._door = Door(self._reactor, self._socket.socket, self._host)
            self._sink.emit(AdminSocketOpen(self._socket.path))

    def startService(self) -> None:
        """Start."""
        Service.startService(self)
        if self._door is None:
            self.privilegedStartService()

    def take(self) -> None:
        """Open the socket that another process had; go on without it if that cannot be."""
        path = self._settings.path
        if path is None:
            if self._waits:
                self._waits = False
                self.privilegedStartService()
            return
        try:
            self._socket = self._listen(path)
        except OSError as e:
            self._sink.emit(AdminSocketFailed(str(path), _reason(e, path)))
        self.privilegedStartService()

    def give(self) -> None:
        """Remove the socket, if another process opens one with its name."""
        if self._settings.path is not None or self._sharesName:
            self.stopService()

    def stopService(self) -> None:
        """Remove the socket."""
        Service.stopService(self)
        if self._socket is not None:
            self._socket.removeFile()
            if self._door is None:
                self._socket.socket.close()
        if self._door is not None:
            self._door.close()
        self._socket = self._door = None

    def _openOwn(self) -> None:
        """Open the socket in the runtime directory."""
        from bore.streams.unixlistener import NotASocket

        folder = self._settings.folder
        try:
            folder.mkdir(mode=0o755, exist_ok=True)
        except OSError:
            return  # there is no runtime directory, or not for this program
        _sweep(folder)
        name = self._name()
        path = folder / f"{name}.sock"
        try:
            try:
                self._socket = self._listen(path, isOwn=name.startswith("client-"))
            except OSError as e:
                if e.errno != errno.EADDRINUSE or isinstance(e, NotASocket):
                    raise
                path = folder / f"{name}-{os.getpid()}.sock"  # another server has the same port at another address
                self._socket = self._listen(path, isOwn=True)
        except OSError as e:
            self._sink.emit(AdminSocketFailed(str(path), _reason(e, path)))

    def _listen(self, path: Path, isOwn: bool = False) -> UnixListeningSocket:
        from bore.streams.unixlistener import UnixListeningSocket

        if len(os.fsencode(path)) > MAX_UNIX_PATH:
            raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
        group = self._settings.group
        return UnixListeningSocket(str(path), _MODE if group is None else _GROUP_MODE, group, isOwn)


def _sweep(folder: Path) -> None:
    """Remove the sockets of clients that were killed."""
    from bore.streams.unixlistener import isLive

    with suppress(OSError):
        for entry in list(os.scandir(folder))[:_SWEEP]:
            found = _OF_CLIENT.fullmatch(entry.name)
            # One of another namespace seems dead, and one that lives would import HTTP for a connection.
            if found is not None and not _isAlive(int(found[1])) and not isLive(entry.path):
                with suppress(OSError):
                    os.unlink(entry.path)


def _isAlive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True


def _reason(error: OSError, path: Path) -> str:
    """Why a socket cannot be opened, and what would be right."""
    from bore.streams.unixlistener import NotASocket

    match error:
        case NotASocket():
            return "there is a file that is not a socket: move it away, or give another --admin-socket"
        case OSError(errno=errno.EADDRINUSE):
            return "another program listens there: give another --admin-socket"
        case OSError(errno=errno.ENOENT | errno.ENOTDIR):
            return f"there is no directory {path.parent}"
        case OSError(errno=errno.ENAMETOOLONG):
            return f"its path has more than {MAX_UNIX_PATH} bytes: give a shorter --admin-socket"
        case OSError(errno=errno.EPERM):
            return "the system does not allow it; to give a socket to a group, its user has to be a member"
    return (error.strerror or str(error)).lower()
