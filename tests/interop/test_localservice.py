"""Our client's local service is down, and the server is the original, or ours."""

from __future__ import annotations

import socket
from typing import Final

from tests.interop.case import PairingCase, publicPort
from tests.ports import freePort
from tests.support import connect, receiveAll

_SECRET: Final = ("--secret", "correct horse battery staple")

GET: Final = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


class DownTests(PairingCase):
    """Visitors with and without HTTP."""

    def ask(self, host: str, port: int, question: bytes) -> bytes:
        with connect(host, port) as visitor:
            visitor.sendall(question)
            return receiveAll(visitor)

    def test_visitorsWithHttpGetThePageAtEachServer(self) -> None:
        local = freePort("127.0.0.1")
        for server, words in (("ours", ()), ("original", ()), ("original", _SECRET)):
            host = self.server(server, *words)
            port = publicPort(self.client("ours", host, local, *words), host)
            upload = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 500000\r\n\r\n" + bytes(500_000)
            for question in (GET, GET, upload):
                head, _, body = self.ask(host, port, question).partition(b"\r\n\r\n")
                self.assertTrue(head.startswith(b"HTTP/1.1 502 Bad Gateway\r\n"), head)
                self.assertIn(b"Content-Length: %d\r\n" % len(body), head)
            with connect(host, port) as visitor:
                visitor.sendall(b"SSH-2.0-x\r\n")
                try:
                    self.assertEqual(receiveAll(visitor), b"")
                except ConnectionResetError:
                    continue

    def test_aSilentVisitorIsClosed(self) -> None:
        host = self.server("original")
        port = publicPort(self.client("ours", host, freePort("127.0.0.1")), host)
        with connect(host, port) as visitor:
            visitor.shutdown(socket.SHUT_WR)
            self.assertEqual(receiveAll(visitor), b"")
