"""The local service is down: what its owner reads, and what real HTTP clients get."""

from __future__ import annotations

import os
import re
import select
import socket
import subprocess
import time
from pathlib import Path

from tests.ports import freePort
from tests.processes.case import ProcessCase, complaints, count
from tests.support import LocalService, Program, bore, echo, eventually, receiveAll, temporaryFolder

#: How many visitors come in a flood; with BORE_STRESS the whole form.
FLOOD = 4000 if os.environ.get("BORE_STRESS") else 1000

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


def residentMemory(program: Program) -> int:
    """The resident memory of a program, in KiB (Linux)."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{program.pid}/status").read_text())
    assert found is not None
    return int(found[1])


class DownCase(ProcessCase):
    """A tunnel without a local service."""

    def setUp(self) -> None:
        super().setUp()
        self.local = freePort(self.host)
        self.name = f"{self.host}:{self.local}"

    def down(self, *words: str) -> tuple[Program, int]:
        """A client whose local service is down, and its public port."""
        _, control = self.server()
        client = self.start(bore("local", self.name, "-t", f"{self.host}:{control}", *words))
        return client, client.port("listening at ")


class ToolTests(DownCase):
    """curl and ab."""

    def curl(self, port: int, *words: str) -> str:
        done = subprocess.run(
            ["curl", "-sS", "-m", "20", *words, f"http://{self.host}:{port}/"], capture_output=True, text=True
        )
        self.assertEqual((done.returncode, done.stderr), (0, ""), words)
        return done.stdout

    def test_curlGetsThePage(self) -> None:
        upload = temporaryFolder(self) / "upload"
        upload.write_bytes(bytes(20_000_000))
        for lanes in ("4", "0"):
            client, port = self.down("--lanes", lanes)
            page = self.curl(port, "-i")
            self.assertTrue(page.startswith("HTTP/1.1 502 Bad Gateway"))
            self.assertIn("Please try again later.", page)
            self.assertNotIn(str(self.local), page)
            self.assertIn("<!DOCTYPE html>", self.curl(port, "-H", "Accept: text/html"))
            self.assertIn("502 Bad Gateway", self.curl(port, "-I", "-0"))
            for words in ([], ["-H", "Expect:"]):
                code = self.curl(port, "-o", "/dev/null", "-w", "%{http_code}", "-T", str(upload), *words)
                self.assertEqual(code, "502")
            client.kill()

    def test_abGetsItManyTimes(self) -> None:
        client, port = self.down()
        for words in ([], ["-k"]):
            done = subprocess.run(
                ["ab", "-q", "-n", "1000", "-c", "50", *words, f"http://{self.host}:{port}/"],
                capture_output=True,
                text=True,
            )
            self.assertRegex(done.stdout, r"Complete requests: +1000\nFailed requests: +0\n", done.stderr)
            self.assertRegex(done.stdout, r"Non-2xx responses: +1000\n")
        self.assertEqual(len(complaints(client)), 1, client.transcript())


class LogTests(DownCase):
    """What the owner reads."""

    def test_theServiceIsMissedAtTheStartAndNoticedWhenItIsThere(self) -> None:
        client, _ = self.down()
        line = f"{self.name} cannot be reached: connection refused; nothing listens there: start it"
        client.waitFor(line)
        service = LocalService(echo, listener=socket.create_server((self.host, self.local)))
        self.addCleanup(service.close)
        self.assertRegex(client.waitFor("answers again"), r"after \d+ s; visitors turned away: 0$")
        eventually(lambda: service.served == 1, "the probe")
        time.sleep(1.5)
        self.assertEqual((service.served, len(client.err)), (1, 2), client.transcript())

    def test_withoutProbesNothingConnectsToIt(self) -> None:
        listener = socket.create_server((self.host, self.local))
        self.addCleanup(listener.close)
        client, port = self.down("--no-probe")
        self.assertEqual(select.select([listener], [], [], 1.5)[0], [])
        with self.visitor(port):
            listener.accept()[0].close()
        listener.close()
        self.assertIn(b"502 Bad Gateway", self.ask(port, GET))
        client.waitFor("cannot be reached")

    def test_aFloodHasOneLineAndBoundedMemory(self) -> None:
        client, port = self.down()
        client.waitFor("cannot be reached")
        self.assertIn(b"502 Bad Gateway", self.ask(port, GET))
        before = residentMemory(client)
        pages = closed = 0
        begin = time.monotonic()
        for number in range(0, FLOOD, 500):
            request = GET if number % 1000 else b""  # half of them are silent
            visitors = [self.visitor(port) for _ in range(500)]
            for visitor in visitors:
                visitor.sendall(request)
            for visitor in visitors:
                try:
                    pages += receiveAll(visitor).startswith(b"HTTP/1.1 502")
                except ConnectionResetError:
                    closed += 1
                visitor.close()
        took = time.monotonic() - begin
        self.assertEqual(pages, FLOOD // 2, (pages, closed, took))
        self.assertLess(residentMemory(client) - before, 30 << 10)
        self.assertEqual(count(client, "cannot be reached: "), 1)
        self.assertLess(len(client.err), 4, client.transcript())
