"""Changes the key that a server has made itself: the next one is made, and clients learn it before it is used."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import Final

from bore.system.atomicfiles import lockedFolder, syncFolder, wholeFile
from bore.tls.certificates import fingerprint, makeSelfSigned, readCertificates
from bore.tls.servercertificate import nextFile, ownFile

#: How old a key has to be before it is used, in seconds: clients need time to learn it.
LEAST_AGE: Final = 86400.0

#: How long to wait for another program that does the same, in seconds.
_LOCK_TIMEOUT: Final = 5.0


class TooYoung(Exception):
    """
    The next key was made a short time ago.

    :ivar age: how long, in seconds.
    """

    def __init__(self, age: float) -> None:
        Exception.__init__(self, f"the next key is {age / 3600:.0f} h old")
        self.age = age


def keyIn(path: Path) -> str:
    """
    Return the fingerprint of the key in a file; empty if there is no such file.

    :raises BadCredentials: when the file cannot be used.
    """
    return fingerprint(readCertificates(path)[0]) if path.exists() else ""


def rotateKey(folder: Path, now: bool = False) -> tuple[str, str]:
    """
    Make the next key, or use it if there is one already.

    :param folder: the server's state directory, with its key.
    :param now: whether to use the next key however young it is.
    :returns: the fingerprint of the key in use, and of the next one: empty if it is now in use.
    :raises TooYoung: when the next key is younger than :data:`LEAST_AGE`.
    :raises BadCredentials: when a file cannot be used.
    :raises OSError: when a file cannot be written.
    """
    own, following = ownFile(folder), nextFile(folder)
    with lockedFolder(folder, _LOCK_TIMEOUT) as ours:
        if not ours:
            raise BlockingIOError(0, "another program is changing it")
        if following.exists():
            age = max(time.time() - following.stat().st_mtime, 0.0)
            if age < LEAST_AGE and not now:
                raise TooYoung(age)
            os.replace(following, own)
        else:
            _make(following, own)
        syncFolder(folder)
    return keyIn(own), keyIn(following)


def _make(path: Path, own: Path) -> None:
    """Make a key in a file with the owner and mode of another one: the server has to read it."""
    pem, _ = makeSelfSigned("txbore")
    status = own.stat()
    with wholeFile(path.parent, pem) as name:
        if os.name == "posix" and os.stat(name).st_uid != status.st_uid:
            os.chown(name, status.st_uid, status.st_gid)
        shutil.copymode(own, name)
        os.replace(name, path)
