"""Files that hold the secret, and the command that makes one."""

from __future__ import annotations

import contextlib
import os
import shlex
import stat
from pathlib import Path
from typing import Final

from bore.commandline import Command, Option
from bore.options.values import path
from bore.system.files import Exposed, checkFolders, syncFolder

_LONGEST: Final = 4096

#: What some editors put in front of a text in UTF-8; no key of a keyboard makes one.
_BYTE_ORDER_MARK: Final = "\ufeff"

#: What a file's group may do is its owner's decision: a daemon without root's rights may need it.
_OTHERS: Final = stat.S_IRWXO


def secretCommand(name: str) -> Command[Path | None]:
    """The command line of ``bore secret``: the file to write, or None to print the secret."""
    write = Option(
        ("--write",), "Write it to this new file, which only you may read, and do not print it", path, "PATH"
    )
    return Command(name, "Print a secret that cannot be guessed.", (write,), lambda found, given: found["write"])


def readSecret(name: str) -> str:
    """
    Read the secret in a file, without the newline at its end.

    :raises ValueError: when the file cannot be read, is not one that only its user may read and write, or holds
        something that cannot be meant; the text says what would be right.
    """
    try:
        with open(name, encoding="utf-8", newline="") as file:
            _refuseShared(os.fstat(file.fileno()), name)
            text = file.read(_LONGEST + 1)
    except Exposed as e:
        raise ValueError(str(e)) from None
    except OSError as e:
        raise ValueError(f"cannot be read ({e.strerror}): give a file that holds the secret") from e
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8 text: give a file that holds the secret") from None
    if len(text) > _LONGEST:
        raise ValueError(f"is longer than {_LONGEST} characters: give a file that holds the secret alone")
    if text.startswith(_BYTE_ORDER_MARK):
        raise ValueError("begins with a byte order mark: save it as UTF-8 without one")
    secret = text.removesuffix("\n").removesuffix("\r")
    if not secret:
        raise ValueError("is empty: 'bore secret --write FILE' makes a file with a secret")
    if secret[-1] in "\r\n":
        raise ValueError("ends with an empty line: remove all newlines at its end but one")
    return secret


def writeSecret(target: Path, secret: str) -> None:
    """
    Write a secret into a new file that only its user may read.

    A file that exists is never overwritten: the other end may have its secret.

    :raises OSError: when the file exists, or cannot be written; then there is none.
    """
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(descriptor, "w", encoding="utf-8", newline="") as file:
            file.write(secret + "\n")
            file.flush()
            os.fsync(file.fileno())
        syncFolder(target.parent)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(target)
        raise


def _refuseShared(status: os.stat_result, name: str) -> None:
    """Refuse a file that others may read or write. A pipe is its process's own."""
    if os.name != "posix" or not stat.S_ISREG(status.st_mode):
        return
    quoted = shlex.quote(name)
    if status.st_uid not in (0, os.geteuid()):
        raise ValueError(f"belongs to another user (uid {status.st_uid}): chown {os.geteuid()} {quoted}")
    if status.st_mode & _OTHERS:
        raise ValueError(f"may be used by every user of this machine: chmod o= {quoted}")
    checkFolders(Path(os.path.realpath(name)).parent, groupMay=True)
