"""The files in ``examples`` fit the program: their command lines and settings are valid."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from textwrap import dedent

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from bore.commands import allCommands
from bore.options.client import upCommand
from tests.certificates import Authority
from tests.support import CHECKOUT, PATIENCE, temporaryFolder

EXAMPLES = CHECKOUT / "examples"

#: A list in YAML behind ``command:`` or ``args:``: in brackets, or a line for each item.
_LIST = re.compile(r"(?m)^ *(?:command|args):(?: \[(?P<inline>[^\]]*)\]|(?P<lines>(?:\n *- .*)+))$")


class ExamplesTests(SynchronousTestCase):
    """Containers and Kubernetes."""

    def commandLines(self, text: str) -> list[list[str]]:
        """Return the lists of words that are command lines of ``bore``."""
        found = []
        for each in _LIST.finditer(text):
            if each["inline"] is not None:
                words = [word.strip().strip('"') for word in each["inline"].split(",")]
            else:
                words = [line.strip().removeprefix("- ") for line in each["lines"].strip().splitlines()]
            if words[0] != "etcd":
                found.append(words[1:] if words[0] == "bore" else words)
        return found

    def fitting(self, word: str, settings: Path, certificate: Path, secret: Path) -> str:
        """A word with files that are here, and without variables of Kubernetes."""
        word = re.sub(r"/run/secrets/tls\b.*$", str(certificate), word)
        word = re.sub(r"/run/secrets/.*$", str(secret), word)
        word = word.replace("$(POD_NAME)", "txbore-0").replace("$(HOST_IP)", "192.0.2.1")
        return word.replace("/etc/txbore/bore.toml", str(settings))

    def assertValid(self, words: list[str]) -> None:
        folder = temporaryFolder(self)
        secret = folder / "secret"
        secret.write_text("a shared secret that is long enough")
        secret.chmod(0o600)
        settings = folder / "bore.toml"
        settings.write_text('server = "example.com"\n[tunnel.web]\nlocal = 8000\n')
        certificate = folder / "tls.pem"
        identity = Authority().issue("tunnel.example.com")
        certificate.write_bytes(identity.pem + identity.keyPem)
        certificate.chmod(0o600)
        here = [self.fitting(word, settings, certificate, secret) for word in words]
        command = next(each for each in allCommands() if each.name == f"bore {here[0]}")
        command.parse(here[1:], {"HOME": str(folder)})

    def test_everyCommandLineIsValid(self) -> None:
        count = 0
        for path in (*(EXAMPLES / "container").glob("*.yaml"), *(EXAMPLES / "kubernetes").glob("*.yaml")):
            lines = self.commandLines(path.read_text(encoding="utf-8"))
            self.assertTrue(lines, path)
            for words in lines:
                self.assertValid(words)
                count += 1
        self.assertGreaterEqual(count, 8)
        text = (EXAMPLES / "container" / "Containerfile").read_text(encoding="utf-8")
        for instruction in re.findall(r"CMD (\[.*\])", text):
            words = re.findall(r'"([^"]*)"', instruction)
            self.assertValid(words[1:] if words[0] == "bore" else words)

    def test_theSettingsFileInAManifestIsValid(self) -> None:
        text = (EXAMPLES / "kubernetes" / "client.yaml").read_text(encoding="utf-8")
        block = text.split("bore.toml: |\n", 1)[1].split("---")[0]
        folder = temporaryFolder(self)
        secret = folder / "secret"
        secret.write_text("a shared secret that is long enough")
        secret.chmod(0o600)
        (folder / "bore.toml").write_text(dedent(block).replace("/run/secrets/txbore/secret", str(secret)))
        (folder / "bore.toml").chmod(0o600)
        found = upCommand("x").parse([str(folder / "bore.toml")], {})
        self.assertEqual([(each.name, each.public) for each in found.tunnels], [("web", 20080)])


class KeepalivedTests(SynchronousTestCase):
    """Two balancers with one address. The file of the balancer itself is run in tests/processes/test_balancer.py."""

    def setUp(self) -> None:
        path = shutil.which("keepalived") or shutil.which("keepalived", path="/usr/sbin:/usr/local/sbin")
        if path is None:
            raise SkipTest("KEEPALIVED IS NOT HERE: apt install keepalived")
        self.keepalived = path
        self.text = (EXAMPLES / "keepalived" / "keepalived.conf").read_text(encoding="utf-8")

    def mistakes(self, text: str) -> str:
        """What the program says of a file, on a machine that need not have the interface."""
        file = temporaryFolder(self) / "keepalived.conf"
        file.write_text(text.replace("global_defs {", "global_defs {\n    dynamic_interfaces"))
        words = [self.keepalived, "--config-test", "-f", str(file)]
        # With a script in the file, version 2.2 ends itself and its group by a signal, in a test as well.
        done = subprocess.run(words, capture_output=True, timeout=PATIENCE, check=False, start_new_session=True)
        return (done.stdout + done.stderr).decode()

    def test_itsFileIsValid(self) -> None:
        self.assertNotIn("Line ", self.mistakes(self.text))
        self.assertIn("priorty", self.mistakes(self.text.replace("priority", "priorty")))
