"""Looking names up, without ever waiting for a name server that does not answer."""

from __future__ import annotations

import contextlib
import socket
from collections import deque
from collections.abc import Callable
from threading import Thread
from typing import Final, TypeAlias

from twisted.internet.defer import Deferred
from twisted.internet.error import DNSLookupError
from twisted.internet.interfaces import IReactorFromThreads
from twisted.python.failure import Failure

from bore.streams.addresses import Place, asciiName

#: Names that are looked up at the same time. Each takes a thread, for half a minute when no name server answers.
_MOST: Final = 8

#: getaddrinfo(3): the name servers have answered, and there is nothing to connect to.
_NO_SUCH_NAME: Final = (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", None), getattr(socket, "EAI_ADDRFAMILY", None))


class NameTrouble(DNSLookupError):
    """
    A name has no address, or cannot be looked up now.

    :ivar temporary: whether that says nothing about the name itself.
    """

    def __init__(self, text: str, temporary: bool = True) -> None:
        super().__init__(text)
        self.temporary = temporary

    def __str__(self) -> str:
        return str(self.args[0])


def _cannot(name: str, error: OSError) -> NameTrouble:
    trouble = NameTrouble(f"the name {name} cannot be looked up: {str(error.strerror).lower()}")
    if not isinstance(error, socket.gaierror):  # whose numbers are others
        trouble.errno = error.errno  # who waits for a descriptor can do so here, too
    return trouble


_Result: TypeAlias = list[Place] | Exception


def addressesOf(name: str) -> list[Place]:
    """
    Ask the system for the addresses of a name. This blocks.

    :param name: the name, in ASCII.
    :returns: the addresses with port 0, in the order in which they should be tried (RFC 6724).
    :raises NameTrouble: when there is none.
    """
    try:
        # As bytes: text would be encoded once more, by a codec that refuses some names.
        found = socket.getaddrinfo(name.encode("ascii"), 0, type=socket.SOCK_STREAM)
    except socket.gaierror as e:
        if e.errno in _NO_SUCH_NAME:
            raise NameTrouble(f"the name {name} does not exist, or has no address", temporary=False) from None
        raise _cannot(name, e) from None
    except OSError as e:  # no descriptors, no memory
        raise _cannot(name, e) from None
    return [(socket.AddressFamily(family), address) for family, _, _, _, address in found]


class LookUps:
    """
    Looks names up in threads that nobody waits for when the process ends.

    The reactor's own pool of threads is joined at its end, for as long as the name servers are silent.

    :param ask: does it, blocking, in such a thread.
    """

    def __init__(self, ask: Callable[[str], list[Place]] = addressesOf) -> None:
        self._ask = ask
        self._free = _MOST
        self._waiting: deque[tuple[IReactorFromThreads, str, Deferred[list[Place]]]] = deque()

    def lookUp(self, reactor: IReactorFromThreads, host: str) -> Deferred[list[Place]]:
        """
        Look a name up.

        :returns: the addresses, with port 0; fails with NameTrouble.
        """
        found: Deferred[list[Place]] = Deferred()
        try:
            name = asciiName(host)
        except ValueError as e:
            found.errback(NameTrouble(f"{host} is not a name: {e}", temporary=False))
            return found
        self._waiting.append((reactor, name, found))
        self._startNext()
        return found

    def _startNext(self) -> None:
        while self._free and self._waiting:
            reactor, name, found = self._waiting.popleft()
            if found.called:  # cancelled
                continue
            self._free -= 1
            try:
                Thread(target=self._run, args=(reactor, name, found), name="look-up", daemon=True).start()
            except (RuntimeError, MemoryError) as e:
                text = f"the name {name} cannot be looked up: {e} (the limit of processes or of memory is reached)"
                self._finish(found, NameTrouble(text))

    def _run(self, reactor: IReactorFromThreads, name: str, found: Deferred[list[Place]]) -> None:
        """In a thread."""
        result: _Result
        try:
            result = self._ask(name)
        except Exception as e:
            result = e  # whoever dials fails with it
        with contextlib.suppress(OSError):  # the reactor has ended meanwhile
            reactor.callFromThread(self._finish, found, result)

    def _finish(self, found: Deferred[list[Place]], result: _Result) -> None:
        self._free += 1
        if not found.called:
            found.callback(Failure(result) if isinstance(result, Exception) else result)
        self._startNext()


#: The threads are the process's, and so is their number.
LOOK_UPS: Final = LookUps()
