"""What the tests with users of a server share."""

from __future__ import annotations

from pathlib import Path

from bore.options.invitation import Invitation, parseInvitation
from tests.processes.tlscase import TlsCase
from tests.support import Program, bore


class PeopleCase(TlsCase):
    """
    A server with users, and machines of users.

    :ivar users: the users file.
    :ivar control: the control port, for which lines are made.
    """

    def setUp(self) -> None:
        super().setUp()
        self.users = self.serverHome / "users.toml"
        self.control = 0

    def peopleServer(self, *words: str, port: int = 0) -> Program:
        """Start the server; a users file without a user is made if there is none."""
        if not self.users.exists():
            self.users.write_text("")
            self.users.chmod(0o600)
        program, self.control = self.tlsServer("--users", str(self.users), *words, port=port)
        return program

    def do(
        self, *words: str, code: int = 0, home: Path | None = None, environment: dict[str, str] | None = None
    ) -> Program:
        """Run a command to its end: the server's user does, or the one with this home."""
        where = self.serverHome if home is None else home
        folders = {name: str(where) for name in ("HOME", "XDG_STATE_HOME", "XDG_CONFIG_HOME")}
        program = self.start(bore(*words, environment=folders | {"BORE_USERS": str(self.users)} | (environment or {})))
        self.assertEqual(program.wait(), code, program.transcript())
        return program

    def invite(self, name: str, *words: str, port: int = 0) -> Invitation:
        """Add a user, and return what the line has."""
        added = self.do("user", "add", name, "--address", f"{self.host}:{port or self.control}", *words)
        return parseInvitation(added.out[0])

    def join(self, invitation: Invitation, home: Path, code: int = 0, port: int = 0) -> Program:
        """
        Join a server.

        :param port: where the server seems to be; 0: where it is.
        """
        line = invitation.line.replace(f":{invitation.port}/", f":{port or invitation.port}/")
        return self.do("join", line, code=code, home=home)

    def show(self, home: Path, *words: str) -> Program:
        """Start a client on a machine that has joined, which shows the local service."""
        folders = {name: str(home) for name in ("HOME", "XDG_STATE_HOME", "XDG_CONFIG_HOME")}
        return self.start(bore("local", str(self.service.port), "-l", "127.0.0.1", *words, environment=folders))
