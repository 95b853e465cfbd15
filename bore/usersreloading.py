"""A server with a users file reads it again: when it is asked to, and when the file changes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final, cast

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


class UsersReloading(MultiService):
    """
    A server whose users file is read again.

    A file with mistakes changes nothing.

    :param service: the server.
    :param path: the users file.
    :param apply: takes its new content.
    :param reload: reads the other files of the server again.
    """

    def __init__(
        self,
        clock: IReactorTime,
        sink: Sink,
        service: IService,
        path: Path,
        apply: Callable[[Users], object],
        reload: Callable[[], object],
    ) -> None:
        MultiService.__init__(self)
        service.setServiceParent(self)
        self._sink = sink
        self._path = path
        self._apply = apply
        self._reload = reload
        self._watch = FileWatch(clock, path, LOOK, self._read)

    def startService(self) -> None:
        """Start."""
        MultiService.startService(self)
        self._watch.start()

    def stopService(self) -> Deferred[object]:
        """Stop."""
        self._watch.stop()
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
        self._apply(users)
        count = len(users.entries)
        self._sink.emit(SettingsReloaded(str(self._path), f"{count} user{'' if count == 1 else 's'}"))
