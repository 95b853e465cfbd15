"""The options of the status port."""

from __future__ import annotations

from bore.status.settings import StatusPortSettings
from tests.entrypoints.optionscase import OptionsCase, local, server
from tests.support import temporaryFolder

TO = ("3000", "--to", "example.com")


class StatusPortTests(OptionsCase):
    """``--status-port`` and what belongs to it."""

    def test_withoutItThereIsNone(self) -> None:
        self.assertIsNone(server().statusPort)
        self.assertIsNone(local(*TO).statusPort)

    def test_itIsAPortOfLoopbackOrAnAddressAndAPort(self) -> None:
        for text, host, port in (
            ("7836", "127.0.0.1", 7836),
            ("0", "127.0.0.1", 0),
            ("localhost:7836", "127.0.0.1", 7836),
            ("127.0.0.2:7836", "127.0.0.2", 7836),
            ("[::1]:7836", "::1", 7836),
        ):
            self.assertEqual(server("--status-port", text).statusPort, StatusPortSettings(host, port))
            self.assertEqual(local(*TO, "--status-port", text).statusPort, StatusPortSettings(host, port))

    def test_anythingElseIsAMistake(self) -> None:
        for text in (
            "", "x", "70000", "-1", "example.com:7836", "::1", "::1:7836", "[::1]", "127.0.0.1", "127.0.0.1:", ":7836",
            "[127.0.0.1]:7836", "127.0.0.1:x", "[::1:7836",
        ):  # fmt: skip
            self.assertUsageError("must be PORT", f"--status-port={text}", command="server")

    def test_beyondLoopbackItNeedsAToken(self) -> None:
        path = temporaryFolder(self) / "token"
        for text, host in (("0.0.0.0:7836", "0.0.0.0"), ("[::]:7836", "::"), ("192.0.2.7:7836", "192.0.2.7")):
            self.assertUsageError("--status-token-file", "--status-port", text, command="server")
            found = server("--status-port", text, "--status-token-file", str(path)).statusPort
            self.assertEqual(found, StatusPortSettings(host, 7836, path))
        self.assertFalse(path.exists())

    def test_onLoopbackItMayHaveOne(self) -> None:
        path = self.file(b"a-token-of-24-characters")
        found = server("--status-port", "7836", "--status-token-file", path).statusPort
        assert found is not None
        self.assertEqual(str(found.tokenFile), path)

    def test_aFileThatIsThereHasToBeUsable(self) -> None:
        words = "--status-port", "7836", "--status-token-file", self.file(b"short")
        self.assertUsageError("fewer than 16 characters", *words, command="server")

    def test_metricsOfSingleTunnelsCanBeLeftOut(self) -> None:
        found = server("--status-port", "7836", "--no-tunnel-metrics").statusPort
        assert found is not None
        self.assertFalse(found.tunnelMetrics)

    def test_optionsWithoutEffectAreMistakes(self) -> None:
        self.assertUsageError("has no effect without --status-port", "--no-tunnel-metrics", command="server")
        words = "--status-token-file", "x"
        self.assertUsageError("has no effect without --status-port", *TO, *words)

    def test_aSettingsFileHasThemToo(self) -> None:
        folder = temporaryFolder(self)
        path = folder / "server.toml"
        for value, host, port in (("7836", "127.0.0.1", 7836), ('"[::]:80"', "::", 80)):
            path.write_text(f'status-port = {value}\nstatus-token-file = "token"\nno-tunnel-metrics = true\n')
            found = server("--config", str(path)).statusPort
            self.assertEqual(found, StatusPortSettings(host, port, folder / "token", False))
        path.write_text('status-port = "0.0.0.0:80"\n')
        self.assertUsageError("status-token-file", "--config", str(path), command="server")
