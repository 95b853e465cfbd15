"""A server with a users file reads it again: when it is asked to, and when the file changes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol, cast

from twisted.application.service import IService, MultiService
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from bore.commandline import BadFile
from bore.events import SettingsKept, SettingsMistake, SettingsReloaded, Sink
from bore.options.users import readUsers
from bore.users.entry import Users
from bore.watching import FileWatch

#: How often the file is looked at, in seconds. It is read when it has been the same twice: its writer has finished. A
#: user that is revoked is out after two of them.
LOOK: Final = 0.5


class Rights(Protocol):
    """Applies the content of a users file."""

    def start(self) -> None:
        """The server starts."""

    def stop(self) -> None:
        """The server stops."""

    def apply(self, users: Users) -> None:
        """Apply another version of the file."""


class UsersReloading(MultiService):
    """
    A server whose users file is read again.

    A file with mistakes changes nothing.

    :param service: the server.
    :param path: the users file.
    :param rights: takes its new content.
    :param reload: reads the other files of the server again.
    """

    def __init__(
        self,
        clock: IReactorTime,
        sink: Sink,
        service: IService,
        path: Path,
        rights: Rights,
        reload: Callable[[], object],
    ) -> None:
        MultiService.__init__(self)
        service.setServiceParent(self)
        self._sink = sink
        self._path = path
        self._rights = rights
        self._reload = reload
        self._watch = FileWatch(clock, path, LOOK, self._read)

    def startService(self) -> None:
        """Start."""
        MultiService.startService(self)
        self._rights.start()
        self._watch.start()

    def stopService(self) -> Deferred[object]:
        """Stop."""
        self._watch.stop()
        self._rights.stop()
        return cast("Deferred[object]", MultiService.stopService(self))

    def reload(self) -> None:
        """Read the users file and the other files again."""
        self._read()
        self._reload()

    def _read(self) -> None:
        self._watch.noted()
        try:
            users = readUsers(self._path)
        except BadFile as e:
            for line in e.lines:
                self._sink.emit(SettingsMistake(line))
            self._sink.emit(SettingsKept(str(self._path)))
            return
        self._rights.apply(users)
        count = len(users.entries)
        self._sink.emit(SettingsReloaded(str(self._path), f"{count} user{'' if count == 1 else 's'}"))
