"""Secret files, and the command line of ``bore secret``."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Final

from bore.commandline import Command
from bore.option import option
from bore.options.values import path
from bore.system.atomicfiles import syncFolder
from bore.system.privatefiles import GIVEN, NotPrivate, readPrivate

#: In characters.
_MAX_LENGTH: Final = 4096

#: The most secrets in one file: a client proves one of them, and all are tried.
MAX_SECRETS: Final = 16

#: What these may be in UTF-8.
_MAX_BYTES: Final = 4 * _MAX_LENGTH

#: Some editors write it at the start of a file in UTF-8. Nobody types it.
_BYTE_ORDER_MARK: Final = "\ufeff"

_WRITE: Final = option(
    "--write", "Write the secret to this new file, readable by you only, instead of printing it", path, "PATH", None
)


def secretCommand(name: str) -> Command[Path | None]:
    """
    Return the command line of ``bore secret``, whose result is the file to write, or None to print the secret.

    :param name: the program and the command, as the user writes them.
    """
    return Command(name, "Print a new random secret.", (_WRITE,), lambda found: found[_WRITE])


def readSecrets(name: str) -> list[str]:
    """
    Read the secrets in a file, one in each line.

    :raises ValueError: if the file cannot be read, is accessible to other users, or has no plausible secret. The text
        says what to do.
    """
    try:
        data = readPrivate(Path(name), GIVEN, _MAX_BYTES + 1)
        text = "" if len(data) > _MAX_BYTES else data.decode("utf-8")
    except NotPrivate as e:
        raise ValueError(str(e)) from None
    except OSError as e:
        raise ValueError(f"cannot be read ({e.strerror})") from e
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8 text") from None
    if len(text) > _MAX_LENGTH or len(data) > _MAX_BYTES:
        raise ValueError(f"is longer than {_MAX_LENGTH} characters: it must contain secrets only, one in each line")
    if text.startswith(_BYTE_ORDER_MARK):
        raise ValueError("begins with a byte order mark: save it as UTF-8 without BOM")
    secrets = [line.removesuffix("\r") for line in text.removesuffix("\n").split("\n")]
    if not any(secrets):
        raise ValueError("is empty: 'bore secret --write FILE' writes a new secret to a new file")
    if not secrets[-1]:
        raise ValueError("ends with an empty line: it must end with at most one newline")
    if not all(secrets):
        raise ValueError(f"has an empty line {secrets.index('') + 1}: each line is a secret")
    if len(secrets) > MAX_SECRETS:
        raise ValueError(f"has {len(secrets)} lines, and each line is a secret: at most {MAX_SECRETS} are tried")
    return secrets


def writeSecret(target: Path, secret: str) -> None:
    """
    Write a secret to a new file that is readable by its owner only.

    An existing file is never overwritten: its secret may be in use at the other end.

    :raises OSError: if the file exists or cannot be written. An incomplete file is removed.
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
