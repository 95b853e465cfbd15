"""Settings files of servers, and bore check."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Final, cast

from bore.client.service import ClientService
from bore.commandline import BadFile, UsageError
from bore.events import Sink
from bore.options.check import CheckCommand, check, checkCommand
from bore.options.client import ClientCommand
from bore.options.server import serverCommand
from bore.server.service import ServerService
from bore.streams.reactor import IReactor
from tests.entrypoints.test_files import TUNNELS, FileCase
from tests.fakes import FakeReactor

#: The keys of the admin socket and of the status port.
STATUS: Final = (
    *("admin-socket", "no-admin-socket", "admin-group"),
    *("status-port", "status-token-file", "no-tunnel-metrics"),
)


class ServerFileTests(FileCase):
    """A server's file."""

    def test_itHasTheOptionsOfTheCommandLine(self) -> None:
        found = self.server(
            'min-port = 20000\nmax-port = 20999\nbind-addr = "::1"\nlease = 30\nsecret-file = "secret"\n'
            'max-tunnels-per-source = 5\nhalf-open-timeout = 1.5\nlog-format = "json"\nwatch = true'
        )
        words = ["--min-port", "20000", "--max-port", "20999", "--bind-addr", "::1", "--lease", "30", "--secret-file"]
        words += [str(self.folder / "secret"), "--max-tunnels-per-source", "5", "--half-open-timeout", "1.5"]
        flags = serverCommand("bore server").parse([*words, "--log-format", "json"], {})
        self.assertEqual(replace(found, file=None), flags)
        assert found.file is not None
        self.assertEqual((found.file.path, found.file.watch), (self.path, True))

    def test_aFlagPrecedesTheKeyAndThatTheVariable(self) -> None:
        found = self.server("min-port = 2000\nmax-port = 3000", "--max-port", "4000", BORE_MIN_PORT="1")
        self.assertEqual((found.settings.minPort, found.settings.maxPort), (2000, 4000))

    def test_itsMistakesAreNamedByKeys(self) -> None:
        self.assertEqual(
            self.mistakes("min_port = 5\nlease = 'long'\n[tunnel.a]\n", server=True),
            [
                "1: min_port: unknown key; did you mean 'min-port'?",
                "2: lease: 'long' must be a whole number of seconds from 0 to 86400",
                "3: tunnel: belongs into the settings file of a client",
            ],
        )
        self.assertEqual(
            self.mistakes("min-port = 5\nmax-port = 4", server=True), ["1: min-port 5 is greater than max-port 4"]
        )
        self.assertEqual(
            self.mistakes("max-port = 4", "--min-port", "5", server=True), [" --min-port 5 is greater than max-port 4"]
        )


class LiveTests(FileCase):
    """The keys of a server's file that change while it runs."""

    SAMPLES: Final = {
        "min-port": "2000",
        "max-port": "3000",
        "bind-addr": "'::1'",
        "bind-tunnels": "'::1'",
        "unix-folder": "'/'",
        "trusted-proxies": "'192.0.2.0/24'",
        "control-port": "7000",
        "lease": "7",
        "max-waiting": "7",
        "max-lanes": "7",
        "visitor-rate": "7",
        "allow": "'192.0.2.0/24'",
        "deny": "'192.0.2.0/24'",
        "max-tunnels": "7",
        "max-tunnels-per-source": "7",
        "max-pending": "7",
        "max-pending-per-source": "7",
        "max-wrong-secrets": "7",
        "tls": "true",
        "tls-port": "7000",
        "secret-file": "'secret'",
        "max-visitors": "7",
        "half-open-timeout": "7",
    }

    #: They have no effect on the server itself, or none without others.
    OTHERS: Final = (
        "log-level",
        "log-format",
        "watch",
        "tls-cert",
        "tls-key",
        "tls-client-ca",
        "tls-crl",
        "users",
        "visitor-log",
        "workers",
        "drain",
        "cluster",
        "node",
        "advertise",
        "cluster-key",
        "cluster-ttl",
        *STATUS,
    )

    def test_theServiceAppliesThemAndNoOthers(self) -> None:
        old = self.server("")
        assert old.file is not None
        self.assertEqual({key for key, _ in old.file.values}, {*self.SAMPLES, *self.OTHERS})
        for key, value in self.SAMPLES.items():
            service = ServerService(cast(IReactor, FakeReactor()), old.settings)
            new = self.server(f"{key} = {value}")
            assert new.file is not None
            self.assertEqual(old.file.changed(new.file), [key])
            service.apply(new.settings)
            self.assertEqual(service._settings == new.settings, key not in new.file.fixed, key)


class ClientLiveTests(FileCase):
    """The keys of a client's file that change while it runs."""

    SAMPLES: Final = {
        "server": "'other.example'",
        "local-host": "'other.lan'",
        "control-port": "7000",
        "proxy-protocol": "'v1'",
        "bandwidth": "'1 MB/s'",
        "no-error-page": "true",
        "no-probe": "true",
        "allow": "'192.0.2.0/24'",
        "deny": "'192.0.2.0/24'",
        "no-state": "true",
        "no-reconnect": "true",
        "max-reconnect-delay": "7",
        "exit-after-failures": "7",
        "fail-fast": "true",
        "lanes": "7",
        "nodes": "3",
        "check-every": "7",
        "tls": "true",
        "secret-file": "'secret'",
        "max-visitors": "7",
        "half-open-timeout": "7",
    }

    #: They have no effect on the client itself, or none without others.
    OTHERS: Final = ("log-level", "log-format", "watch", "tls-ca", "tls-fingerprint", "tls-cert", "tls-key", *STATUS)

    def test_theServiceAppliesThemAll(self) -> None:
        def up(top: str) -> ClientCommand:
            return self.up(f"{top}\n[tunnel.a]\nlocal = 1\n[tunnel.b]\nlocal = 2", HOME=str(self.folder))

        old = up("server = 'x'")
        assert old.file is not None
        self.assertEqual({key for key, _ in old.file.values}, {*self.SAMPLES, *self.OTHERS})
        for key, value in self.SAMPLES.items():
            service = ClientService(cast(IReactor, FakeReactor()), old.settings, old.tunnels, Sink())
            new = up(f"{key} = {value}" + ("" if key == "server" else "\nserver = 'x'"))
            assert new.file is not None
            self.assertEqual((old.file.changed(new.file), key in new.file.fixed), ([key], False))
            self.assertNotEqual((old.settings, old.tunnels), (new.settings, new.tunnels), key)
            service.apply(new.tunnels)
            service.applySettings(new.settings)
            self.assertEqual((service.settings, service.tunnels), (new.settings, new.tunnels), key)

    def test_theContentOfAFileThatIsNamedCounts(self) -> None:
        text = f"server = 'x'\nsecret-file = 'secret'\n{TUNNELS}"
        old = self.up(text)
        (self.folder / "secret").write_text("it is another secret")
        new = self.up(text)
        assert old.file is not None and new.file is not None
        self.assertEqual(old.file.changed(new.file), ["secret-file"])


class CheckTests(FileCase):
    """bore check."""

    def check(self, text: str, *words: str) -> str:
        return check(checkCommand("bore check").parse([self.write(text), *words], {}))

    def test_theKindOfAFileIsSeenFromItsKeys(self) -> None:
        self.assertEqual(self.check(f"server = 'x'\n{TUNNELS}"), "a client's file, 5 tunnels")
        self.assertEqual(self.check("server = 'x'\n[tunnel.a]\nlocal = 1"), "a client's file, 1 tunnel")
        self.assertEqual(self.check("min-port = 20000\ntls = true"), "a server's file")
        self.assertEqual(self.check("", "--server"), "a server's file")

    def test_mistakesAreThoseOfItsKind(self) -> None:
        for text, words, expected in (
            ("lease = 'x'\n", [], "lease: 'x' must be"),
            ("lease = 3\n", ["--client"], "lease: unknown key"),
            ("server = 'x'", ["--server"], "server: belongs into"),
            ("server", [], "not valid TOML"),
        ):
            with self.assertRaises(BadFile) as caught:
                self.check(text, *words)
            self.assertIn(expected, str(caught.exception))

    def test_itIsSeenFromMistypedKeysAsWell(self) -> None:
        for text, expected in (
            ("serv = 'x'\nchek-every = 3\n[tunel.web]\nlocal = 1", "1: serv: unknown key; did you mean 'server'?"),
            ("[web]\nlocal = 1", "1: web: unknown table"),
            ("local = 1\nport = 2", "1: local: belongs into a [tunnel.NAME] table"),
            ("min-prt = 3\nbindaddr = '::'", "1: min-prt: unknown key; did you mean 'min-port'?"),
            ("lane = 3\nlog-level = 'x'\nno-stat = true", "1: lane: unknown key; did you mean 'lanes'?"),
        ):
            with self.assertRaises(BadFile) as caught:
                self.check(text)
            self.assertIn(expected, str(caught.exception))

    def test_whereTheKeysDoNotTellTheKindHasToBeGiven(self) -> None:
        for text in ("", "log-level = 'info'", "xyz = 1"):
            with self.assertRaises(UsageError) as caught:
                self.check(text)
            self.assertIn("add --client or --server", str(caught.exception))

    def test_aPipeIsCheckedLikeAFile(self) -> None:
        reader, writer = os.pipe()
        self.addCleanup(os.close, reader)
        with open(writer, "w") as file:
            file.write("min-port = 20000\n")
        self.assertEqual(check(checkCommand("bore check").parse([f"/dev/fd/{reader}"], {})), "a server's file")

    if os.name != "posix":
        test_aPipeIsCheckedLikeAFile.skip = "there is no /dev here"  # type: ignore[attr-defined]

    def test_whatTOMLCannotHoldIsAMistake(self) -> None:
        for text in ("lease = " + "[" * 9999, "lease = " + "9" * 9999):
            self.assertRaises(BadFile, self.check, text)

    def test_aFileHasToBeNamed(self) -> None:
        line = checkCommand("bore check")
        self.assertRaises(UsageError, line.parse, [], {})
        self.assertRaises(UsageError, line.parse, ["x", "--server", "--client"], {})
        self.assertEqual(line.parse(["x"], {}), CheckCommand(Path("x"), None))
