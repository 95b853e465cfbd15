"""A man in the middle: ends TLS to both sides, and forwards everything."""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import threading
from pathlib import Path

from tests.certificates import Identity
from tests.processes.tlscase import clientContext, serverContext
from tests.support import PATIENCE


class Middle:
    """
    Listens where a client takes it for the server.

    :param host: where it listens.
    :param to: the server.
    :param identity: what it shows to clients.
    :ivar honest: how many connections it forwards as they are, before it ends TLS.
    :ivar accepted: how many connections were made to it.
    :ivar fromClients: the bytes that clients have sent inside TLS.
    :ivar fromServer: what the server has.
    :ivar failures: why connections of clients came to nothing.
    """

    def __init__(self, host: str, to: tuple[str, int], identity: Identity, folder: Path, honest: int = 0) -> None:
        self._to = to
        self.honest = honest
        self._toClients = serverContext(identity, folder)
        self._toServer = clientContext("bore/1")
        self._listener = socket.create_server((host, 0))
        self.port: int = self._listener.getsockname()[1]
        self.accepted = 0
        self.fromClients = bytearray()
        self.fromServer = bytearray()
        self.failures: list[str] = []
        self._open = True
        self._sockets: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Listen no more, and cut what there is."""
        self._open = False
        for sock in [self._listener, *self._sockets]:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while self._open:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.accepted += 1
            honest = self.accepted <= self.honest
            threading.Thread(target=self._serve, args=(client, honest), daemon=True).start()

    def _serve(self, client: socket.socket, honest: bool) -> None:
        server = socket.create_connection(self._to)
        self._sockets |= {client, server}
        client.settimeout(PATIENCE)
        server.settimeout(PATIENCE)
        try:
            if honest:
                self._pass(client, server, bytearray(), bytearray())
            else:
                client = self._toClients.wrap_socket(client, server_side=True)
                server = self._toServer.wrap_socket(server)
                self._sockets |= {client, server}
                self._pass(client, server, self.fromClients, self.fromServer)
        except OSError as e:
            self.failures.append(str(e))
        finally:
            for sock in (client, server):
                self._sockets.discard(sock)
                sock.close()

    def _pass(self, client: socket.socket, server: socket.socket, heard: bytearray, answered: bytearray) -> None:
        """Forward both directions until one of them ends."""
        client.setblocking(False)
        server.setblocking(False)
        ways = {client: (server, heard), server: (client, answered)}
        while self._open:
            for source in select.select(list(ways), [], [], 1)[0]:
                sink, notes = ways[source]
                try:
                    data = source.recv(1 << 16)
                except (BlockingIOError, ssl.SSLWantReadError):
                    continue
                if not data:
                    return
                notes += data
                sink.setblocking(True)
                sink.sendall(data)
                sink.setblocking(False)
