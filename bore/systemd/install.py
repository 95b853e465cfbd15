"""Has systemd run a client or a server: units and settings files are written and removed."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import stat
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bore.options.servicecommands import ServiceCommand
from bore.system.atomicfiles import makeFolder, replaceWhole
from bore.systemd.units import escaped, isOurs, settingsText, unitText
from bore.wire.secret import newSecret

#: The group that may read the settings files of the system: services are in it.
GROUP: Final = "txbore"

#: It exists where systemd is the system's manager (sd_booted(3)).
BOOTED: Final = Path("/run/systemd/system")

#: The longest time for systemctl, in seconds: it may wait for a program to start.
_PATIENCE: Final = 120

#: Directories that services do not see, by ProtectHome in their units.
_HOMES: Final = ("/home/", "/root/", "/run/user/")


class CannotInstall(Exception):
    """A unit cannot be written, or systemd does not take it. The text says what would be right."""


@dataclass(slots=True)
class Outcome:
    """
    What was done.

    :ivar done: what was written, kept and removed, a line for each.
    :ivar advice: what to do next.
    """

    done: list[str] = field(default_factory=list)
    advice: list[str] = field(default_factory=list)


def _runCommand(words: Sequence[str]) -> None:
    """
    Run a command of the system.

    :raises CannotInstall: if it fails.
    """
    program = shutil.which(words[0], path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if program is None:
        raise CannotInstall(f"there is no {words[0]} on this machine, which has to run: {shlex.join(words)}")
    try:
        found = subprocess.run(  # noqa: S603
            [program, *words[1:]], capture_output=True, text=True, timeout=_PATIENCE, check=False
        )
    except subprocess.TimeoutExpired:
        raise CannotInstall(f"{shlex.join(words)} has not ended within {_PATIENCE} s") from None
    if found.returncode:
        text = " ".join((found.stderr or found.stdout).split())
        raise CannotInstall(f"{shlex.join(words)} has failed: {text or f'exit code {found.returncode}'}")


def programLine() -> str:
    """
    The command line that starts the ``bore`` of the Python that runs, as a unit has it.

    By its second name: ``bore`` in a directory of the system may be another program.
    """
    for folder in (Path(sys.executable).parent, Path(sysconfig.get_path("scripts"))):
        script = folder / "txbore"
        if os.access(script, os.X_OK):
            return escaped(str(script))
    return f"{escaped(sys.executable)} -P -m bore"


def hiddenPart() -> str | None:
    """The part of this program that is in a home directory, which services of the system do not see; None: none is."""
    parts = (sys.executable, os.path.realpath(sys.executable), os.path.realpath(__file__))
    return next((part for part in parts if part.startswith(_HOMES)), None)


class Installer:
    """
    Installs and removes the unit of a client or server.

    :param run: runs a command of the system.
    :param uid: the user of this process.
    :param booted: a directory that exists if systemd is the system's manager.
    """

    def __init__(
        self,
        command: ServiceCommand,
        run: Callable[[Sequence[str]], None] = _runCommand,
        uid: int | None = None,
        booted: Path = BOOTED,
    ) -> None:
        self._command = command
        self._run = run
        self._uid = os.geteuid() if uid is None else uid
        self._booted = booted
        self._systemctl = ["systemctl", *(["--user"] if command.user else [])]

    def show(self) -> list[str]:
        """Return what :meth:`install` would write, line by line."""
        command, lines = self._command, list[str]()
        for name in command.files:
            lines += [f"# {command.units / name}", *self._text(name).splitlines(), ""]
        if not command.file.exists():
            lines += [f"# {command.file}", *settingsText(not command.client).splitlines()]
        return lines

    def install(self) -> Outcome:
        """
        Write the units, and a settings file if there is none, and have systemd read them.

        :raises CannotInstall: if that cannot be. A unit that was changed by others stays as it is.
        """
        command, made = self._command, Outcome()
        self._check()
        for name in command.files:
            self._checkChanged(command.units / name)
        group = None if command.user else self._group()
        with _failures():
            self._makeFolder(command.units)
            for name in command.files:
                path = command.units / name
                replaceWhole(path, self._text(name).encode())
                path.chmod(0o644)
                made.done.append(f"wrote {path}")
            new = self._writeSettings(group, made)
        self._run([*self._systemctl, "daemon-reload"])
        if command.now and not (new and command.client):
            self._run([*self._systemctl, "enable", "--now", command.unit])
            made.done.append(f"started {command.unit}")
        self._advise(new, made)
        return made

    def remove(self) -> Outcome:
        """
        Stop the client or server, and remove its units.

        :raises CannotInstall: if that cannot be. A unit that was changed by others stays as it is.
        """
        command, made = self._command, Outcome()
        self._check()
        paths = [command.units / name for name in command.files if (command.units / name).exists()]
        if not paths:
            raise CannotInstall(f"{command.units / command.files[0]} does not exist: there is nothing to remove")
        for path in paths:
            self._checkChanged(path)
        if command.client and not command.file.exists() and command.unit not in self._enabled():
            raise CannotInstall(f"there is no client {command.client}: {command.file} does not exist")
        stopped = [f"{command.unit}.service", *(name for name in command.files if name.endswith(".socket"))]
        self._run([*self._systemctl, "disable", "--now", *stopped])
        made.done.append(f"stopped {command.unit}")
        others = sorted(self._enabled() - {command.unit}) if command.client else []
        with _failures():
            for path in [] if others else paths:
                path.unlink()
                made.done.append(f"removed {path}")
        if others:
            made.done.append(f"kept {paths[0]}, which others need: {', '.join(others)}")
        self._run([*self._systemctl, "daemon-reload"])
        if command.file.exists():
            made.advice.append(f"{command.file} stays: remove it if you do not need it any more")
        return made

    def _text(self, name: str) -> str:
        return unitText(name, programLine(), self._command.user)

    def _check(self) -> None:
        """
        Check that there is a manager, and that this user may give it units.

        :raises CannotInstall: if not.
        """
        if not self._booted.is_dir():
            raise CannotInstall(
                f"systemd does not run this machine (there is no {self._booted}): 'bore service show' prints the unit, "
                "for another machine, or as a model for another service manager"
            )
        if not self._command.user and self._uid != 0:
            raise CannotInstall(
                f"only root may do that: sudo {programLine()} service {self._command.action} ..., or add --user for a "
                "service of your own"
            )

    def _checkChanged(self, path: Path) -> None:
        if not path.exists():
            return
        with _failures():
            text = path.read_text(encoding="utf-8", errors="replace")
        if not isOurs(text):
            raise CannotInstall(
                f"{path} is not as 'bore service install' has written it, and stays: move your changes to the file "
                f"that '{shlex.join([*self._systemctl, 'edit', self._command.unit])}' opens, and remove {path}"
            )

    def _group(self) -> int:
        """The number of the group of the services, which is made if there is none."""
        import grp

        try:
            return grp.getgrnam(GROUP).gr_gid
        except KeyError:
            self._run(["groupadd", "--system", GROUP])
        return grp.getgrnam(GROUP).gr_gid

    def _writeSettings(self, group: int | None, made: Outcome) -> bool:
        """Write the settings file, unless there is one, and return whether it is new."""
        command = self._command
        self._makeFolder(command.settings)
        new = self._writeNew(command.file, settingsText(not command.client), group, made)
        if new and not command.client:
            self._writeNew(command.settings / "secret", f"{newSecret()}\n", group, made)
        return new

    def _writeNew(self, path: Path, text: str, group: int | None, made: Outcome) -> bool:
        """Write a file, unless there is one, and return whether it is new."""
        new = _writeNew(path, text, group)
        made.done.append(f"{'wrote' if new else 'kept'} {path}")
        if group is not None and not _isReadable(path, group):
            made.advice.append(f"the service cannot read {path}: sudo chgrp {GROUP} {path} && sudo chmod 0640 {path}")
        return new

    def _advise(self, new: bool, made: Outcome) -> None:
        command = self._command
        hidden = None if command.user else hiddenPart()
        if hidden is not None:
            made.advice.append(
                f"warning: {hidden} is in a home directory, which ProtectHome in the unit hides from the service. "
                "Install txbore elsewhere, such as in /opt/txbore, and run this again with that bore"
            )
        sudo = "" if command.user else "sudo "
        if new:
            made.advice.append(f"edit {command.file}, and check it: {sudo}{programLine()} check {command.file}")
        if new or not command.now:
            made.advice.append(f"then: {sudo}{shlex.join([*self._systemctl, 'enable', '--now', command.unit])}")
        journal = f"journalctl {'--user ' if command.user else ''}-u {command.unit} -f"
        made.advice.append(f"its state: {shlex.join([*self._systemctl, 'status', command.unit])}; its log: {journal}")
        if command.user:
            made.advice.append("it runs while you are logged in; to have it run always: loginctl enable-linger")

    def _makeFolder(self, folder: Path) -> None:
        """Make a directory, unless it is there. Services, and all users, have to enter those of the system."""
        if self._command.user:
            makeFolder(folder)
        elif not folder.is_dir():
            folder.mkdir(parents=True)
            folder.chmod(0o755)

    def _enabled(self) -> set[str]:
        """The clients that are started at boot, by the links that systemctl makes for them."""
        links = self._command.units.glob("*.wants/bore-client@*.service")
        return {link.name.removesuffix(".service") for link in links}


@contextlib.contextmanager
def _failures() -> Iterator[None]:
    """Explain errors of files."""
    try:
        yield
    except OSError as e:
        raise CannotInstall(f"cannot use {e.filename}: {e.strerror}") from e


def _writeNew(path: Path, text: str, group: int | None) -> bool:
    """
    Write a file, unless there is one, and return whether it was written.

    :param group: the group that may read it; None: only its owner may.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return False
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        if group is not None:
            os.fchown(descriptor, -1, group)
            os.fchmod(descriptor, 0o640)
    return True


def _isReadable(path: Path, group: int) -> bool:
    """Whether the services can read a file: they are in the group."""
    found = path.stat()
    return bool(found.st_mode & stat.S_IROTH or (found.st_gid == group and found.st_mode & stat.S_IRGRP))
