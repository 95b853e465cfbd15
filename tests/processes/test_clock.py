"""The time of day is changed while programs run."""

from __future__ import annotations

import signal
import sys
import urllib.request
from typing import BinaryIO

from tests.processes.case import ProcessCase, complaints, count
from tests.support import CHECKOUT, PATIENCE, Program, connect, eventually, temporaryFolder

#: Runs a program whose time of day goes back by a day on SIGRTMIN, and forward by one on SIGRTMIN + 1: all
#: signals with a name mean something to one of the programs.
_CHANGED = """
import signal, sys, time
real, step = time.time, 0.0
def change(number, frame):
    global step
    step += 86400.0 if number > signal.SIGRTMIN else -86400.0
    print("changed", file=sys.__stdout__, flush=True)  # twistd has its log in the place of the other one
time.time = lambda: real() + step
signal.signal(signal.SIGRTMIN, change)
signal.signal(signal.SIGRTMIN + 1, change)
if sys.argv[1] == "bore":
    from bore.cli import main
    sys.exit(main(sys.argv[2:]))
from twisted.scripts.twistd import run
sys.argv[1:3] = []
run()
"""


def readFrame(file: BinaryIO) -> bytes:
    """What comes before the next NUL."""
    frame = b""
    while (byte := file.read(1)) not in (b"\0", b""):
        frame += byte
    return frame


_BACK = signal.SIGRTMIN
_FORWARD = signal.SIGRTMIN + 1

_TWISTD = ("twistd", "twistd", "-n", "--pidfile=")


class ClockTests(ProcessCase):
    """What is timed does not care."""

    def changing(self, *words: str) -> Program:
        return self.start(Program([sys.executable, "-c", _CHANGED, *words], None, str(CHECKOUT)))

    def change(self, program: Program, number: int) -> None:
        before = count(program, "changed")
        program.process.send_signal(number)
        program.waitFor("changed", after=before)

    def clientWords(self, control: int) -> list[str]:
        to = f"{self.host}:{control}"
        return [str(self.service.port), "-l", "127.0.0.1", "--to", to, "--max-reconnect-delay", "1"]

    def test_aClientGoesOnTryingWhenItIsSetBack(self) -> None:
        for words in (("bore", "local"), (*_TWISTD, "bore-client")):
            client = self.changing(*words, *self.clientWords(1))
            client.waitFor("next attempt")
            self.change(client, _BACK)
            before = count(client, "next attempt")
            eventually(lambda c=client, b=before: count(c, "next attempt") > b + 1, "more attempts")  # type: ignore[misc]

    def changingServer(self, *words: str) -> tuple[Program, int]:
        server = self.changing(*words, "--bind-addr", self.host, "--control-port", "0")
        return server, server.port("listening on ")

    def test_aServerEndsItsLeasesWhenItIsSetBack(self) -> None:
        for words in (("bore", "server"), (*_TWISTD, "bore-server")):
            server, control = self.changingServer(*words, "--lease", "1")
            client, port = self.client(control)
            client.kill()
            server.waitFor("kept for 1 s")
            self.change(server, _BACK)
            self.assertFree(port)

    def test_aServerKeepsItsLeasesWhenItIsSetForward(self) -> None:
        home = temporaryFolder(self)
        for words in (("bore", "server"), (*_TWISTD, "bore-server")):
            server, control = self.changingServer(*words, "--lease", "600")
            client, port = self.client(control, home=home)
            client.kill()
            server.waitFor("kept for 600 s")
            self.change(server, _FORWARD)
            self.assertEqual(self.client(control, home=home)[1], port)
            server.waitFor("is back")

    def test_heartbeatsGoOnAsBeforeWhicheverWayItIsSet(self) -> None:
        server, control = self.changingServer("bore", "server")
        with connect(self.host, control) as client:
            client.sendall(b'{"Hello":0}\0')
            frames = client.makefile("rb")
            self.assertIn(b"Hello", readFrame(frames))
            for number in (_BACK, _FORWARD, _FORWARD):
                self.change(server, number)
                for _ in range(4):
                    self.assertEqual(readFrame(frames), b'"Heartbeat"')

    def test_aSessionDoesNotNotice(self) -> None:
        server, control = self.changingServer("bore", "server")
        client = self.changing("bore", "local", *self.clientWords(control))
        port = client.port("listening at ")
        for number in (_FORWARD, _BACK):
            for program in (client, server):
                self.change(program, number)
                self.assertServes(port)
        self.assertEqual([line for line in complaints(client) + complaints(server) if "secret" not in line], [])

    def test_theDemonstrationDoesNotNoticeEither(self) -> None:
        demo = self.changing("bore", "demo")
        line = demo.waitFor("the page is at http://")
        demo.waitFor("press Ctrl-C to stop")
        self.change(demo, _FORWARD)
        url = line.rpartition(" ")[2]
        for _ in range(20):
            with urllib.request.urlopen(url, timeout=PATIENCE) as page:
                self.assertEqual(page.status, 200)
        self.assertIsNone(demo.process.poll(), demo.transcript())
        self.assertEqual(complaints(demo), [])
