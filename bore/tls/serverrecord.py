"""What is known of one server, in the file of known servers or for the run of a client."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bore.tls.knownservers import MAX_ANNOUNCED, NOTHING, Known, KnownServer, KnownServers


class Record:
    """
    What is known of one server: in the file, or, where that cannot be written, for this run.

    :param path: the file; None: there is no directory for it.
    :param server: the server, as people write it.
    :param lasting: whether anything is written.
    """

    def __init__(self, path: Path | None, server: str, lasting: bool = True) -> None:
        self._lasting = lasting
        self._file = None if path is None else KnownServers(path)
        self._server = server
        self._volatile = NOTHING
        self._announced: tuple[KnownServer, ...] = ()  # for this run only

    @property
    def isVolatile(self) -> bool:
        """Whether something could not be written, and is known for this run only."""
        return self._volatile is not NOTHING

    def find(self) -> Known:
        """
        What is known of the server.

        :raises KnownServersError: see :meth:`KnownServers.find`.
        """
        if self._file is None or self.isVolatile:
            found, path = self._volatile.servers, None
        else:
            found, path = tuple(self._file.find(self._server)), self._file.path
        return Known(found + self._announced if found else (), path)

    def findSuccessors(self, pins: Sequence[str]) -> Known:
        """
        What is known of a server by its pins, which the user has given: these, and the keys that it has announced.

        :raises KnownServersError: see :meth:`KnownServers.find`.
        """
        later = [] if self._file is None else self._file.find(*pins)
        return Known((*(KnownServer(pin, 0) for pin in pins), *later, *self._announced), given=True)

    def learn(self, key: str, new: str) -> bool:
        """
        Write down that the server with one key has announced another one.

        :returns: whether that was not known.
        :raises KnownServersError: see :meth:`KnownServers.find`.
        :raises OSError: when it cannot be written; it is known for this run then.
        """
        if not self._lasting:
            return False
        try:
            if self._file is None:
                raise OSError(0, "there is no directory for it")
            return self._file.learn(key, new)
        except OSError:
            if len(self._announced) < MAX_ANNOUNCED:
                self._announced = (*self._announced, KnownServer(new, 0))
            raise

    def add(self, key: str) -> Known:
        """
        Write the server down, unless something is known of it.

        :returns: what is known of it already; then nothing was written.
        :raises KnownServersError: see :meth:`KnownServers.find`.
        :raises OSError: when it cannot be written; it is known for this run then.
        """
        if not self._lasting:
            self._volatile = Known((KnownServer(key, 0),))
            return NOTHING
        try:
            if self._file is None:
                raise OSError(0, "there is no directory for it")
            return Known(tuple(self._file.add(self._server, key)), self._file.path)
        except OSError:
            self._volatile = Known((KnownServer(key, 0),))
            raise
