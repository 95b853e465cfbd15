"""Which Unix sockets clients get."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence

from bore.streams.unixlistener import NotASocket, UnixListeningSocket
from bore.wire.errors import BindFailed, PathNotAllowed, PortForbidden, PortInUse, Refusal
from bore.wire.publicaddress import UnixPath


class UnixSockets:
    """
    Opens Unix sockets in certain directories, and in directories below these.

    :param folders: absolute paths of the directories.
    """

    def __init__(self, folders: Sequence[str]) -> None:
        self._folders = folders

    def check(self, address: UnixPath) -> None:
        """
        Check the path of a socket, without the file system.

        :raises bore.wire.errors.PathNotAllowed: when it is in none of the directories.
        """
        if not self._folders:
            raise PathNotAllowed("this server opens no Unix sockets: start it with --unix-folder to allow them")
        if not any(_isInside(address.path, folder) for folder in self._folders):
            raise PathNotAllowed(
                f"{address} is not in the folder of this server for Unix sockets: {', '.join(self._folders)}"
            )

    def open(self, address: UnixPath) -> UnixListeningSocket:
        """
        Listen on a Unix socket.

        :raises bore.wire.errors.Refusal: when the system refuses, or a link leads out of the directories.
        """
        folder, name = os.path.split(address.path)
        real = os.path.realpath(folder)
        allowed = [os.path.realpath(each) for each in self._folders if _isInside(address.path, each)]
        if not any(real == each or _isInside(real, each) for each in allowed):
            raise PathNotAllowed(f"{address} is behind a link that leads out of {', '.join(self._folders)}")
        try:
            return UnixListeningSocket(os.path.join(real, name))
        except OSError as e:
            raise _refusal(address, e) from e


def _isInside(path: str, folder: str) -> bool:
    return path.startswith(folder.rstrip("/") + "/")


def _refusal(address: UnixPath, error: OSError) -> Refusal:
    match error:
        case NotASocket():
            return PortInUse(f"{address} cannot be opened: there is a file on the server that is not a socket")
        case OSError(errno=errno.EADDRINUSE):
            return PortInUse.on(address)
        case OSError(errno=errno.EACCES | errno.EPERM | errno.EROFS):
            return PortForbidden(f"{address} cannot be opened: the server may not write to its folder")
        case OSError(errno=errno.ENOENT | errno.ENOTDIR):
            return BindFailed(f"{address} cannot be opened: its folder does not exist on the server")
    return BindFailed(f"{address} cannot be opened: {(error.strerror or str(error)).lower()}")
