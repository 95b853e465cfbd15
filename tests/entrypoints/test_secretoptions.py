"""The secret, from the command line, a file or the environment."""

from __future__ import annotations

import os

from bore.wire.secret import Secret
from tests.entrypoints.optionscase import OptionsCase, proof, server


class SecretOptionsTests(OptionsCase):
    """The sources of the secret."""

    def secretOf(self, *words: str, **environment: str) -> str | None:
        return proof(server(*words, **environment).settings.secret)

    def test_aNewlineAtTheEndOfTheFileIsNoPartOfIt(self) -> None:
        for content in (b"hush", b"hush\n", b"hush\r\n"):
            self.assertEqual(self.secretOf("--secret-file", self.file(content)), proof(Secret("hush")))
        self.assertEqual(self.secretOf("--secret-file", self.file(b" h\xc3\xbcsh ")), proof(Secret(" h\u00fcsh ")))

    def test_anEmptySecretIsOneOnlyIfItIsWrittenOut(self) -> None:
        self.assertEqual(self.secretOf("-s", ""), proof(Secret("")))
        self.assertEqual(self.secretOf("-s", "", BORE_SECRET=""), proof(Secret("")))
        self.assertIsNone(self.secretOf())
        for command, words in (("server", []), ("local", ["80", "--to", "x"])):
            self.assertUsageError("BORE_SECRET is empty", *words, command=command, BORE_SECRET="")
            for content in (b"", b"\n", b"\r\n"):
                self.assertUsageError("is empty", "--secret-file", self.file(content), *words, command=command)

    def test_anEmptyVariableDoesNotMatterWhereAFlagIsGiven(self) -> None:
        self.assertEqual(self.secretOf("--secret-file", self.file(b"file"), BORE_SECRET=""), proof(Secret("file")))
        self.assertEqual(self.secretOf("-s", "flag", BORE_SECRET=""), proof(Secret("flag")))

    def test_aFlagBeatsTheEnvironment(self) -> None:
        self.assertEqual(self.secretOf("-s", "flag", BORE_SECRET="env"), proof(Secret("flag")))
        self.assertEqual(self.secretOf("--secret-file", self.file(b"file"), BORE_SECRET="env"), proof(Secret("file")))

    def test_mistakesAreNamed(self) -> None:
        for text, words in {
            "--secret-file '/nonexistent': cannot be read (No such file": ["--secret-file", "/nonexistent"],
            "is not UTF-8": ["--secret-file", self.file(b"\xff\xfe")],
            "is longer than 4096 characters": ["--secret-file", self.file(b"x" * 5000)],
            "begins with a byte order mark: save it as UTF-8": [
                "--secret-file",
                self.file(b"\xef\xbb\xbfx\n"),
            ],
            "ends with an empty line: it must end with": ["--secret-file", self.file(b"hush\n\n")],
            "ends with an empty line: it must": ["--secret-file", self.file(b"hush\r\n\r\n")],
            "--secret and --secret-file exclude each other": ["-s", "x", "--secret-file", self.file(b"x")],
            "the secret is not valid UTF-8": ["-s", os.fsdecode(b"\xff")],
        }.items():
            self.assertUsageError(text, *words, command="server")
