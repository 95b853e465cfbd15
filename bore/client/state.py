"""What a client remembers when it is started again: its public port, and the token for which it can have it back."""

from __future__ import annotations

import errno
import json
import os
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Protocol

from bore.events import Sink
from bore.events.client import StateFileFailed, StateFileTaken, StateTrouble
from bore.system.atomicfiles import makeFolder, wholeFile
from bore.system.privatefiles import NotPrivate, Policy, checkFolders, readPrivate
from bore.wire.extension import isToken
from bore.wire.token import digest

#: The server's part of a file's name, and the local service's, have at most so many characters.
_LONGEST_NAME: Final = 100

#: More than any file that was written here.
_LONGEST: Final = 4096

#: Who has the token can have the tunnel. The client never makes a link.
_POLICY: Final = Policy(forbidden=0o077, mayBeLink=False)


@dataclass(frozen=True, slots=True)
class Remembered:
    """
    One tunnel.

    :ivar port: its public port.
    :ivar resume: its token, if the server gives such things.
    """

    port: int
    resume: str | None


class Memory(Protocol):
    """Keeps what is to be remembered of one server and one local port."""

    def load(self) -> Remembered | None:
        """What was saved last, if it is still there."""

    def save(self, tunnel: Remembered) -> None:
        """Keep this instead."""

    def close(self) -> None:
        """Let another client use it, until it is needed again."""


class NoMemory:
    """Remembers nothing."""

    def load(self) -> Remembered | None:
        """Nothing."""
        return None

    def save(self, tunnel: Remembered) -> None:
        """Forget it."""

    def close(self) -> None:
        """Nothing."""


class StateFile:
    """
    A file for one server and one local port, for the user's eyes only: who has the token can have the tunnel.

    Nothing about it is fatal: what cannot be read is ignored, what cannot be written is done without, each with a
    warning. While one client uses the file others do without theirs; each of them looks again whenever it connects and
    whenever it has something to save, and one has the file when the first has ended.

    :param folder: where the file is; made, if it is not there.
    :param server: the server, as people write it.
    :param local: the local service, as people write it.
    """

    def __init__(self, folder: Path, server: str, local: str, sink: Sink) -> None:
        self._sink = sink
        self._names = {"server": server, "local": local}
        self._path = folder / f"{_plain(server)}-{_plain(local)}.json"
        self._saved: Remembered | None = None
        self._lock: int | None = None
        self._ours = self._wasRead = False
        self._trouble = ""
        self._writable = True

    def load(self) -> Remembered | None:
        """
        What was saved last; None if there is nothing, it is of no use, or another client uses the file.

        It is read once; call this again, in case that the other client has ended.
        """
        if self._wasRead or not self._take():
            return None
        self._wasRead = True
        try:
            self._saved = self._read()
        except FileNotFoundError:
            pass
        except (OSError, ValueError, NotPrivate) as e:
            self._failed(StateTrouble.IGNORED, e)
        return self._saved

    def save(self, tunnel: Remembered) -> None:
        """Write the file anew, as a whole or not at all."""
        if tunnel == self._saved or not self._take():
            return
        self._wasRead = True
        try:
            self._write(json.dumps({**self._names, **asdict(tunnel)}) + "\n")
        except OSError as e:
            if self._writable:
                self._failed(StateTrouble.UNWRITABLE, e)
            self._writable = False
            return
        self._saved = tunnel
        self._writable = True

    def close(self) -> None:
        """Let another client use the file, until there is something to save again."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
            self._ours = False
            self._saved = None  # another client may save something else meanwhile

    def _take(self) -> bool:
        """Keep other clients away from the file, and say whether it is ours: if so, it stays so to our end."""
        try:
            import fcntl
        except ImportError:
            return True  # Windows: two clients of the same port are not told apart
        if self._ours:
            return True
        try:
            if self._lock is None:
                checkFolders(self._path.parent)  # so nothing of root's is left in somebody's home
                makeFolder(self._path.parent)
                flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
                self._lock = os.open(self._path.with_suffix(".lock"), flags, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._ours = True
        except BlockingIOError:
            if self._trouble != "another client":
                self._trouble = "another client"
                self._sink.emit(StateFileTaken(**self._names))
        except (OSError, NotPrivate) as e:
            if self._trouble != _reason(e):
                self._trouble = _reason(e)
                self._failed(StateTrouble.UNUSABLE, e)
        return self._ours

    def _failed(self, trouble: StateTrouble, error: OSError | ValueError | NotPrivate) -> None:
        self._sink.emit(StateFileFailed(str(self._path), trouble, _reason(error)))

    def _read(self) -> Remembered:
        return self._parse(readPrivate(self._path, _POLICY, _LONGEST + 1))

    def _parse(self, data: bytes) -> Remembered:
        if len(data) > _LONGEST:
            raise ValueError("it is damaged")
        try:
            content = json.loads(data)
        except (ValueError, RecursionError):
            raise ValueError("it is damaged") from None
        match content:
            case {"server": server, "local": local, "port": int(port), "resume": str() | None as resume} if (
                {"server": server, "local": local} == self._names
                and type(port) is int
                and 0 < port <= 65535
                and (resume is None or isToken(resume))
            ):
                return Remembered(port, resume)
        raise ValueError("it is damaged, or of something else")

    def _write(self, text: str) -> None:
        with wholeFile(self._path.parent, text.encode()) as name:
            os.replace(name, self._path)


def _reason(error: OSError | ValueError | NotPrivate) -> str:
    """What is wrong with a file."""
    match error:
        case NotPrivate():
            return f"it {error}"
        case OSError(errno=errno.ELOOP):
            return "it is a link"
        case OSError():
            return str(error.strerror)
    return str(error)


def _plain(name: str) -> str:
    """The name with nothing in it that a file system would object to, and no longer than it likes."""
    plain = re.sub(r"[^0-9A-Za-z._\[\]-]", "_", name)
    return plain if len(plain) <= _LONGEST_NAME else plain[: _LONGEST_NAME - 17] + "-" + digest(name).hex()[:16]
