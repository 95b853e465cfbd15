"""A program with a settings file reads it again: when it is asked to, and when the file changes."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from typing import Final, Generic, Protocol, TypeVar, cast

from twisted.application.service import IService, MultiService
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from bore.commandline import UsageError
from bore.events import RestartNeeded, SettingsKept, SettingsMistake, SettingsReloaded, Sink
from bore.options.common import FileSettings
from bore.watching import FileWatch

#: How often the file is looked at, in seconds. It is read when it has been the same twice: its writer has finished.
LOOK: Final = 2.0


class FileCommand(Protocol):
    """The settings of a program."""

    @property
    def file(self) -> FileSettings | None:
        """The file that they come from."""


C = TypeVar("C", bound=FileCommand)


class Reloading(MultiService, Generic[C]):
    """
    A service whose settings file is read again.

    A file with mistakes changes nothing.

    :param service: the service.
    :param command: the settings that it was made with.
    :param load: reads the file; raises UsageError.
    :param apply: applies what can change while the program runs, and returns what has changed beside keys, for the log.
    """

    def __init__(
        self,
        clock: IReactorTime,
        sink: Sink,
        service: IService,
        command: C,
        load: Callable[[], C],
        apply: Callable[[C], Sequence[str]],
    ) -> None:
        MultiService.__init__(self)
        service.setServiceParent(self)
        self._sink = sink
        self._load = load
        self._apply = apply
        assert command.file is not None
        self._started = self._file = command.file
        self._watch = FileWatch(clock, self._file.path, LOOK, self.reload)
        self._needRestart: list[str] = []
        self._held = self._wanted = False

    def startService(self) -> None:
        """Start."""
        MultiService.startService(self)
        self._follow()

    def stopService(self) -> Deferred[object]:
        """Stop."""
        self._watch.stop()
        return cast("Deferred[object]", MultiService.stopService(self))

    def reload(self) -> None:
        """Read the file again."""
        if self._held:
            self._wanted = True
            return
        self._watch.noted()
        try:
            command = self._load()
        except UsageError as e:
            for line in str(e).splitlines():
                self._sink.emit(SettingsMistake(line))
            self._sink.emit(SettingsKept(str(self._file.path)))
            return
        old, new = self._file, command.file
        assert new is not None
        fixed = self._started.fixed | new.fixed
        changes = [*self._apply(command), *(key for key in old.changed(new) if key not in fixed)]
        self._sink.emit(SettingsReloaded(str(new.path), ", ".join(changes) or "nothing has changed"))
        needed = [key for key in self._started.changed(new) if key in fixed]
        if needed and needed != self._needRestart:
            self._sink.emit(RestartNeeded(", ".join(needed)))
        self._needRestart = needed
        self._file = new
        self._follow()

    def hold(self) -> None:
        """See :class:`bore.handover.place.Belonging`: the other process reads the file."""
        self._held = True

    def keep(self) -> None:
        """See :class:`bore.handover.place.Belonging`. What was asked for meanwhile is done now."""
        self._held = False
        if self._wanted:
            self._wanted = False
            self.reload()

    def give(self, pid: int) -> bool:
        """See :class:`bore.handover.place.Belonging`. What was asked for meanwhile is asked of the other process."""
        self._watch.stop()
        if self._wanted:
            os.kill(pid, signal.SIGHUP)
        return True

    def take(self) -> None:
        """See :class:`bore.handover.place.Belonging`."""

    def _follow(self) -> None:
        """Watch the file, if that is what it says."""
        if self.running and self._file.watch:
            self._watch.start()
        else:
            self._watch.stop()
