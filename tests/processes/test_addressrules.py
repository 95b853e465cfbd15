"""--allow and --deny, with programs."""

from __future__ import annotations

from tests.original import original
from tests.ports import freePort
from tests.processes.case import ProcessCase
from tests.support import Program, bore, eventually, temporaryFolder


class AddressRuleTests(ProcessCase):
    """--allow and --deny, at either end."""

    def test_visitorsHaveToBeAllowedByBoth(self) -> None:
        server, control = self.server("--deny", "127.0.0.3")
        (_, port), (_, other) = self.client(control, "--allow", "127.0.0.2/31"), self.client(control)
        self.assertEchoes(self.visitor(port, "127.0.0.2"))
        for source in ("127.0.0.1", "127.0.0.3"):
            self.assertTurnedAway(self.visitor(port, source))
        self.assertTurnedAway(self.visitor(other, "127.0.0.3"))
        self.assertEchoes(self.visitor(other, "127.0.0.1"))
        self.assertComplains(
            server,
            f"port {port}: visitors from 127.0.0.1 are not allowed, and are closed",
            f"port {other}: visitors from 127.0.0.3 are not allowed, and are closed",
        )

    def test_eachTunnelOfAFileHasItsOwn(self) -> None:
        _, control = self.server()
        rules = {"": ("1", "2", "3"), "allow = '127.0.0.2'": ("2",), "deny = ['127.0.0.2', '127.0.0.3']": ("1", "4")}
        ports = [freePort(self.host) for _ in rules]
        text = f"server = '{self.host}:{control}'\ndeny = '127.0.0.4'\n"
        for port, own in zip(ports, rules, strict=True):
            text += f"[tunnel.t{port}]\nlocal = '127.0.0.1:{self.service.port}'\nport = {port}\n{own}\n"
        file = temporaryFolder(self) / "bore.toml"
        file.write_text(text)
        client = self.start(bore("up", str(file)))
        eventually(lambda: len(client.out) == len(ports), "all tunnels are up")
        for port, (own, let) in zip(ports, rules.items(), strict=True):
            for last in "1234":
                visitor = self.visitor(port, f"127.0.0.{last}")
                if last in let:
                    self.assertEchoes(visitor, own.encode() + b"hello")
                else:
                    self.assertTurnedAway(visitor)

    def test_anOriginalServerIsRefusedAtOnce(self) -> None:
        path = original()
        self.start(Program([path, "server", "--bind-addr", self.host])).waitFor("server listening")
        client = self.launch(self.host, "--deny", "127.0.0.3")
        self.assertEqual(client.wait(), 1, client.transcript())
        self.assertEqual(client.out, [])
        self.assertEqual(
            client.err,
            [
                "bore local: --deny: this server does not apply rules on the addresses of visitors, as it does not "
                "know the extension: run 'bore server' of txbore there, or omit --deny"
            ],
        )
