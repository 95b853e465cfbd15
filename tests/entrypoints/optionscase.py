"""What the tests of options share."""

from __future__ import annotations

from uuid import UUID

from twisted.trial.unittest import SynchronousTestCase

from bore.commandline import UsageError
from bore.options.client import ClientCommand, clientCommand
from bore.options.server import ServerCommand, serverCommand
from bore.server.settings import Bounds
from bore.system.descriptors import FOR_CLIENTS, FOR_CONTROL, descriptorsForVisitors
from bore.wire.proof import proveBase
from bore.wire.secret import Secret
from tests.support import temporaryFolder

CHALLENGE = UUID(int=1)


def server(*words: str, **environment: str) -> ServerCommand:
    return serverCommand("bore server").parse(words, environment)


def local(*words: str, **environment: str) -> ClientCommand:
    return clientCommand("bore local").parse(words, environment)


def proof(secret: Secret | None) -> str | None:
    return None if secret is None else proveBase(secret, CHALLENGE)


class OptionsCase(SynchronousTestCase):
    """Parses command lines."""

    def assertUsageError(self, text: str, *words: str, command: str = "local", **environment: str) -> None:
        """The error contains a text, and is one line."""
        parse = server if command == "server" else local
        with self.assertRaises(UsageError) as caught:
            parse(*words, **environment)
        self.assertIn(text, str(caught.exception))
        self.assertNotIn("\n", str(caught.exception))

    def file(self, content: bytes) -> str:
        path = temporaryFolder(self) / "secret"
        path.write_bytes(content)
        path.chmod(0o600)
        return str(path)


DESCRIPTORS = descriptorsForVisitors(FOR_CONTROL)


BOUNDS = Bounds(descriptors=descriptorsForVisitors(FOR_CLIENTS))
