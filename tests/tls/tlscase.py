"""Two ends of a TLS connection, for tests."""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Callable
from functools import cache, partial

from OpenSSL import SSL
from twisted.trial.unittest import SynchronousTestCase

from bore.tls.certificates import Credentials, makeSelfSigned
from bore.tls.contexts import clientContext, serverContext
from bore.tls.tlssocket import TlsSocket
from tests.certificates import Authority, Identity
from tests.support import PATIENCE, eventually


@cache
def ownCredentials() -> Credentials:
    """The own certificate of a server."""
    return makeSelfSigned("test")[1]


@cache
def serverOffer() -> SSL.Context:
    """The context of a server with these."""
    return serverContext(ownCredentials())


@cache
def clientOffer() -> SSL.Context:
    """The context of a client that trusts no authority."""
    return clientContext(())


def credentialsOf(identity: Identity) -> Credentials:
    """The same, as the product has it."""
    return Credentials(identity.key, identity.chain)


@cache
def longCredentials() -> Credentials:
    """Credentials that no buffer of 4 KiB takes at once."""
    identity = Authority().issue("test")
    return Credentials(identity.key, (identity.certificate, *[Authority().identity.certificate] * 40))


def plainPair(kind: socket.AddressFamily = socket.AF_INET, buffer: int = 0) -> tuple[socket.socket, socket.socket]:
    """Two connected sockets, the client's first; the server's with a send buffer of this size."""
    if kind != socket.AF_INET:
        return socket.socketpair()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        if buffer:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer)
        near = socket.socket()
        if buffer:
            near.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        near.connect(listener.getsockname())
        far, _ = listener.accept()
    for sock in (near, far):
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return near, far


def descriptors() -> int:
    """How many descriptors this process has open."""
    return len(os.listdir("/dev/fd"))


def patiently(act: Callable[[], bytes], sock: TlsSocket) -> bytes:
    """Data, once there is some."""
    while True:
        try:
            return act()
        except BlockingIOError:
            assert select.select([sock], [], [], PATIENCE)[0], "nothing came"


def receive(sock: TlsSocket, size: int) -> bytes:
    """That many bytes, or fewer if the stream ends before."""
    parts: list[bytes] = []
    while left := size - sum(map(len, parts)):
        parts.append(patiently(partial(sock.recv, left), sock))
        if not parts[-1]:
            break
    return b"".join(parts)


def receiveInto(sock: TlsSocket, room: int) -> bytes:
    """The data of one read into a buffer, once there is some."""

    def act() -> bytes:
        buffer = bytearray(room)
        return bytes(buffer[: sock.recv_into(buffer)])

    return patiently(act, sock)


def arrived(sock: socket.socket) -> int:
    """How many bytes wait in the kernel."""
    try:
        return len(socket.socket.recv(sock, 1 << 20, socket.MSG_PEEK))
    except BlockingIOError:
        return 0


def awaitBytes(sock: socket.socket, size: int) -> None:
    """Wait until a number of encrypted bytes have arrived."""
    eventually(lambda: arrived(sock) >= size, f"{size} bytes have arrived")


def shake(client: TlsSocket, server: TlsSocket) -> None:
    """Shake hands."""
    done = {client: False, server: False}
    while not all(done.values()):
        for sock in (client, server):
            if not done[sock]:
                done[sock] = sock.handshake()
        waiting = [sock for sock in done if not done[sock]]
        writing = [sock for sock in waiting if sock.wantsToWrite]
        if waiting:
            assert any(select.select(waiting, writing, [], PATIENCE)), "the handshake hangs"


class TlsCase(SynchronousTestCase):
    """A test of TLS connections, which are closed behind it."""

    def ends(
        self,
        server: SSL.Context | None = None,
        client: SSL.Context | None = None,
        name: str = "",
        kind: socket.AddressFamily = socket.AF_INET,
        buffer: int = 0,
    ) -> tuple[TlsSocket, TlsSocket]:
        """Two ends that have not shaken hands, the client's first."""
        near, far = plainPair(kind, buffer)
        ends = TlsSocket(near, client or clientOffer(), name), TlsSocket(far, server or serverOffer(), None)
        for end in ends:
            self.addCleanup(end.close)
        return ends

    def pair(
        self,
        server: SSL.Context | None = None,
        client: SSL.Context | None = None,
        name: str = "",
        kind: socket.AddressFamily = socket.AF_INET,
        buffer: int = 0,
    ) -> tuple[TlsSocket, TlsSocket]:
        """Two ends that have, the client's first."""
        ends = self.ends(server, client, name, kind, buffer)
        shake(*ends)
        return ends
