"""--proxy-protocol, with the programs that people put behind it."""

from __future__ import annotations

import socket
from pathlib import Path

from tests.nginx import nginxCommand
from tests.original import original
from tests.processes import proxies
from tests.processes.case import ProcessCase
from tests.support import LocalService, Program, eventually, receiveAll

_NGINX = """
        listen 127.0.0.1:{port} proxy_protocol;
        return 200 "$proxy_protocol_addr $proxy_protocol_port $proxy_protocol_server_addr $proxy_protocol_server_port";
"""

_HAPROXY = """
defaults
    mode http
    timeout connect 20s
    timeout client 20s
    timeout server 20s
frontend service
    bind 127.0.0.1:{port} accept-proxy
    http-request return status 200 content-type text/plain lf-string "%[src] %[src_port] %[dst] %[dst_port]"
"""


class NginxTests(proxies.RealServiceContract):
    """nginx."""

    name = "nginx"

    def command(self, path: str, folder: Path, port: int) -> list[str]:
        return nginxCommand(path, folder, _NGINX.format(port=port))


class HAProxyTests(proxies.RealServiceContract):
    """HAProxy, whose protocol it is."""

    name = "haproxy"

    def command(self, path: str, folder: Path, port: int) -> list[str]:
        (folder / "conf").write_text(_HAPROXY.format(port=port))
        return [path, "-db", "-f", f"{folder}/conf"]


class BytesTests(proxies.DualCase):
    """What a local service hears."""

    def setUp(self) -> None:
        super().setUp()
        self.heard: list[bytes] = []

        def serve(sock: socket.socket) -> None:
            if heard := receiveAll(sock):  # the client's probe of its local service sends nothing
                self.heard.append(heard)

        self.listener = LocalService(serve)
        self.addCleanup(self.listener.close)

    def hear(self, port: int, words: bytes) -> tuple[bytes, int]:
        """What the service hears of a visitor, and the visitor's port."""
        self.heard.clear()
        visitor = self.visitor(port, host="127.0.0.1")
        visitor.sendall(words)
        visitor.shutdown(socket.SHUT_WR)
        eventually(lambda: bool(self.heard), "the service has heard all")
        return self.heard[0], int(visitor.getsockname()[1])

    def test_theHeaderComesFirstAndOnceWithASecretAsWell(self) -> None:
        words = b"early words" * 1000
        for secret in ((), ("--secret", "hush")):
            self.control = self.serverForBoth(*secret)
            port = self.tunnel(self.listener.port, "v1", "127.0.0.1", *secret)
            heard, number = self.hear(port, words)
            self.assertEqual(heard, b"PROXY TCP4 127.0.0.1 127.0.0.1 %d %d\r\n" % (number, port) + words)

    def test_aVisitorThatSaysNothingIsAnnouncedAsWell(self) -> None:
        port = self.tunnel(self.listener.port, "v2")
        heard, number = self.hear(port, b"")
        self.assertEqual(heard[:16], b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c")
        self.assertEqual(heard[16:], b"\x7f\0\0\x01" * 2 + number.to_bytes(2, "big") + port.to_bytes(2, "big"))


class OriginalTests(ProcessCase):
    """An original server, which does not send the addresses of visitors."""

    def test_itIsRefusedAtOnce(self) -> None:
        path = original()
        self.start(Program([path, "server", "--bind-addr", self.host])).waitFor("server listening")
        for version in proxies.VERSIONS:
            client = self.launch(self.host, "--proxy-protocol", version)
            self.assertEqual(client.wait(), 1, client.transcript())
            self.assertEqual(client.out, [])
            self.assertEqual(
                client.err,
                [
                    "bore local: --proxy-protocol: this server does not send the addresses of visitors, as it does not "
                    "know the extension: run 'bore server' of txbore there, or omit --proxy-protocol"
                ],
            )
