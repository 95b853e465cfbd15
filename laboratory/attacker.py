"""
``python -m laboratory.attacker KIND HOST SECRET COUNT TLS [SOURCE ...]``: a hostile peer, until it is killed.

It has COUNT threads, which all do the same again and again. TLS is 1 or 0: whether that is inside TLS. These kinds
authenticate:

``alive``
    a session that sends Alive without end
``frames``
    a lane with a visitor on it, on which data is sent without end, one byte in each frame
``sessions``
    a session that is closed as soon as its tunnel is open

These do not:

``connections``
    as many connections as possible on which nothing is sent, each thread from one of the SOURCES

``keys``
    a connection that requests new keys inside TLS without end, and does not read

It prints ``ready`` when the first thread has begun, and then each second ``done`` and a total: of bytes, sessions,
connections or requests.
"""

from __future__ import annotations

import contextlib
import itertools
import select
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator

from bore.streams.encryption import RECORD, channelBinding
from bore.tls.contexts import clientContext
from bore.tls.tlssocket import TlsSocket
from bore.wire.clientsession import ControlSession
from bore.wire.datasession import DataSession
from bore.wire.errors import WireError
from bore.wire.extension import Lane
from bore.wire.lane import DATA, HEADER
from bore.wire.proof import clientProof
from bore.wire.secret import Secret
from bore.wire.sessionevents import SendData, SessionOpened, TunnelOpened
from laboratory.pairings import CONTROL_PORT
from tests.tls.rekeying import Rekeying

#: Bytes that are sent at once.
_CHUNK = 1 << 16

#: Silent connections that are made at once.
_AT_ONCE = 300

#: Seconds without new ones after that: the server is measured, and not what the machine can do.
_PAUSE = 0.1


class Connection:
    """
    A connection to the control port, whose calls block, with TLS or without.

    :ivar binding: what names it inside TLS; empty: it is plain.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self.binding = channelBinding(sock)

    def receive(self) -> bytes:
        """The bytes that have come; a NUL, which is not a message, if the connection has ended."""
        while True:
            try:
                return self._socket.recv(RECORD) or b"\0"
            except BlockingIOError:
                select.select([self._socket], [], [], 20)

    def send(self, data: bytes) -> None:
        """Send bytes."""
        while data:
            try:
                data = data[self._socket.send(data) :]
            except BlockingIOError:
                select.select([], [self._socket], [], 20)


class Attacker:
    """
    What all threads share.

    :ivar done: how much was done.
    """

    def __init__(self, host: str, secret: str, tls: bool, sources: list[str]) -> None:
        self.done = 0
        self._tls = tls
        self._host = host
        self._secret = Secret(secret)
        self._sources = itertools.cycle(sources or [""])
        self.began = threading.Event()

    def did(self, much: int) -> None:
        """So much more was done."""
        self.done += much
        self.began.set()

    @contextlib.contextmanager
    def connection(self) -> Iterator[Connection]:
        """A connection to the control port."""
        with socket.create_connection((self._host, CONTROL_PORT), 20) as plain:
            if not self._tls:
                yield Connection(plain)
                return
            plain.setblocking(False)
            tls = TlsSocket(plain, clientContext(()), "")
        with contextlib.closing(tls):
            while not tls.handshake():
                time.sleep(0.01)
            yield Connection(tls)

    @contextlib.contextmanager
    def session(self) -> Iterator[tuple[Connection, ControlSession, SessionOpened, TunnelOpened]]:
        """A session with a tunnel."""
        with self.connection() as connection:
            session = ControlSession(0, clientProof(self._secret, connection.binding))
            agreed = SessionOpened()
            while True:
                for event in session.feed(connection.receive()):
                    match event:
                        case SendData(words):
                            connection.send(words)
                        case SessionOpened():
                            agreed = event
                            connection.send(session.open(1, 0))
                        case TunnelOpened():
                            yield connection, session, agreed, event
                            return

    def alive(self) -> None:
        """Send Alive without end."""
        words = b'"Alive"\0' * (_CHUNK // 8)
        with self.session() as (connection, _, _, _):
            while True:
                connection.send(words)
                self.did(len(words))

    def frames(self) -> None:
        """Send single bytes to a visitor of the own tunnel."""
        words = (HEADER.pack(DATA, 1) + b"x") * (_CHUNK // 6)
        with self.session() as (_, _, agreed, tunnel):
            assert agreed.lane is not None and isinstance(tunnel.address, int)
            with self.connection() as lane, socket.create_connection((self._host, tunnel.address), 20) as visitor:
                session = DataSession(Lane(agreed.lane), clientProof(self._secret, lane.binding))
                while not session.complete:
                    lane.send(session.feed(lane.receive()))
                if not session.takeRest():
                    lane.receive()  # who is on it
                threading.Thread(target=_swallow, args=(visitor,), daemon=True).start()
                while True:
                    lane.send(words)
                    self.did(len(words))

    def sessions(self) -> None:
        """Open and close a session."""
        with self.session() as (connection, session, _, _):
            connection.send(session.goodbye())
        self.did(1)

    def connections(self) -> None:
        """Make connections that send nothing; each batch stays open until the next one is."""
        before: list[socket.socket] = []
        source = next(self._sources)
        while True:
            made = [self._begin(source) for _ in range(_AT_ONCE)]
            until = time.monotonic() + 1
            waiting = {sock.fileno(): sock for sock in made}
            poll = select.poll()
            for fd in waiting:
                poll.register(fd, select.POLLOUT)
            while waiting and time.monotonic() < until:
                for fd, event in poll.poll(100):
                    poll.unregister(fd)
                    del waiting[fd]
                    self.did(not event & select.POLLERR)
            for sock in before:
                sock.close()
            before = made
            time.sleep(_PAUSE)

    def keys(self) -> None:
        """Ask for new keys inside TLS, and do not read the answers."""
        context = clientContext(())
        rekeying = Rekeying(context, "CLIENT")
        with socket.socket() as plain:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            plain.connect((self._host, CONTROL_PORT))
            plain.setblocking(False)
            tls = TlsSocket(plain, context, "")
        with contextlib.closing(tls):
            while not tls.handshake():
                time.sleep(0.01)
            while True:
                self.did(rekeying.request(tls, 100))
                time.sleep(0.01)

    def _begin(self, source: str) -> socket.socket:
        sock = socket.socket()
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.bind((source, 0))
        sock.connect_ex((self._host, CONTROL_PORT))
        return sock


def _swallow(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while sock.recv(1 << 16):
            pass


def _again(do: Callable[[], None]) -> None:
    """Do something again and again, whatever comes of it."""
    while True:
        try:
            do()
        except (OSError, WireError):
            time.sleep(0.01)


def main() -> None:
    kind, host, secret, count, tls, *sources = sys.argv[1:]
    attacker = Attacker(host, secret, tls == "1", sources)
    for _ in range(int(count)):
        threading.Thread(target=_again, args=(getattr(attacker, kind),), daemon=True).start()
    attacker.began.wait()
    print("ready", flush=True)  # noqa: T201
    while True:
        time.sleep(1)
        print("done", attacker.done, flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
