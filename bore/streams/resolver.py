"""Name resolution that never blocks the reactor, nor the end of the process."""

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

#: How many names are looked up at the same time. Each takes a thread, for half a minute if no name server answers.
_MAX_THREADS: Final = 8

#: Errors of getaddrinfo(3) that are answers of the name servers: there is no address.
_NO_SUCH_NAME: Final = (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", None), getattr(socket, "EAI_ADDRFAMILY", None))


class LookupFailed(DNSLookupError):
    """
    A name has no address, or could not be looked up.

    :ivar temporary: whether another attempt may succeed.
    """

    def __init__(self, text: str, temporary: bool = True) -> None:
        super().__init__(text)
        self.temporary = temporary

    def __str__(self) -> str:
        return str(self.args[0])


def _cannot(name: str, error: OSError) -> LookupFailed:
    failure = LookupFailed(f"the name {name} cannot be looked up: {str(error.strerror).lower()}")
    if not isinstance(error, socket.gaierror):  # whose numbers have another meaning
        failure.errno = error.errno  # for callers that wait for a descriptor
    return failure


_Result: TypeAlias = list[Place] | Exception


def addressesOf(name: str) -> list[Place]:
    """
    Look the addresses of a name up by the system. This blocks.

    :param name: the name, in ASCII.
    :returns: the addresses with port 0, in the order in which they should be tried (RFC 6724).
    :raises LookupFailed: when there is none.
    """
    try:
        # As bytes: text would be encoded again, by a codec that rejects some names.
        found = socket.getaddrinfo(name.encode("ascii"), 0, type=socket.SOCK_STREAM)
    except socket.gaierror as e:
        if e.errno in _NO_SUCH_NAME:
            raise LookupFailed(f"the name {name} does not exist, or has no address", temporary=False) from None
        raise _cannot(name, e) from None
    except OSError as e:  # no descriptors, no memory
        raise _cannot(name, e) from None
    return [(socket.AddressFamily(family), address) for family, _, _, _, address in found]


class Resolver:
    """
    Looks names up in daemon threads, which the process does not join when it ends.

    The reactor joins its own threads, for as long as the name servers are silent.

    :param ask: looks a name up; it blocks, and is called in a thread.
    """

    def __init__(self, ask: Callable[[str], list[Place]] = addressesOf) -> None:
        self._ask = ask
        self._free = _MAX_THREADS
        self._waiting: deque[tuple[IReactorFromThreads, str, Deferred[list[Place]]]] = deque()

    def lookUp(self, reactor: IReactorFromThreads, host: str) -> Deferred[list[Place]]:
        """
        Look a name up.

        :returns: fires with the addresses, with port 0; fails with :class:`LookupFailed`.
        """
        found: Deferred[list[Place]] = Deferred()
        try:
            name = asciiName(host)
        except ValueError as e:
            found.errback(LookupFailed(f"{host} is not a name: {e}", temporary=False))
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
                self._finish(found, LookupFailed(text))

    def _run(self, reactor: IReactorFromThreads, name: str, found: Deferred[list[Place]]) -> None:
        """Look a name up, in a thread."""
        result: _Result
        try:
            result = self._ask(name)
        except Exception as e:
            result = e  # the dial fails with it
        with contextlib.suppress(OSError):  # the reactor has stopped in the meantime
            reactor.callFromThread(self._finish, found, result)

    def _finish(self, found: Deferred[list[Place]], result: _Result) -> None:
        self._free += 1
        if not found.called:
            found.callback(Failure(result) if isinstance(result, Exception) else result)
        self._startNext()


#: The resolver of this process, which limits its threads.
RESOLVER: Final = Resolver()
