"""A way between client and server that can be listened to, and cut."""

from __future__ import annotations

import contextlib
import socket
import threading


class Passage:
    """
    One connection through a forwarder.

    :ivar fromClient: what the client has said.
    :ivar fromServer: what the server has said.
    """

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self._sockets = (client, server)
        self.fromClient = bytearray()
        self.fromServer = bytearray()
        self._threads = [
            threading.Thread(target=self._pump, args=arguments, daemon=True)
            for arguments in ((client, server, self.fromClient), (server, client, self.fromServer))
        ]
        for thread in self._threads:
            thread.start()

    def cut(self) -> None:
        """End the connection, for both sides."""
        for sock in self._sockets:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for sock in self._sockets:
            sock.close()

    def _pump(self, source: socket.socket, sink: socket.socket, heard: bytearray) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                heard += data
                sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)


class Forwarder:
    """
    Forwards connections to a server, and writes down what is said.

    :param host: where it listens.
    :param port: the same; 0 for any.
    :param to: the server.
    :param source: the address from which it comes to the server; empty: any.
    :ivar passages: the connections, the oldest first.
    """

    def __init__(self, host: str, port: int, to: tuple[str, int], source: str = "") -> None:
        self._to = to
        self._source = (source, 0) if source else None
        self._listener = socket.create_server((host, port))
        self.port: int = self._listener.getsockname()[1]
        self.passages: list[Passage] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Cut everything, and listen no more."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()
        for passage in self.passages:
            passage.cut()

    @property
    def session(self) -> Passage:
        """The newest control connection."""
        return next(passage for passage in reversed(self.passages) if b'{"Hello":' in passage.fromClient)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(self._to, source_address=self._source)
            except OSError:
                client.close()
                continue
            for sock in (client, server):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.passages.append(Passage(client, server))
