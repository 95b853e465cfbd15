"""The file with the keys of known servers, as ``known_hosts`` of ssh."""

from __future__ import annotations

import contextlib
import errno
import os
import re
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

from bore.streams.addresses import parseHostPort
from bore.system.atomicfiles import locked, makeFolder, syncFolder
from bore.system.privatefiles import NotPrivate, Policy, checkFolders, readPrivate
from bore.wire.pins import AUTHORITY, isFingerprint, isPin

#: The keys are public, so others may read them; anyone who can change them can make the client trust any server.
_POLICY: Final = Policy(forbidden=0o022, caution="check its content, then ")

#: More than any file that was written here, in bytes.
_LONGEST: Final = 1 << 20


#: How many next keys of one key are written down: servers must not fill the disk.
MAX_ANNOUNCED: Final = 8

#: What a name in the file must not have: the separator of name and key, the begin of a comment, and the escape.
_SPECIAL: Final = re.compile(r"[\s\\]|^#")
_ESCAPE: Final = re.compile(r"\\x([0-9a-f]{4})")


def _entry(line: str) -> tuple[str, str]:
    """
    Parse a line: the server, or a key that it had before, and its key.

    :raises ValueError: when it has another form.
    """
    written, key = line.split()
    if not (written + key).isprintable() or not isPin(key):
        raise ValueError("not a server and a key")
    if isFingerprint(written):
        return written, key
    name = _ESCAPE.sub(lambda found: chr(int(found.group(1), 16)), written)
    if parseHostPort(name)[1] is None:
        raise ValueError("without a port")
    return _plain(name), key


def _plain(server: str) -> str:
    """The normal form of a server's name, for comparison; a key is its own."""
    if isFingerprint(server):
        return server
    host, colon, port = server.lower().rpartition(":")
    try:
        host = f"[{ip_address(host[1:-1])}]" if host.startswith("[") else str(ip_address(host))
    except ValueError:
        host = host.removesuffix(".")
    return host + colon + port


def _written(server: str) -> str:
    """A server's name as the file has it."""
    return _SPECIAL.sub(lambda found: f"\\x{ord(found.group()):04x}", _plain(server))


class KnownServersError(Exception):
    """The file cannot be relied on. The text says what would be right."""


class KnownServer(NamedTuple):
    """
    A line of the file.

    :ivar key: a fingerprint, or :data:`AUTHORITY`.
    :ivar line: its number; the first line is 1.
    """

    key: str
    line: int


@dataclass(frozen=True, slots=True)
class Known:
    """
    What is known of one server.

    :ivar servers: the lines about it; usually one.
    :ivar path: the file; None: it is known for this run only.
    :ivar given: whether the user has given the pins, by the line of an invitation.
    """

    servers: tuple[KnownServer, ...] = ()
    path: Path | None = None
    given: bool = False

    @property
    def keys(self) -> list[str]:
        """The pins of the server."""
        return [server.key for server in self.servers]

    @property
    def what(self) -> str:
        """What the server is expected to present, for an error."""
        return "a certificate by a trusted authority" if AUTHORITY in self.keys else f"the key {self.keys[0]}"

    @property
    def remedy(self) -> str:
        """What the user has to do for the server to be new again."""
        if self.given:
            return "ask for a new line, which 'bore user rotate' prints, and join with it"
        if self.path is None:
            return "restart the client"
        return f"remove line {' and '.join(str(server.line) for server in self.servers)} of {self.path}"


#: Nothing is known.
NOTHING: Final = Known()


class KnownServers:
    """
    A file with a line for each server: host and port, and the fingerprint of its key. A line with two fingerprints has
    a key, and the next one that the server with it has announced. Lines that begin with ``#`` are comments.

    :param path: the file; made when the first line is written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def find(self, *names: str) -> list[KnownServer]:
        """
        What is known of a server, with the keys that it has announced.

        :param names: the server, as people write it, or keys of it.
        :raises KnownServersError: when the file cannot be read; when another user may change or remove it; when it has
            a damaged line, which may be the one of this server, and no other line of it.
        """
        try:
            checkFolders(self.path.parent)  # without the file, each server would be new
            content = self._read()
        except NotPrivate as e:
            raise KnownServersError(
                f"{self.path} cannot be relied on: it {e}. XDG_STATE_HOME names another directory"
            ) from None
        found: list[KnownServer] = []
        own = set(map(_plain, names))
        damaged = 0
        for number, line in enumerate(content.split("\n"), 1):
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            try:
                name, key = _entry(line)
            except ValueError:
                damaged = damaged or number
                continue
            if name in own:
                found.append(KnownServer(key, number))
                own.add(key)  # an announced key has a later line
        if damaged and not found:
            raise KnownServersError(
                f"line {damaged} of {self.path} is damaged, and may be about this server: correct or remove it"
            )
        return found

    def add(self, server: str, key: str) -> list[KnownServer]:
        """
        Write a server down, unless it is known. Of two clients that do so at the same time, one finds the other's
        line.

        :returns: the lines about the server that were there; if there were any, nothing was written.
        :raises KnownServersError: see :meth:`find`.
        :raises OSError: when the file cannot be written, or another program has locked it.
        """
        with self._open() as file:
            with locked(file.fileno()) as ours:
                if not ours:
                    raise OSError(errno.EAGAIN, "another program has locked it")
                known = self.find(server)
                if not known:
                    self._append(file, f"{_written(server)} {key}")
            self._sync(file)
        return known

    def learn(self, key: str, new: str) -> bool:
        """
        Write down that a server has announced its next key, unless that is known.

        :returns: whether it was not.
        :raises KnownServersError: see :meth:`find`.
        :raises OSError: see :meth:`add`.
        """
        with self._open() as file:
            with locked(file.fileno()) as ours:
                if not ours:
                    raise OSError(errno.EAGAIN, "another program has locked it")
                announced = self.find(key)
                isNew = len(announced) < MAX_ANNOUNCED and all(known.key != new for known in announced)
                if isNew:
                    self._append(file, f"{key} {new}")
            if isNew:
                self._sync(file)
        return isNew

    def _open(self) -> BinaryIO:
        makeFolder(self.path.parent)
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
        return os.fdopen(os.open(self.path, flags, 0o600), "r+b")

    def _append(self, file: BinaryIO, line: str) -> None:
        with contextlib.suppress(OSError):
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":  # it was edited
                file.write(b"\n")
        file.write(f"{line}\n".encode())
        file.flush()

    def _sync(self, file: BinaryIO) -> None:
        os.fsync(file.fileno())
        syncFolder(self.path.parent)

    def _read(self) -> str:
        try:
            content = readPrivate(self.path, _POLICY, _LONGEST + 1)
        except FileNotFoundError:
            return ""
        except OSError as e:
            raise KnownServersError(f"{self.path} cannot be read: {e.strerror}") from None
        if len(content) > _LONGEST:
            raise KnownServersError(f"{self.path} is too long: remove what is not needed")
        return content.decode("utf-8", "replace")
