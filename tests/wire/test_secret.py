"""The proof of the shared secret."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bore.wire.proof import proveBase, provesBase
from bore.wire.secret import Secret
from tests.wire.strategies import UNHURRIED, UUIDS

CHALLENGE: Final = UUID("e4a5288b-95cd-4e87-b945-492a30b38528")
PROOF: Final = "2689b476701a21e26f25bdd038fddf59e59eb32616f1442ee206043efc9ee518"


class ProveTests(SynchronousTestCase):
    """What a client answers to a challenge."""

    def test_theProofIsTheOriginals(self) -> None:
        self.assertEqual(proveBase(Secret("my secret"), CHALLENGE), PROOF)

    def test_anEmptySecretIsASecret(self) -> None:
        # openssl dgst -sha256 -mac HMAC -macopt hexkey:e3b0c442…, over the challenge's 16 bytes
        self.assertEqual(
            proveBase(Secret(""), CHALLENGE), "53a3559109d40226f69f0dc06dbfbb383c54390de8e29667ef8c72ea2320737e"
        )

    def test_aSecretIsTakenAsUtf8(self) -> None:
        # openssl as above, the key being the SHA-256 of the secret's UTF-8 bytes
        self.assertEqual(
            proveBase(Secret("пароль 🔑"), CHALLENGE),
            "f59d8bb201898f771b14e589f4df0eefdbe97e8d8d07f1cf8c1b99a31784fc73",
        )

    def test_secretsAreEqualIfTheirTextsAre(self) -> None:
        self.assertEqual(len({Secret("a"), Secret("a"), Secret("b")}), 2)
        self.assertNotEqual(Secret("a"), "a")

    def test_aTextWithoutUtf8FormIsNoSecret(self) -> None:
        self.assertRaises(UnicodeEncodeError, Secret, "\ud800")

    def test_whiteSpaceAndCaseBelongToTheSecret(self) -> None:
        proofs = {
            proveBase(Secret(text), CHALLENGE)
            for text in ("my secret", "My secret", "my secret\n", " my secret", "mysecret")
        }
        self.assertEqual(len(proofs), 5)

    @UNHURRIED
    @given(st.text(), UUIDS)
    def test_aProofIs64LowerCaseHexDigits(self, text: str, challenge: UUID) -> None:
        self.assertRegex(proveBase(Secret(text), challenge), r"\A[0-9a-f]{64}\Z")


class ProvesTests(SynchronousTestCase):
    """What a server takes for a proof."""

    def setUp(self) -> None:
        self.secret = Secret("my secret")

    def assertNoProof(self, proof: str) -> None:
        """This text does not prove the secret."""
        self.assertIs(provesBase(self.secret, CHALLENGE, proof), False, ascii(proof))

    def test_theRightProofIsTaken(self) -> None:
        self.assertIs(provesBase(self.secret, CHALLENGE, PROOF), True)

    def test_hexDigitsMayBeInUpperCase(self) -> None:
        self.assertIs(provesBase(self.secret, CHALLENGE, PROOF.upper()), True)
        self.assertIs(provesBase(self.secret, CHALLENGE, PROOF[:32].upper() + PROOF[32:]), True)

    def test_whiteSpaceAndSeparatorsAreNoHexDigits(self) -> None:
        for extra in (" ", "\n", "\t", "\0", ":", "-", "_"):
            self.assertNoProof(PROOF[:2] + extra + PROOF[2:])
            self.assertNoProof(extra + PROOF)
            self.assertNoProof(PROOF + extra)
            self.assertNoProof(extra + PROOF[1:])
            self.assertNoProof(PROOF[:-1] + extra)
        self.assertNoProof("0x" + PROOF)
        self.assertNoProof("0x" + PROOF[2:])

    def test_aProofOfAnotherLengthIsWrong(self) -> None:
        for proof in ("", "2", "26", PROOF[:-1], PROOF[:-2], PROOF + "1", PROOF + "18", PROOF * 2, "00" + PROOF):
            self.assertNoProof(proof)

    def test_aProofThatIsNotAsciiIsWrong(self) -> None:
        fullWidth = "".join(chr(ord(digit) + 0xFEE0) for digit in PROOF)
        for proof in (fullWidth, "é" * 32, "é" * 64, PROOF[:-1] + "é", PROOF[:-1] + "\uff18", "😀" * 16):
            self.assertNoProof(proof)

    def test_everyDigitCounts(self) -> None:
        for at, digit in enumerate(PROOF):
            wrong = format(int(digit, 16) ^ 1, "x")
            self.assertNoProof(PROOF[:at] + wrong + PROOF[at + 1 :])

    def test_aProofIsGoodForItsOwnChallengeOnly(self) -> None:
        other = UUID(int=CHALLENGE.int ^ 1)
        self.assertIs(provesBase(self.secret, other, PROOF), False)
        self.assertIs(provesBase(self.secret, other, proveBase(self.secret, other)), True)

    def test_theSecretItselfIsNoProof(self) -> None:
        self.assertNoProof("my secret")
        self.assertNoProof(b"my secret".hex())

    @UNHURRIED
    @given(st.text(), st.text(), UUIDS)
    def test_twoSecretsProveEachOtherOnlyIfTheyAreTheSame(self, one: str, other: str, challenge: UUID) -> None:
        self.assertIs(provesBase(Secret(one), challenge, proveBase(Secret(other), challenge)), one == other)
        self.assertIs(provesBase(Secret(one), challenge, proveBase(Secret(one), challenge)), True)

    @UNHURRIED
    @given(st.text() | st.text("0123456789abcdefABCDEF", min_size=62, max_size=66))
    def test_anyTextIsTakenForAWrongProofWithoutFurtherTrouble(self, proof: str) -> None:
        self.assertIs(provesBase(Secret("my secret"), CHALLENGE, proof), False)


class ReprTests(SynchronousTestCase):
    """A secret does not end up in a log."""

    def test_aSecretDoesNotShowItself(self) -> None:
        secret = Secret("hunter2")
        key = "f52fbd32b2b3b86ff88ef6c490628285f482af15ddcb29541f94bcf526a3f6c7"  # SHA-256 of hunter2
        for shown in (repr(secret), str(secret), f"{secret}", f"{[secret]}"):
            self.assertNotIn("hunter2", shown)
            self.assertNotIn(key, shown)
            self.assertNotIn(repr(bytes.fromhex(key))[2:-1], shown)
        self.assertEqual(repr(secret), "<Secret>")
