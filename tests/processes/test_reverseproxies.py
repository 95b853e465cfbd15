"""A reverse proxy in front of a Unix socket by which a tunnel comes in."""

from __future__ import annotations

import shutil
import subprocess

from twisted.trial.unittest import SkipTest

from tests.nginx import nginxCommand
from tests.ports import freePort
from tests.processes.unixcase import UnixCase, answerHttp
from tests.support import (
    LocalService,
    Program,
    connect,
    eventually,
    isOpen,
    receiveAll,
    temporaryFolder,
)


class ProxyTests(UnixCase):
    """A reverse proxy beside the server."""

    def setUp(self) -> None:
        super().setUp()
        self.http = LocalService(answerHttp)
        self.addCleanup(self.http.close)
        self.tunnel(port=self.http.port)

    def test_curl(self) -> None:
        curl = shutil.which("curl")
        if curl is None:
            raise SkipTest("CURL IS NOT HERE: apt install curl")
        words = [curl, "--silent", "--show-error", "--unix-socket", self.web.path, "http://web.example/page"]
        self.assertEqual(subprocess.run(words, capture_output=True, check=True, timeout=30).stdout, b"/page")

    def test_nginx(self) -> None:
        path = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
        if path is None:
            raise SkipTest("NGINX IS NOT HERE: apt install nginx")
        folder, port = temporaryFolder(self), freePort()
        server = f"listen 127.0.0.1:{port}; location / {{ proxy_pass http://unix:{self.web.path}; }}"
        self.start(Program(nginxCommand(path, folder, server)))
        eventually(lambda: isOpen("127.0.0.1", port), "nginx listens")
        for number in range(20):
            with connect("127.0.0.1", port) as visitor:
                visitor.sendall(b"GET /page%d HTTP/1.0\r\n\r\n" % number)
                self.assertTrue(receiveAll(visitor).endswith(b"\r\n\r\n/page%d" % number))
