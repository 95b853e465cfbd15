"""Users files: what they say, and all their mistakes at once."""

from __future__ import annotations

import os
from hashlib import sha256
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from bore.commandline import BadFile
from bore.options.users import readUsers
from bore.users.entry import MAX_KEYS, UserEntry, UserKey, Users
from bore.users.ports import Ports
from bore.users.rights import ALL_RIGHTS, Rights
from bore.wire.addressrules import parseNetwork
from bore.wire.secret import Secret
from tests.support import temporaryFolder


def key(secret: str) -> str:
    return f"sha256:{sha256(secret.encode()).hexdigest()}"


class UsersFileCase(SynchronousTestCase):
    """Has a users file."""

    def setUp(self) -> None:
        self.path = temporaryFolder(self) / "users.toml"

    def write(self, text: str) -> Path:
        self.path.write_text(text)
        self.path.chmod(0o640)
        return self.path

    def read(self, text: str) -> Users:
        return readUsers(self.write(text))

    def mistakes(self, text: str) -> list[str]:
        """Return the mistakes in a file, each without the name of the file."""
        with self.assertRaises(BadFile) as caught:
            self.read(text)
        return [line.removeprefix(f"{self.path}:") for line in caught.exception.lines]


class ContentTests(UsersFileCase):
    """What a file says."""

    def test_anEmptyFileHasNoUsers(self) -> None:
        self.assertEqual(self.read(""), Users({}, ALL_RIGHTS))

    def test_aUserWithNothingButAKeyHasAllRights(self) -> None:
        found = self.read(f'[alice]\nkey = "{key("hers")}"\n')
        self.assertEqual(found.entries, {"alice": UserEntry("alice", (UserKey(Secret("hers")),), ALL_RIGHTS)})

    def test_everyRightIsRead(self) -> None:
        found = self.read(f"""
            ["*"]
            max-tunnels = 2
            ["alice.b@example.com"]
            key = "{key("hers")}"
            old-keys = ["{key("before")} until 2027-01-01T00:00:00+01:00"]
            ports = ["20000-20009", 22022, "20010"]
            exclusive = 443
            max-tunnels = 8
            max-visitors = 1000
            bandwidth = "20 MB/s"
            from = ["198.51.100.0/24", "2001:db8::7"]
            expires = 2027-06-30
            original = true
            """)
        self.assertEqual(found.shared, Rights(maxTunnels=2))
        [entry] = found.entries.values()
        self.assertEqual(entry.name, "alice.b@example.com")
        self.assertEqual(entry.keys, (UserKey(Secret("hers")), UserKey(Secret("before"), 1798758000.0)))
        self.assertEqual(
            entry.rights,
            Rights(
                Ports(((20000, 20010), (22022, 22022))),
                Ports(((443, 443),)),
                8,
                1000,
                20_000_000,
                (parseNetwork("198.51.100.0/24"), parseNetwork("2001:db8::7")),
                1814400000.0,  # the first second of 2027-07-01
                True,
            ),
        )

    def test_aUserMayHaveACertificateInsteadOfASecret(self) -> None:
        found = self.read('[alice]\nkey = "certificate"\n')
        self.assertEqual(found.entries["alice"].keys, ())

    def test_aTimeMayBeATextOrATomlTime(self) -> None:
        for end in ("2027-06-30T12:00:00Z", '"2027-06-30T12:00:00Z"', "2027-06-30 12:00:00Z"):
            found = self.read(f'[a]\nkey = "certificate"\nexpires = {end}\n')
            self.assertEqual(found.entries["a"].rights.expires, 1814356800.0)


class MistakesTests(UsersFileCase):
    """All mistakes of a file, with their lines."""

    def test_allAreFoundAtOnce(self) -> None:
        found = self.mistakes(f"""
[alice]
key = "{key("hers")}"
prots = 4
expires = "tomorrow"
[bob]
ports = ["9-8", 70000]
[carl]
key = "secret"
secret = "hush"
["x y"]
key = "certificate"
""")
        self.assertEqual(
            found,
            [
                "4: alice.prots: unknown key; did you mean 'ports'?",
                "5: alice.expires: 'tomorrow' must be a date or a time with its zone, such as 2027-06-30 or "
                "2027-06-30T12:00:00Z",
                "6: bob.key: missing: SHA-256 of the user's secret",
                "7: bob.ports: '9-8' must begin with the lower port: 8-9",
                "9: carl.key: 'secret' must be sha256: and 64 lower-case hex digits, as 'bore user add' writes it, "
                "or certificate",
                "10: carl.secret: a users file has the key of a secret only: 'bore user add' writes it",
                "11: \"x y\": a name must have 1 to 64 letters, digits, '-', '_', '.' and '@', and begin with a "
                "letter or digit",
            ],
        )

    def test_twoUsersNeverShareASecret(self) -> None:
        found = self.mistakes(f"""[alice]
key = "{key("hers")}"
[bob]
key = "{key("his")}"
old-keys = "{key("hers")} until 2030-01-01"
""")
        self.assertEqual(found, ["4: bob.key: is a key of alice, too: each user needs a secret of its own"])

    def test_exclusivePortsBelongToOneUser(self) -> None:
        found = self.mistakes("""[alice]
key = "certificate"
exclusive = ["100-200"]
[bob]
key = "certificate"
exclusive = [150, 400]
[carl]
key = "certificate"
exclusive = ["190-310"]
""")
        self.assertEqual(
            found,
            [
                "6: bob.exclusive: has the port 150, which is exclusive to alice, too",
                "9: carl.exclusive: has the port 190, which is exclusive to alice, too",
            ],
        )

    def test_theSharedSecretHasNoKeyHere(self) -> None:
        for line in (f'key = "{key("x")}"', "original = true"):
            [mistake] = self.mistakes(f'["*"]\n{line}\n')
            self.assertIn("has no effect here: this table has the rights of the shared secret", mistake)

    def test_theStarNeedsQuotes(self) -> None:
        self.assertEqual(
            self.mistakes("\n[*]\nports = 1\n"), ['2: TOML wants quotes around the name of this table: ["*"]']
        )

    def test_aNameWithADotNeedsQuotes(self) -> None:
        self.assertIn(
            '1: alice.smith: must not be a table; a name with a dot needs quotes: ["alice.smith"]',
            self.mistakes('[alice.smith]\nkey = "certificate"\n'),
        )

    def test_aKeyAtTheTopIsNotAUser(self) -> None:
        self.assertEqual(
            self.mistakes("max-tunnels = 4"),
            ["1: max-tunnels: must be a table: write [max-tunnels], and its keys below"],
        )

    def test_anEmptySecretIsNone(self) -> None:
        [mistake] = self.mistakes(f'[a]\nkey = "{key("")}"\n')
        self.assertIn("is the key of the empty secret", mistake)

    def test_formerKeysAreFewAndHaveAnEnd(self) -> None:
        [mistake] = self.mistakes(f'[a]\nkey = "{key("a")}"\nold-keys = "{key("b")}"\n')
        self.assertIn("must be a key and its end", mistake)
        keys = [f"{key(str(n))} until 2030-01-01" for n in range(MAX_KEYS)]
        [mistake] = self.mistakes(f'[a]\nkey = "{key("a")}"\nold-keys = {keys}\n')
        self.assertIn("has more than 3 keys", mistake)


class PrivacyTests(UsersFileCase):
    """Who may read and write the file."""

    def assertRefused(self, mode: int, reason: str) -> None:
        self.write("").chmod(mode)
        with self.assertRaises(BadFile) as caught:
            readUsers(self.path)
        self.assertEqual(str(caught.exception), f"{self.path}: {reason} {self.path}")

    def test_itsGroupMayReadIt(self) -> None:
        for mode in (0o600, 0o640, 0o400):
            self.write("").chmod(mode)
            self.assertEqual(readUsers(self.path), Users())

    def test_othersMayNotReadIt(self) -> None:
        self.assertRefused(0o644, "is readable by all users of this machine: chmod g-w,o=")

    def test_itsGroupMayNotWriteIt(self) -> None:
        self.assertRefused(0o660, "is writable by its group: chmod g-w,o=")

    def test_aPipeIsNotWaitedFor(self) -> None:
        os.mkfifo(self.path)
        with self.assertRaisesRegex(BadFile, "is not a file: move it away"):
            readUsers(self.path)

    def test_itMustExist(self) -> None:
        with self.assertRaisesRegex(BadFile, "does not exist: 'bore user add NAME --users FILE' makes it"):
            readUsers(self.path)
