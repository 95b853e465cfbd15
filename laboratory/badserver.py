"""
``python -m laboratory.badserver HOST``: a hostile server: it sends Heartbeat without end, and hardly reads.

It says that a tunnel is open, and opens none. It prints ``ready`` when it listens.
"""

from __future__ import annotations

import contextlib
import socket
import sys
import threading
import time

from bore.wire import extension
from bore.wire.extension import Extended, Opened
from bore.wire.framing import encodeFrame
from laboratory.pairings import CONTROL_PORT

#: It reads a little at this interval, in seconds, so that the client's system does not take it for dead.
_READS = 2.0


def serve(client: socket.socket) -> None:
    """Open a tunnel for a client, and send Heartbeat."""
    with client, contextlib.suppress(OSError):
        for answer in (Extended(1), Opened(1, 1234, None, 0)):
            client.recv(4096)
            client.sendall(extension.encode(answer))
        threading.Thread(target=_read, args=(client,), daemon=True).start()
        words = encodeFrame('"Heartbeat"') * 5000
        while True:
            client.sendall(words)


def _read(client: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while client.recv(4096):
            time.sleep(_READS)


def main() -> None:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        listener.bind((sys.argv[1], CONTROL_PORT))
        listener.listen()
        print("ready", flush=True)  # noqa: T201
        while True:
            client, _ = listener.accept()
            threading.Thread(target=serve, args=(client,), daemon=True).start()


if __name__ == "__main__":
    main()
