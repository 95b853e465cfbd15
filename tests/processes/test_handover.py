"""A client that is asked by SIGUSR2 to have another process of itself take over."""

from __future__ import annotations

import contextlib
import os
import signal

from tests.processes.case import complaints
from tests.processes.test_files import FileCase
from tests.processes.test_notices import Manager
from tests.support import PATIENCE, Program, bore


class HandoverCase(FileCase):
    """Clients under a service manager."""

    def setUp(self) -> None:
        super().setUp()
        self.manager = Manager(self.folder / "manager")
        self.addCleanup(self.manager.socket.close)

    def end(self, pid: int) -> None:
        """End a successor, which is no child of ours, and has the output of its predecessor."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)

    def up(self, path: str, *words: str, **environment: str) -> Program:
        return self.start(bore("up", path, *words, environment={"NOTIFY_SOCKET": self.manager.path, **environment}))

    def tunnels(self, control: int, *names: str, more: str = "") -> str:
        text = "".join(f"[tunnel.{name}]\nlocal = {self.service.port}\n" for name in names)
        return self.write("bore.toml", f'server = "{self.host}:{control}"\nlocal-host = "127.0.0.1"\n{more}\n{text}')

    def successor(self) -> int:
        """Wait until another process is the main one, and is ready. Returns it."""
        (line,) = self.manager.until("MAINPID=")
        pid = int(line.partition("=")[2])
        self.addCleanup(self.end, pid)
        self.assertEqual(self.manager.until("READY=1")[0], "READY=1")
        return pid


class HandoverTests(HandoverCase):
    """The successor takes over."""

    def test_visitorsNoticeNothing(self) -> None:
        server, control = self.server()
        client = self.up(self.tunnels(control, "a", "b"))
        ports = sorted(int(client.waitFor("listening at", after=n).split(" ->")[0].rpartition(":")[2]) for n in (0, 1))
        visitors = [self.visitor(port) for port in ports for _ in range(3)]
        for each in visitors:
            self.assertEchoes(each)
        client.process.send_signal(signal.SIGUSR2)
        self.successor()
        for port in ports:
            self.assertServes(port)
        for each in visitors:
            self.assertEchoes(each)
            each.close()
        self.assertEqual(client.process.wait(PATIENCE), 0)
        self.assertEqual(complaints(client) + complaints(server), [])
