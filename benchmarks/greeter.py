"""A local service that greets who comes, and holds the connection until the other side ends: a program of its own."""

from __future__ import annotations

import selectors
import socket
import sys
from collections.abc import Sequence
from typing import Final

from benchmarks.descriptors import raiseLimit

#: The first byte that a visitor gets.
GREETING: Final = b"!"


def main(addresses: Sequence[str]) -> None:
    """
    Greet visitors until the process is ended.

    :param addresses: where to listen, each as HOST:PORT.
    """
    raiseLimit()
    with selectors.DefaultSelector() as selector:
        for address in addresses:
            host, port = address.split(":")
            selector.register(socket.create_server((host, int(port)), backlog=4096), selectors.EVENT_READ, "listener")
        while True:
            for key, _ in selector.select():
                sock = key.fileobj
                assert isinstance(sock, socket.socket)
                if key.data:
                    visitor, _ = sock.accept()
                    visitor.send(GREETING)
                    selector.register(visitor, selectors.EVENT_READ)
                elif not _says(sock):
                    selector.unregister(sock)
                    sock.close()


def _says(sock: socket.socket) -> bool:
    try:
        return bool(sock.recv(4096))
    except OSError:
        return False


if __name__ == "__main__":
    main(sys.argv[1:])
