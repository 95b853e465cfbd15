"""
The listening sockets that the service manager keeps while the server is started again: nobody is refused meanwhile, as
clients and visitors wait in the kernel's queues.

Beside the sockets, the manager keeps a file of records: who may have each public address. Only imported where the
manager has a descriptor store.
"""

# Longer than 300 lines: what is kept, and what is found again, are read together.

from __future__ import annotations

import hashlib
import json
import os
import socket
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Final

from twisted.internet.interfaces import IReactorTime

from bore.events import Sink
from bore.events.server import AddressesKept
from bore.server.custody import OpenPlace
from bore.server.localcustody import LocalCustody
from bore.server.places import Places
from bore.server.registry import LocalRegistry
from bore.server.settings import ServerSettings
from bore.server.users import User
from bore.streams.addresses import literalAddress, localAddress
from bore.streams.listener import bindSocket
from bore.system.activation import OURS
from bore.system.descriptorstore import DescriptorStore, closeStored
from bore.system.records import Records
from bore.timing.deadlines import Deadlines
from bore.wire.limits import ACCEPT_TIMEOUT
from bore.wire.publicaddress import PublicAddress, UnixPath, parseUnixPath

#: The control ports that a server may have, by their options.
_CONTROL_PORTS: Final = ("control-port", "tls-port")

#: The first record, which says what the others are.
_HEADER: Final = {"records": "txbore public addresses", "version": 1}


@dataclass(frozen=True, slots=True)
class _KeptAddress:
    """
    A public address at which an earlier process has listened.

    :ivar socket: its listening socket.
    :ivar user: whose address it is.
    :ivar source: the key of limits per source.
    :ivar tokens: the digests of the tokens with which the user gets it back; none: its client could not come back.
    """

    address: PublicAddress
    socket: socket.socket
    user: User
    source: str
    tokens: tuple[bytes, ...]


class KeptSockets:
    """
    The listening sockets in the store of the manager.

    :ivar count: how many public addresses were kept that clients can come back for.
    """

    def __init__(self, clock: IReactorTime, store: DescriptorStore, settings: ServerSettings) -> None:
        self._clock = clock
        self._store = store
        self._settings = settings
        #: What grants the addresses, and listens at them, in the custody that was made.
        self.registry: LocalRegistry | None = None
        self.places: Places | None = None
        self._places: dict[PublicAddress, OpenPlace] = {}
        self._numbers: dict[PublicAddress, int] = {}  # of the records
        self._free: list[int] = []
        self._control = {name: store.take(OURS + name) for name in _CONTROL_PORTS}
        # Of clients of the base protocol: they are for whoever asks for them first, as long as visitors wait.
        patience = min(ACCEPT_TIMEOUT, settings.lease)
        self._unclaimed: Deadlines[int, socket.socket] = Deadlines(clock, patience, self._closeUnclaimed)
        self._found = self._readRecords()
        self.count = 0
        store.discard()
        self._records = Records()
        self._records.write(0, _encode(_HEADER))
        store.keep(f"{OURS}state", self._records.descriptor)

    def bindControl(self, name: str, host: str, port: int) -> socket.socket:
        """
        Listen on a control port: with the socket that was kept, if it listens where the settings say.

        :param name: its option, without the dashes.
        :param port: 0: any, such as the one that was kept.
        :raises OSError: when the system refuses.
        """
        fd = self._control.pop(name, None)
        if fd is not None:
            sock = _listening(fd, host, port)
            if sock is not None:
                return sock
            self._close(OURS + name, fd)
        sock = bindSocket(host, port)
        self._store.keep(OURS + name, sock.fileno())
        return sock

    @property
    def names(self) -> list[str]:
        """The names of all that is in the store."""
        return self._store.names

    def adoptControl(self, name: str, sock: socket.socket) -> None:
        """Have the listening socket of a control port kept that another process has given."""
        self._store.keep(OURS + name, sock.fileno())

    def begun(self, sink: Sink) -> None:
        """
        All control ports are bound: what was kept of others is closed.

        :param sink: gets the event that public addresses were kept.
        """
        for name, fd in self._control.items():
            if fd is not None:
                self._close(OURS + name, fd)
        self._control.clear()
        if self.count:
            sink.emit(AddressesKept(self.count, self._settings.lease))

    def _bindPublic(self, host: str, port: int) -> socket.socket:
        """
        Listen on a public port, with the socket that was kept for whoever asks for it, if there is one.

        :raises OSError: when the system refuses.
        """
        return self._unclaimed.take(port) or bindSocket(host, port)

    def makeCustody(self, sink: Sink) -> LocalCustody:
        """Make the custody of the server, with the public addresses that were kept, and have its addresses kept."""
        self.registry = registry = LocalRegistry(self._clock, self._settings.lease)
        self.places = places = Places(self._clock, self._settings, self._bindPublic)
        custody = LocalCustody(self._clock, sink, self._settings, registry, places, self)
        for each in self._found:
            if each.tokens:
                self.count += 1
                grant = registry.restore(each.address, each.user, each.tokens)
                custody.restore(grant, places.restore(each.address, each.socket), each.source)
            elif isinstance(each.address, int):
                self._unclaimed.add(each.address, each.socket)
                places.avoid(each.address)
            else:
                self._close(_nameOf(each.address), each.socket.detach())
        self._found.clear()
        return custody

    def keep(self, place: OpenPlace, user: User, source: str, lasting: bool) -> None:
        """See :class:`bore.server.localcustody.Keeper`."""
        registry, address = self.registry, place.address
        if registry is None or not self._settings.lease:
            return
        known = self._numbers.get(address)
        number = known or (self._free.pop() if self._free else len(self._numbers) + 1)
        content = {
            "address": address.path if isinstance(address, UnixPath) else address,
            "file": _fileOf(address),
            "user": user.name,
            "source": source,
            "tokens": [each.hex() for each in registry.digests(address)] if lasting else [],
        }
        fits = self._records.write(number, _encode(content))
        if known:
            return
        if fits and self._store.keep(_nameOf(address), place.socket.fileno()):
            self._numbers[address] = number
            self._places[address] = place
            place.beforeLeaving(partial(self._drop, place))
        else:
            self._records.erase(number)
            self._free.append(number)

    def leave(self, forNext: bool) -> None:
        """
        The process ends.

        :param forNext: whether what is kept is for the next one. If not, nobody waits for it: this one may take its
            time to end.
        """
        if forNext:
            self._goOn()
        else:
            self._store.removeAll()
        self._store.close()

    def handedOver(self) -> None:
        """Another process has the sockets: nothing is kept for this one any more."""
        self._goOn()
        self._store.removeAll()
        self._store.close()

    def _goOn(self) -> None:
        for place in self._places.values():
            place.goesOn = True

    def _drop(self, place: OpenPlace) -> None:
        """An address is given back: it is free at once, though the manager has not closed its copy yet."""
        if place.goesOn:
            return
        number = self._numbers.pop(place.address)
        del self._places[place.address]
        self._records.erase(number)
        self._free.append(number)
        self._store.remove(_nameOf(place.address))
        with suppress(OSError):
            place.socket.shutdown(socket.SHUT_RDWR)

    def _readRecords(self) -> list[_KeptAddress]:
        """Read who may have which address, and take the sockets of these. Records of another version are ignored."""
        fd = self._store.take(f"{OURS}state")
        if fd is None:
            return []
        found = []
        records = Records(fd)
        with suppress(OSError, ValueError):
            content = iter(records.read())
            if json.loads(next(content, (0, b"{}"))[1]) == _HEADER:
                found = [kept for _, each in content if (kept := self._taken(each)) is not None]
        records.close()
        return found

    def _taken(self, record: bytes) -> _KeptAddress | None:
        """Take the socket of a record; None: it is not within the settings any more, or there is none."""
        try:
            content = json.loads(record)
            address, host, port = self._placeOf(content["address"])
            user, source, tokens = content["user"], content["source"], tuple(map(bytes.fromhex, content["tokens"]))
            isSame = _fileOf(address) == content["file"] and isinstance(user, str) and isinstance(source, str)
        except (ValueError, TypeError, KeyError):
            return None
        fd = self._store.take(_nameOf(address))
        if fd is None:
            return None
        sock = _listening(fd, host, port) if isSame and self._settings.lease else None
        if sock is None:
            self._close(_nameOf(address), fd)
            return None
        return _KeptAddress(address, sock, User(user), source, tokens)

    def _placeOf(self, named: object) -> tuple[PublicAddress, str, int | None]:
        """
        Return the address of a record, and where its socket has to listen.

        :raises ValueError: when a client could not have it any more.
        """
        settings = self._settings
        if isinstance(named, str):
            address = parseUnixPath(named)
            return address, address.path, None
        if isinstance(named, int) and settings.minPort <= named <= settings.maxPort:
            return named, settings.bindTunnels, named
        raise ValueError

    def _closeUnclaimed(self, port: int, sock: socket.socket) -> None:
        self._close(_nameOf(port), sock.detach())

    def _close(self, name: str, fd: int) -> None:
        self._store.remove(name)
        closeStored(fd)


def _nameOf(address: PublicAddress) -> str:
    """The name of a socket in the store, which has at most 255 characters and no colon."""
    if isinstance(address, int):
        return f"{OURS}{address}"
    return f"{OURS}{hashlib.sha256(str(address).encode()).hexdigest()[:16]}"


def _encode(content: object) -> bytes:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode(errors="surrogatepass")


def _fileOf(address: PublicAddress) -> list[int] | None:
    """Which file a Unix socket is found by; None: by none."""
    if not isinstance(address, UnixPath):
        return None
    try:
        found = os.lstat(address.path)
    except OSError:
        return []
    return [found.st_dev, found.st_ino]


def _listening(fd: int, host: str, port: int | None) -> socket.socket | None:
    """
    Return the socket of a descriptor; None: it does not listen at an address.

    :param host: the IP address, or the path of a Unix socket.
    :param port: 0: any; None: it is a Unix socket.
    """
    try:
        sock = socket.socket(fileno=fd)
    except OSError:
        return None
    with suppress(OSError):
        family, wanted = (socket.AF_UNIX, (host,)) if port is None else literalAddress(host, port)
        found = localAddress(sock)
        if port == 0:
            wanted = (wanted[0], found[1], *wanted[2:])
        if (sock.family, found) == (family, wanted) and sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            return sock
    sock.detach()
    return None
