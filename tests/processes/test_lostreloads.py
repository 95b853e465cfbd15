"""A settings file that changes while the server cannot be reached."""

from __future__ import annotations

import os

from tests.forwarder import Forwarder
from tests.ports import freePort
from tests.processes.case import count
from tests.processes.test_files import FileCase
from tests.support import bore, eventually


class LostReloadTests(FileCase):
    """A client behind a forwarder that goes and comes back."""

    def file(self, control: int, *tunnels: str) -> str:
        text = "".join(f"[tunnel.{each}\nlocal = {self.service.port}\n" for each in tunnels)
        return self.write("bore.toml", f'server = "{self.host}:{control}"\nlocal-host = "127.0.0.1"\n{text}')

    def test_aTunnelThatWasRemovedGivesItsPortToAnotherOneAtTheReturn(self) -> None:
        """For its last tunnel, and for one of several."""
        server, control = self.server()
        for kept in ((), ("kept]",)):
            lost, public = freePort(self.host), freePort(self.host)
            forwarder = Forwarder(self.host, lost, (self.host, control))
            old, new = f"old]\nport = {public}", f"new]\nport = {public}"
            client = self.start(bore("up", self.file(lost, *kept, old)))
            client.waitFor(f"listening at {self.host}:{public} ")
            forwarder.close()
            client.waitFor("lost ")
            self.file(lost, *kept, new)
            self.reload(client, "1 tunnel added, 1 tunnel removed")
            forwarder = Forwarder(self.host, lost, (self.host, control))
            self.addCleanup(forwarder.close)
            client.waitFor(f"listening at {self.host}:{public} ", after=1)
            self.assertEqual(count(client, "already in use"), 0, client.transcript())
            self.assertServes(public)
            client.kill()
        eventually(lambda: count(server, "given back") == 2, "both were given back")

    def test_aPipeThatNothingWritesToHoldsUpNoTunnel(self) -> None:
        """As a secret file, in a settings file that is read again."""
        _, control = self.server()
        public = freePort(self.host)
        client = self.start(bore("up", self.file(control, f"a]\nport = {public}")))
        client.waitFor(f"listening at {self.host}:{public} ")
        os.mkfifo(self.folder / "pipe", 0o600)
        path = self.folder / "bore.toml"
        path.write_text(f'secret-file = "pipe"\n{path.read_text()}')
        self.reload(client, "what writes to it has not finished within 1 s")
        client.waitFor("the settings stay")
        self.assertServes(public)
        self.assertEqual(count(client, "lost "), 0, client.transcript())
