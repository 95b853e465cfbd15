"""A test of a webhook, which comes through a tunnel: ``pytest test_webhook.py``."""

from __future__ import annotations

import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer

from bore.library.pytestplugin import OpenTunnel


class Hook(BaseHTTPRequestHandler):
    """The service under test."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"thank you")


def test_theHookAnswers(bore_tunnel: OpenTunnel) -> None:
    service = HTTPServer(("127.0.0.1", 0), Hook)
    threading.Thread(target=service.serve_forever, daemon=True).start()
    tunnel = bore_tunnel(service.server_port)
    with urllib.request.urlopen(tunnel.url + "/hook", timeout=10) as answer:
        assert answer.read() == b"thank you"
    service.shutdown()
    service.server_close()
