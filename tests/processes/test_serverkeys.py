"""The key of a server in the lines of ``bore user``."""

from __future__ import annotations

from bore.options.invitation import parseInvitation
from tests.certificates import Authority
from tests.processes.peoplecase import PeopleCase
from tests.processes.tlscase import keyOf, portOf
from tests.support import bore, temporaryFolder


class OtherKeyTests(PeopleCase):
    """A server whose key is not in its state directory, and that has no settings file."""

    def test_noLineHasAKeyThatTheServerDoesNotShow(self) -> None:
        identity = Authority().issue(self.host)
        files = identity.options(self.serverHome)
        folder = temporaryFolder(self)
        folder.chmod(0o700)
        asked = {"RUNTIME_DIRECTORY": str(folder)}
        self.do("user", "add", "*", "--ports", "20000-20009")
        words = ("--bind-addr", self.host, "--control-port", "0", "--tls", "--users", str(self.users), *files)
        server = self.start(bore("server", *words, environment={"XDG_STATE_HOME": str(self.serverHome), **asked}))
        self.control = portOf(server.waitFor("listening on "))
        server.waitFor("admin socket at ")
        before = self.users.read_bytes()
        address = ("--address", f"{self.host}:{self.control}")
        refused = self.do("user", "add", "alice", *address, environment=asked, code=1)
        self.assertIn(f"has the key {identity.fingerprint}, and not that in ", refused.err[-1])
        self.assertIn("give --tls-cert FILE with its certificate", refused.err[-1])
        self.assertEqual(self.users.read_bytes(), before, "nothing is written")
        added = self.do("user", "add", "alice", *address, *files[:2], environment=asked)
        made = parseInvitation(added.out[0])
        self.assertEqual(made.pins, (identity.fingerprint,))
        server.waitFor("1 user")
        self.join(made, self.home)

    def test_aServerWithItsOwnKeyIsAskedAndNothingIsToBeGiven(self) -> None:
        folder = temporaryFolder(self)
        folder.chmod(0o700)
        asked = {"RUNTIME_DIRECTORY": str(folder)}
        self.do("user", "add", "*", "--ports", "20000-20009")
        words = ("--bind-addr", self.host, "--control-port", "0", "--tls", "--users", str(self.users))
        server = self.start(bore("server", *words, environment={"XDG_STATE_HOME": str(self.serverHome), **asked}))
        self.control = portOf(server.waitFor("listening on "))
        server.waitFor("admin socket at ")
        made = self.do("user", "add", "alice", "--address", f"{self.host}:{self.control}", environment=asked)
        self.assertEqual(parseInvitation(made.out[0]).pins, (keyOf(server),))
