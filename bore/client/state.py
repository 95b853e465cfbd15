"""What a client remembers for its next start: its public port, and the token with which it gets the port back."""

from __future__ import annotations

import errno
import json
import os
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from bore.client.oldstate import LOCK, STATE, markUsed
from bore.events import Sink
from bore.events.client import StateFileFailed, StateFileTaken, StateTrouble
from bore.system.atomicfiles import makeFolder, wholeFile
from bore.system.privatefiles import NotPrivate, Policy, checkFolders, readPrivate
from bore.wire.extension import isToken
from bore.wire.publicaddress import PublicAddress, UnixPath, fieldOf
from bore.wire.token import digest

#: Maximum length of a file's name, which its parts share.
_LONGEST_NAME: Final = 200

#: Maximum size of a file in bytes, more than the client ever writes.
_LONGEST: Final = 4096

#: With the token anyone can take the tunnel. The client never makes a link.
_POLICY: Final = Policy(forbidden=0o077, mayBeLink=False)


@dataclass(frozen=True, slots=True)
class Remembered:
    """
    A tunnel.

    :ivar address: its public address.
    :ivar resume: its token; None: the server gives none.
    :ivar key: its lasting key in a cluster; None: it has none.
    """

    address: PublicAddress
    resume: str | None
    key: str | None = None


class Memory(Protocol):
    """Remembers one tunnel of one server."""

    def load(self) -> Remembered | None:
        """Return what was saved last; None if there is nothing."""

    def save(self, tunnel: Remembered, lasting: bool = True) -> None:
        """
        Remember this instead.

        :param lasting: whether to wait until it would survive a power failure.
        """

    def forget(self) -> None:
        """Remember nothing, unless another client uses the memory."""

    def close(self) -> None:
        """Let another client use the memory, until there is something to save again."""


class NoMemory:
    """Remembers nothing."""

    def load(self) -> Remembered | None:
        """Nothing."""
        return None

    def save(self, tunnel: Remembered, lasting: bool = True) -> None:
        """Forget it."""

    def forget(self) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


class StateFile:
    """
    A file for one tunnel of one server, which only the user may read.

    No error is fatal: a file that cannot be read is ignored, and without one that can be written the client remembers
    nothing; each is an event. One client at a time uses the file. Others try again whenever they connect, and whenever
    they have something to save.

    :param folder: the directory of the file; it is made if it does not exist.
    :param server: the server, as people write it.
    :param local: the local service, as people write it.
    :param tunnel: the name of the tunnel, if the local service may have several; else empty.
    """

    def __init__(self, folder: Path, server: str, local: str, sink: Sink, tunnel: str = "") -> None:
        self._sink = sink
        self._names = {"server": server, "local": local} | ({"tunnel": tunnel} if tunnel else {})
        longest = _LONGEST_NAME // len(self._names)
        self._path = folder / f"{'-'.join(_plain(each, longest) for each in self._names.values())}{STATE}"
        self._saved: Remembered | None = None
        self._lock: int | None = None
        self._ours = self._wasRead = False
        self._trouble = ""
        self._writable = True

    def load(self) -> Remembered | None:
        """
        Return what was saved last; None if there is nothing, it cannot be used, or another client uses the file.

        The file is read once. Further calls try again only after another client has used it.
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

    def save(self, tunnel: Remembered, lasting: bool = True) -> None:
        """Replace the file, as a whole or not at all."""
        if tunnel == self._saved or not self._take():
            return
        self._wasRead = True
        name, value = fieldOf(tunnel.address)
        try:
            key = {} if tunnel.key is None else {"key": tunnel.key}
            self._write(json.dumps({**self._names, name: value, "resume": tunnel.resume, **key}) + "\n", lasting)
        except OSError as e:
            if self._writable:
                self._failed(StateTrouble.UNWRITABLE, e)
            self._writable = False
            return
        self._saved = tunnel
        self._writable = True

    def forget(self) -> None:
        """Remove the file, unless another client uses it."""
        if self._ours:
            with suppress(OSError):
                self._path.unlink()
        self.close()

    def close(self) -> None:
        """Let another client use the file, until there is something to save again."""
        if self._lock is not None:
            if self._ours:
                markUsed(self._lock)
            os.close(self._lock)
            self._lock = None
            self._ours = False
            self._saved = None  # another client may save something else meanwhile

    def _take(self) -> bool:
        """Lock the file against other clients, until it is closed; False if another one has it."""
        try:
            import fcntl
        except ImportError:
            return True  # Windows: two clients of the same service both use the file
        if self._ours:
            return True
        try:
            if self._lock is None:
                checkFolders(self._path.parent)  # so root leaves nothing in the home of another user
                makeFolder(self._path.parent)
                self._lock = self._openLock()
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(self._lock).st_nlink == 0:  # another client has removed it meanwhile, as too old
                os.close(self._lock)
                self._lock = self._openLock()
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._ours = True
            markUsed(self._lock)
        except BlockingIOError:
            if self._trouble != "another client":
                self._trouble = "another client"
                self._sink.emit(StateFileTaken(self._names["server"], self._names["local"]))
        except (OSError, NotPrivate) as e:
            if self._trouble != _reason(e):
                self._trouble = _reason(e)
                self._failed(StateTrouble.UNUSABLE, e)
        return self._ours

    def _openLock(self) -> int:
        """
        Open the file whose lock is held while the tunnel is open.

        :raises OSError: also with EMFILE where the locks of other tunnels take half of all descriptors: the rest is for
            connections. A descriptor's number is the lowest that is free.
        """
        import resource

        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        lock = os.open(self._path.with_suffix(LOCK), flags, 0o600)
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        if limit != resource.RLIM_INFINITY and lock >= limit // 2:
            os.close(lock)
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return lock

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
            case {"resume": shown, **others}:
                resume, key = tokenFrom(shown), tokenFrom(others.pop("key", None))
                match others:
                    case {"port": int(port), **names} if (
                        names == self._names and type(port) is int and 0 < port <= 65535
                    ):
                        return Remembered(port, resume, key)
                    case {"path": str(path), **names} if names == self._names and path.startswith("/"):
                        return Remembered(UnixPath(path), resume, key)
        raise ValueError("it is damaged, or of another server or service")

    def _write(self, text: str, lasting: bool) -> None:
        with wholeFile(self._path.parent, text.encode(), lasting) as name:
            os.replace(name, self._path)


def tokenFrom(content: object) -> str | None:
    """
    Return a token as JSON has it, or None.

    :raises ValueError: if it is something else.
    """
    if content is None or (isinstance(content, str) and isToken(content)):
        return content
    raise ValueError("it is damaged")


def _reason(error: OSError | ValueError | NotPrivate) -> str:
    """Describe what is wrong with a file."""
    match error:
        case NotPrivate():
            return f"it {error}"
        case OSError(errno=errno.ELOOP):
            return "it is a link"
        case OSError():
            return str(error.strerror)
    return str(error)


def _plain(name: str, longest: int) -> str:
    """
    The name, restricted to characters that every file system accepts, and to a length.

    One that is cut has a digest, and so has a path: ``/run/a/b`` and ``/run/a_b`` would look alike.
    """
    plain = re.sub(r"[^0-9A-Za-z._\[\]-]", "_", name)
    return plain if len(plain) <= longest and "/" not in name else plain[: longest - 17] + "-" + digest(name).hex()[:16]
