"""A client with many tunnels, of which many are refused."""

from __future__ import annotations

from tests.processes.test_files import FileCase
from tests.support import Program, bore


class ManyRefusedTests(FileCase):
    """Fifty tunnels in one file."""

    def up(self, control: int, *words: str) -> Program:
        tunnels = "".join(f"[tunnel.t{number}]\nlocal = {self.service.port}\n" for number in range(50))
        text = f'server = "{self.host}:{control}"\nlocal-host = "127.0.0.1"\n{tunnels}'
        return self.start(bore("up", self.write("bore.toml", text), *words))

    def lines(self, client: Program, text: str) -> list[str]:
        return [line for line in client.err if text in line]

    def test_thoseBeyondTheLimitShareALineThatNamesTheOptionAndTheOthersServe(self) -> None:
        _, control = self.server("--max-tunnels-per-source", "10")
        client = self.up(control)
        line = client.waitFor("39 tunnels: ")
        self.assertIn("this server allows 10 (its option --max-tunnels-per-source); next attempts in ", line)
        self.assertIn("t11, t12, t13 and 36 more", line)
        self.assertEqual(len(self.lines(client, "too many tunnels")), 2)
        self.assertEqual(len(self.lines(client, "next attempt in")), 1)
        self.assertServes(client.port("listening at "))

    def test_aWrongSecretIsFinalAndHasALineForAllTunnels(self) -> None:
        _, control = self.server("--secret", "correct horse battery staple")
        client = self.up(control, "--secret", "another secret, and a wrong one")
        self.assertEqual(client.wait(), 77, client.transcript())
        refused = self.lines(client, "invalid secret")
        self.assertEqual(len(refused), 2, refused)
        self.assertIn("50 tunnels: server error: invalid secret: ", refused[0])
        self.assertIn("they are given up: t0, t1, t2 and 47 more", refused[0])
        self.assertIn("bore up: server error: invalid secret: give the client the server's secret", refused[1])
