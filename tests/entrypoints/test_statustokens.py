"""The file with the tokens of the status port."""

from __future__ import annotations

import stat

from twisted.trial.unittest import SynchronousTestCase

from bore.commandline import NotPossible
from bore.events import Event, Sink, StatusTokensNotRead, StatusTokenWritten
from bore.options.statustokens import Tokens
from tests.support import temporaryFolder

FIRST = "a-token-of-24-characters"
SECOND = "another-of-24-characters"


class TokensTests(SynchronousTestCase):
    """The file, and what is in it."""

    def setUp(self) -> None:
        self.path = temporaryFolder(self) / "token"
        self.events: list[Event] = []
        self.sink = Sink()
        self.sink.subscribe(self.events.append)

    def write(self, text: str, mode: int = 0o600) -> None:
        new = self.path.with_suffix(".new")
        new.write_text(text)
        new.chmod(mode)
        new.replace(self.path)

    def test_aFileThatIsNotThereIsWrittenForItsUserAlone(self) -> None:
        (token,) = Tokens(self.sink, self.path)()
        self.assertEqual(self.path.read_text(), token + "\n")
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o600)
        self.assertGreaterEqual(len(token), 32)
        self.assertEqual(self.events, [StatusTokenWritten(str(self.path))])
        self.assertEqual(list(Tokens(self.sink, self.path)()), [token])

    def test_nothingIsWrittenWhereOthersMayReplaceIt(self) -> None:
        folder = self.path.parent / "open"
        folder.mkdir()
        folder.chmod(0o777)
        error = self.assertRaises(NotPossible, Tokens, self.sink, folder / "token")
        self.assertIn("writable by all users: chmod o-w", str(error))
        self.assertEqual((list(folder.iterdir()), self.events), ([], []))

    def test_eachLineIsAToken(self) -> None:
        self.write(f"{FIRST}\n{SECOND}\n")
        self.assertEqual(list(Tokens(self.sink, self.path)()), [FIRST, SECOND])

    def test_aFileThatHasChangedIsReadAgain(self) -> None:
        self.write(FIRST)
        tokens = Tokens(self.sink, self.path)
        self.write(SECOND)
        self.assertEqual(list(tokens()), [SECOND])

    def test_whileItCannotBeUsedNoTokenIsValidAndTheLogSaysSoOnce(self) -> None:
        self.write(FIRST)
        tokens = Tokens(self.sink, self.path)
        self.write(FIRST, 0o644)
        for _ in range(3):
            self.assertRaises(ValueError, tokens)
        (event,) = self.events
        assert isinstance(event, StatusTokensNotRead)
        self.assertIn("readable by all users", event.error)
        self.path.unlink()
        self.assertRaises(ValueError, tokens)
        self.write(SECOND)
        self.assertEqual(list(tokens()), [SECOND])

    def test_atTheStartItHasToBeUsable(self) -> None:
        for text, mode, reason in (
            ("short", 0o600, "fewer than 16 characters"),
            (f"{FIRST}\nshort", 0o600, "fewer than 16 characters"),
            ("", 0o600, "is empty"),
            (FIRST, 0o644, "chmod"),
        ):
            self.write(text, mode)
            with self.assertRaises(NotPossible) as caught:
                Tokens(self.sink, self.path)
            self.assertIn(reason, str(caught.exception))
            self.assertTrue(str(caught.exception).startswith("--status-token-file "))

    def test_aFileThatCannotBeWrittenIsAnError(self) -> None:
        with self.assertRaises(NotPossible) as caught:
            Tokens(self.sink, self.path / "in" / "nowhere")
        self.assertIn("cannot be written", str(caught.exception))
