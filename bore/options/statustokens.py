"""The tokens of the status port."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bore.commandline import NotPossible
from bore.events import Sink, StatusTokensNotRead, StatusTokenWritten
from bore.options.secrets import readSecrets, writeSecret
from bore.system.filestamps import stampOf
from bore.system.privatefiles import NotPrivate, checkFolders
from bore.wire.secret import LEAST_LENGTH, newSecret


def readTokens(path: Path) -> Sequence[str]:
    """
    Read the tokens in a file, one in each line.

    :raises ValueError: if the file cannot be used, see :func:`readSecrets`, or a token is short.
    """
    tokens = readSecrets(str(path))
    if min(map(len, tokens)) < LEAST_LENGTH:
        raise ValueError(f"has a token of fewer than {LEAST_LENGTH} characters: 'bore secret' prints a good one")
    return tokens


class Tokens:
    """
    The tokens in a file, which is read again when it has changed.

    A file that is not there yet is written, with a new token.

    :param name: what errors call the option with the file.
    :raises bore.commandline.NotPossible: if the file cannot be used or written.
    """

    def __init__(self, sink: Sink, path: Path, name: str = "--status-token-file") -> None:
        self._sink = sink
        self._path = path
        try:
            if not path.exists():
                checkFolders(path.parent, groupMay=True)  # else another user could have the token, or replace it
                writeSecret(path, newSecret())
                sink.emit(StatusTokenWritten(str(path)))
            self._stamp = stampOf(path)
            self._found = readTokens(path)
        except NotPrivate as e:
            raise NotPossible(f"{name} {str(path)!r}: {e}") from None
        except OSError as e:
            raise NotPossible(f"{name} {str(path)!r}: cannot be written ({e.strerror})") from None
        except ValueError as e:
            raise NotPossible(f"{name} {str(path)!r}: {e}") from None
        self._once = not path.is_file()

    def __call__(self) -> Sequence[str]:
        """
        Return the tokens.

        :raises ValueError: if the file has changed and cannot be used.
        """
        stamp = stampOf(self._path)
        if stamp != self._stamp and not self._once:
            self._stamp = stamp
            self._found = ()
            try:
                self._found = readTokens(self._path)
            except ValueError as e:
                self._sink.emit(StatusTokensNotRead(f"{self._path} {e}"))
        if not self._found:
            raise ValueError("there is no token")
        return self._found
