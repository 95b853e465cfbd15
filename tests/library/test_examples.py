"""The examples of docs/library.rst, and the fixture of pytest."""

from __future__ import annotations

import re
import socket
import sys

import pytest
from twisted.trial.unittest import SynchronousTestCase

from bore.library.pytestplugin import LoopbackTunnel
from tests.ports import freePort
from tests.support import CHECKOUT, LocalService, Program, bore, echo, receiveExactly, running

EXAMPLES = CHECKOUT / "examples" / "library"


def example(name: str, *words: str) -> Program:
    """Run an example."""
    return Program([sys.executable, str(EXAMPLES / name), *words], {"PYTHONPATH": str(CHECKOUT)})


def visit(port: int) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=20) as sock:
        sock.sendall(b"hello")
        return receiveExactly(sock, 5)


class ExamplesTests(SynchronousTestCase):
    """They do what they say."""

    def test_aServerAndATunnelInOneProgram(self) -> None:
        with running(example("echo.py")) as program:
            found = re.search(r"nc 127\.0\.0\.1 (\d+)", program.waitFor("nc "))
            assert found is not None
            self.assertEqual(visit(int(found[1])), b"hello")

    def test_aTunnelInAProgramOfAsyncio(self) -> None:
        service = LocalService(echo)
        self.addCleanup(service.close)
        control = freePort()
        with running(bore("server", "--bind-addr", "127.0.0.1", "--control-port", str(control))) as server:
            server.waitFor("listening")
            with running(example("with_asyncio.py", str(service.port), f"127.0.0.1:{control}")) as program:
                self.assertEqual(visit(int(program.waitFor("http://").rpartition(":")[2])), b"hello")


class FixtureTests(SynchronousTestCase):
    """``bore_tunnel``"""

    def test_itOpensTunnelsAndClosesThem(self) -> None:
        service = LocalService(echo)
        self.addCleanup(service.close)
        tunnel = LoopbackTunnel(f"127.0.0.1:{service.port}")
        self.assertEqual(visit(tunnel.port), b"hello")
        tunnel.close()
        self.assertRaises(OSError, visit, tunnel.port)

    def test_itSaysWhyThereIsNone(self) -> None:
        with pytest.raises(RuntimeError, match="must be PORT"):
            LoopbackTunnel("nothing:like:this")
