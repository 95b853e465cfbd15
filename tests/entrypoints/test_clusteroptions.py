"""The options of a node of a cluster, and ``bore cluster-key``."""

from __future__ import annotations

import stat
from dataclasses import replace
from typing import Final

from bore import cli, exits
from bore.cluster.engine import MAX_TTL
from bore.cluster.url import parseEngineUrl
from bore.commandline import BadFile, UsageError
from bore.options.cluster import ClusterSettings
from bore.options.server import serverCommand
from bore.wire.secret import Secret
from tests.entrypoints.optionscase import OptionsCase, server
from tests.support import temporaryFolder

_KEY: Final = "k" * 32


class ClusterOptionsTests(OptionsCase):
    """What a node needs, and what it excludes."""

    def setUp(self) -> None:
        self.key = self.file(_KEY.encode())
        self.words = ["--tls", "--cluster", "redis://192.0.2.1", "--cluster-key", self.key]
        self.named = ["--node", "node1", "--advertise", "tls://node1.example.com"]

    def refused(self, text: str, *words: str, **environment: str) -> None:
        self.assertUsageError(text, *words, command="server", **environment)

    def test_withoutThemAServerIsNoNode(self) -> None:
        self.assertIsNone(server("--tls").cluster)

    def test_aNodeHasANameAnAddressAKeyAndAnEngine(self) -> None:
        url = parseEngineUrl("redis://192.0.2.1")
        expected = ClusterSettings(url, "node1", "tls://node1.example.com:7835", Secret(_KEY), 60)
        self.assertEqual(server(*self.words, *self.named).cluster, expected)
        found = server(*self.words, *self.named, "--cluster-ttl", "15", "--control-port", "7000").cluster
        self.assertEqual(found, replace(expected, advertise="tls://node1.example.com:7000", ttl=15))

    def test_theEngineCanBeNamedByTheEnvironmentWhichOtherUsersCannotRead(self) -> None:
        words = ["--tls", "--cluster-key", self.key, *self.named]
        found = server(*words, BORE_CLUSTER="redis://bore:hush@192.0.2.1").cluster
        assert found is not None
        self.assertEqual(found.engine.login.password, "hush")
        self.assertNotIn("hush", str(found.engine))

    def test_theAddressHasThePortThatSpeaksTls(self) -> None:
        words = [*self.words[1:], *self.named]
        for port, expected in (("7836", 7836), ("0", None)):
            if expected is None:
                self.refused("--advertise needs a port", "--tls-port", port, *words)
                continue
            found = server("--tls-port", port, *words).cluster
            assert found is not None
            self.assertEqual(found.advertise, f"tls://node1.example.com:{expected}")

    def test_theNameIsThatOfTheHostUnlessItIsGiven(self) -> None:
        self.patch(__import__("socket"), "gethostname", lambda: "elsewhere")
        found = server(*self.words, *self.named[2:]).cluster
        assert found is not None
        self.assertEqual(found.name, "elsewhere")
        self.patch(__import__("socket"), "gethostname", lambda: "not a name")
        self.refused("give --node", *self.words, *self.named[2:])

    def test_whatIsMissingIsNamed(self) -> None:
        self.refused("--cluster needs TLS", *self.words[1:], *self.named)
        self.refused("--cluster needs --cluster-key", *self.words[:3], *self.named)
        self.refused("--cluster needs --advertise", *self.words, *self.named[:2])

    def test_whatHasNoEffectWithoutAClusterIsRefused(self) -> None:
        for words in (self.named[:2], self.named[2:], self.words[3:], ("--cluster-ttl", "60")):
            self.refused(f"{words[0]} is for a node of a cluster", "--tls", *words)

    def test_itExcludesWorkersAndATakeOver(self) -> None:
        self.refused("--cluster and --workers exclude each other", *self.words, *self.named, "--workers", "2")
        self.refused("--cluster and --take-over exclude each other", *self.words, *self.named, "--take-over")

    def test_valuesThatCannotBeAreRefused(self) -> None:
        for words, text in (
            (("--cluster", "http://192.0.2.1"), "must be the URL of an engine"),
            (("--node", "a/b"), "must be a name"),
            (("--node", "x" * 65), "must be a name"),
            (("--advertise", "node1.example.com"), "must begin with tls://"),
            (("--advertise", f"tls://{'x' * 300}"), "1 to 63 characters"),
            (("--advertise", f"tls://{'x' * 60}.example"), "has a host of 68 characters, and clients read 64"),
            (("--cluster-ttl", "14"), "from 15 to 3600"),
            (("--cluster-ttl", str(MAX_TTL + 1)), f"from 15 to {MAX_TTL}"),
            (("--cluster-key", self.file(b"short")), "too short"),
            (("--cluster-key", self.file(b"a" * 30 + b"\n" + b"b" * 30)), "one key"),
            (("--cluster-key", "/nowhere"), "cannot be read"),
        ):
            self.refused(text, *self.words, *self.named, *words)

    def test_errorsDoNotShowPasswords(self) -> None:
        for url in ("redis://bore:hush@192.0.2.1:x", "redis+sentinel://192.0.2.1/a/b/c?sentinel-password=hush"):
            with self.assertRaises(UsageError) as caught:
                server("--tls", "--cluster", url)
            self.assertNotIn("hush", str(caught.exception))

    def test_theyAreKeysOfASettingsFile(self) -> None:
        folder = temporaryFolder(self)
        (folder / "cluster.key").write_text(_KEY)
        (folder / "cluster.key").chmod(0o600)
        file = folder / "server.toml"
        file.write_text(
            'tls = true\ncluster = "etcd://192.0.2.1"\ncluster-key = "cluster.key"\n'
            'node = "node1"\nadvertise = "tls://192.0.2.7"\ncluster-ttl = 30\n'
        )
        file.chmod(0o600)
        found = serverCommand("bore server").parse(["--config", str(file)], {}).cluster
        assert found is not None
        self.assertEqual((found.advertise, found.ttl, found.key), ("tls://192.0.2.7:7835", 30, Secret(_KEY)))

    def test_aFileThatOthersCanReadMustNotHaveThePasswordOfTheEngine(self) -> None:
        folder = temporaryFolder(self)
        (folder / "cluster.key").write_text(_KEY)
        (folder / "cluster.key").chmod(0o600)
        file = folder / "server.toml"
        rest = 'tls = true\ncluster-key = "cluster.key"\nnode = "node1"\nadvertise = "tls://192.0.2.7"\n'
        for url, isRefused in (
            ("redis://192.0.2.1", False),
            ("redis://:correct-horse@192.0.2.1", True),
            ("redis+sentinel://192.0.2.1/tunnels?sentinel-password=correct-horse", True),
        ):
            file.write_text(f'{rest}cluster = "{url}"\n')
            for mode in (0o600, 0o644):
                file.chmod(mode)
                command = serverCommand("bore server")
                if isRefused and mode == 0o644:
                    error = self.assertRaises(BadFile, command.parse, ["--config", str(file)], {})
                    self.assertIn("server.toml:5: cluster: has a password, and the file is readable by all", str(error))
                    self.assertNotIn("correct-horse", str(error))
                else:
                    self.assertIsNotNone(command.parse(["--config", str(file)], {}).cluster)


class ClusterKeyTests(OptionsCase):
    """``bore cluster-key``."""

    def test_itWritesAKeyThatOnlyItsUserCanReadAndOverwritesNone(self) -> None:
        path = temporaryFolder(self) / "cluster.key"
        words = ["cluster-key", "--write", str(path)]
        self.assertEqual(cli.main(words), exits.OK)
        self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600)
        key = path.read_text()
        self.assertEqual(cli.main(words), exits.FAILURE)
        self.assertEqual(path.read_text(), key)
        named = ["--tls", "--cluster", "redis://192.0.2.1", "--advertise", "tls://192.0.2.7", "--node", "one"]
        found = server(*named, "--cluster-key", str(path)).cluster
        assert found is not None
        self.assertEqual(found.key, Secret(key.strip()))

    def test_itNeedsTheNameOfTheFile(self) -> None:
        self.assertEqual(cli.main(["cluster-key"]), exits.USAGE)
