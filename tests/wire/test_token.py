"""Tokens cannot be guessed, and are kept under their hash."""

from __future__ import annotations

from typing import Final

from hypothesis import given
from twisted.trial.unittest import SynchronousTestCase

from bore.wire.extension import isToken
from bore.wire.token import digest, newToken
from tests.wire.strategies import TOKENS, UNHURRIED

#: ``printf 0123456789abcdef | sha256sum``
VECTOR: Final = "9f9f5111f7b27a781f1f1ddde5ebc2dd2b796bfc7365c9c28b548e564176929f"


class TokenTests(SynchronousTestCase):
    """A token is 128 random bits."""

    def test_aTokenIs128BitsInHex(self) -> None:
        for _ in range(100):
            token = newToken()
            self.assertRegex(token, r"\A[0-9a-f]{32}\Z")
            self.assertTrue(isToken(token))

    def test_noTwoTokensAreTheSame(self) -> None:
        self.assertEqual(len({newToken() for _ in range(10_000)}), 10_000)

    def test_everyBitOfATokenIsRandom(self) -> None:
        # That one of 128 bits is the same 200 times has a chance of one in 2**192.
        tokens = [int(newToken(), 16) for _ in range(200)]
        ever = always = tokens[0]
        for token in tokens:
            ever |= token
            always &= token
        self.assertEqual((ever, always), ((1 << 128) - 1, 0))


class DigestTests(SynchronousTestCase):
    """A token is looked up by its SHA-256."""

    def test_theDigestIsSha256(self) -> None:
        self.assertEqual(digest("0123456789abcdef").hex(), VECTOR)

    @UNHURRIED
    @given(TOKENS, TOKENS)
    def test_twoTokensHaveTheSameDigestOnlyIfTheyAreTheSame(self, one: str, other: str) -> None:
        self.assertEqual(digest(one) == digest(other), one == other)

    def test_theCaseOfATokenCounts(self) -> None:
        self.assertNotEqual(digest("abcdefabcdefabcd"), digest("ABCDEFABCDEFABCD"))
