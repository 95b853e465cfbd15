"""The line by which a user is invited."""

from __future__ import annotations

import base64
import contextlib
import traceback
from collections.abc import Sequence
from typing import Final

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from twisted.trial.unittest import SynchronousTestCase

from bore.commandline import UsageError
from bore.option import withoutSecrets
from bore.options.check import check, checkCommand
from bore.options.client import upCommand
from bore.options.invitation import Invitation, isInvitation, parseInvitation, parseName
from bore.people import run
from bore.wire.pins import AUTHORITY
from bore.wire.secret import newSecret
from tests.entrypoints.optionscase import local
from tests.wire.strategies import UNHURRIED

SECRET: Final = "9rK4-hush_hush.hush~hush"
PIN: Final = "SHA256:lCYq0123456789+/abcdefghijklmnopqrstuvwxyzA"
LINE: Final = f"bore://alice:{SECRET}@tunnel.example.com:7835/#{PIN}"

_ALNUM: Final = "abcdefghijklmnopqrstuvwxyz0123456789"
NAMES: Final = st.builds(str.__add__, st.sampled_from(_ALNUM), st.text(f"{_ALNUM}._-", max_size=31))
SECRETS: Final = st.text(f"{_ALNUM}ABCXYZ._~-", min_size=16, max_size=128)
HOSTS: Final = st.sampled_from(("tunnel.example.com", "localhost", "192.0.2.7", "2001:db8::1", "bücher.example", "a_b"))
PINS: Final = st.just(AUTHORITY) | st.binary(min_size=32, max_size=32).map(
    lambda digest: "SHA256:" + base64.b64encode(digest).decode().rstrip("=")
)
INVITATIONS: Final[SearchStrategy[Invitation]] = st.builds(
    Invitation, NAMES, SECRETS, HOSTS, st.integers(1, 65535), st.lists(PINS, min_size=1, max_size=4).map(tuple)
)


class InvitationTests(SynchronousTestCase):
    """Reading and writing it."""

    def test_theExampleIsReadAndWritten(self) -> None:
        found = parseInvitation(LINE)
        self.assertEqual(found, Invitation("alice", SECRET, "tunnel.example.com", 7835, (PIN,)))
        self.assertEqual(found.line, LINE)

    @UNHURRIED
    @given(INVITATIONS)
    def test_whatWasWrittenIsRead(self, invitation: Invitation) -> None:
        self.assertEqual(parseInvitation(invitation.line), invitation)
        self.assertEqual(parseInvitation(f"  bore join {invitation.line}\n"), invitation)
        self.assertEqual(parseInvitation(f"bore join '{invitation.line}'"), invitation)
        self.assertEqual(parseInvitation(f'"{invitation.line}"\n'), invitation)
        self.assertNotIn("'", invitation.line)
        self.assertNotIn(",", invitation.line, "which separates the values in a variable")

    def test_aNewSecretFits(self) -> None:
        for _ in range(100):
            invitation = Invitation("a", newSecret(), "h", 1, (PIN,))
            self.assertEqual(parseInvitation(invitation.line), invitation)

    def test_thePortMayBeMissing(self) -> None:
        self.assertEqual(parseInvitation(LINE.replace(":7835", "")).port, 7835)

    def test_theTextFormHasNoSecret(self) -> None:
        found = parseInvitation(LINE)
        self.assertEqual(str(found), "alice@tunnel.example.com:7835")
        for text in (repr(found), str(found), f"{found}", repr([found]), f"{found!r:.200}"):
            self.assertNotIn(SECRET, text)

    def assertRefused(self, text: str, line: str) -> None:
        with self.assertRaises(ValueError) as caught:
            parseInvitation(line)
        self.assertIn(text, str(caught.exception))
        self.assertNotIn(SECRET, "".join(traceback.format_exception(caught.exception)))

    def test_aDamagedLineIsRefusedWithWhatWouldBeRight(self) -> None:
        for end in range(len(LINE) - len(PIN) - 1, len(LINE)):
            self.assertRefused("Copy the line to its end", LINE[:end])
        self.assertRefused("copy the line in one piece", LINE.replace("tunnel", "tun\nnel"))
        self.assertRefused("copy the line in one piece", LINE.replace("tunnel", "tun nel"))
        self.assertRefused("begin with a letter or digit", LINE.replace("alice", "al ice".replace(" ", "+")))
        self.assertRefused("begin with a letter or digit", LINE.replace("alice", ""))
        self.assertRefused("begin with a letter or digit", LINE.replace("alice", "*"))
        self.assertRefused("16 to 128 letters", LINE.replace(SECRET, "hush"))
        self.assertRefused("16 to 128 letters", LINE.replace(SECRET, f"{SECRET}@{SECRET}"))
        self.assertRefused("must be a number from 1 to 65535", LINE.replace("7835", "0"))
        self.assertRefused("a server has at most 4", LINE + f".{PIN}" * 4)
        for wrong in ("", "bore", "bore://", f"https://alice:{SECRET}@h/#{PIN}", LINE.replace("@", "%40"), "bore join"):
            self.assertRefused("as 'bore user add' prints it", wrong)

    @UNHURRIED
    @given(st.text() | st.text("bore:/@#.aA1\n %").map("bore://".__add__))
    def test_anyTextIsReadOrRefused(self, text: str) -> None:
        with contextlib.suppress(ValueError):
            self.assertTrue(isInvitation(parseInvitation(text).line))

    @UNHURRIED
    @given(INVITATIONS, st.data())
    def test_noErrorHasTheSecret(self, invitation: Invitation, data: st.DataObject) -> None:
        secret = "Q" * 20
        line = Invitation(invitation.user, secret, invitation.host, invitation.port, invitation.pins).line
        at = data.draw(st.integers(0, len(line) - 1))
        damaged = line[:at] + data.draw(st.sampled_from(("", " ", "\n", "@", ":", "#", "\x00"))) + line[at + 1 :]
        self.assertNotIn("QQQ", withoutSecrets(damaged).partition("#")[0])
        try:
            parseInvitation(damaged)
        except ValueError as e:
            self.assertNotIn("QQQQQQ", str(e))

    def test_namesAreShortAndPlain(self) -> None:
        for name in ("alice", "a", "0", "ci-runner_7.example", "a" * 32):
            self.assertEqual(parseName(name), name)
        for name in ("", "*", "a" * 65, "-a", ".a", "a b", "a/b", "a:b", "é", "a\n"):
            self.assertRaises(ValueError, parseName, name)


def checked(words: Sequence[str]) -> str:
    return check(checkCommand("bore check").parse(words))


class WithoutSecretsTests(SynchronousTestCase):
    """Errors about a line do not show its secret."""

    def test_whatIsBeforeTheServerIsLeftOut(self) -> None:
        self.assertEqual(withoutSecrets(f"in {LINE!r}"), f"in 'bore://...@tunnel.example.com:7835/#{PIN}'")
        self.assertEqual(withoutSecrets(f"bore://{SECRET}"), "bore://...")
        self.assertEqual(withoutSecrets("bore:/alice:b@c"), "bore:/...@c")  # as a path
        self.assertEqual(withoutSecrets("alice:b c@d"), "alice:...@d")  # its beginning was not copied
        for text in ("tls://alice@c", "alice@[2001:db8::1]:80", "arguments: --x a@b", "bore://", "127.0.0.1:80"):
            self.assertEqual(withoutSecrets(text), text)

    def test_aCommandThatIsNotOneIsShownWithoutIt(self) -> None:
        for program in ("bore user", "bore server-key"):
            with self.assertRaises(UsageError) as caught:
                run(program, [LINE], lambda: self.fail("it has run"))
            self.assertNotIn("hush", str(caught.exception))
            self.assertIn("bore://...@", str(caught.exception))

    def test_aFileThatIsNotOneIsShownWithoutIt(self) -> None:
        for parse in (upCommand("bore up").parse, checked):
            with self.assertRaises(UsageError) as caught:
                parse([LINE])
            self.assertNotIn("hush", str(caught.exception))

    def test_anErrorOfACommandLineHasNone(self) -> None:
        part = f"alice:{SECRET}@h"
        for words in (
            ("8000", "--to", LINE[:-1]),
            ("8000", f"--bore={LINE}"),
            (LINE,),
            ("8000", "--port", LINE),
            ("8000", "--to", part),
            ("8000", "--local-host", part),
        ):
            with self.assertRaises(UsageError) as caught:
                local(*words)
            self.assertNotIn("hush", "".join(traceback.format_exception_only(caught.exception)))
