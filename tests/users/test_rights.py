"""What a user may do, as a value."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bore.users.entry import UserKey, parseKey, parseOldKey
from bore.users.ports import Ports
from bore.users.rights import ALL_RIGHTS, Rights, endText, parseEnd
from bore.wire.binding import isUserName
from bore.wire.secret import Secret
from tests.wire.strategies import UNHURRIED


class RightsTests(SynchronousTestCase):
    """The rights of a user."""

    def test_exclusivePortsAreAddedToTheOthers(self) -> None:
        rights = Rights(Ports(((20000, 20009),)), Ports(((443, 443),)))
        self.assertEqual([port for port in (442, 443, 20000, 20010) if rights.mayUse(port)], [443, 20000])
        self.assertTrue(ALL_RIGHTS.mayUse(1))


class EndTests(SynchronousTestCase):
    """When rights end."""

    def test_aDateIsTheEndOfTheDay(self) -> None:
        self.assertEqual(parseEnd("2027-06-30"), parseEnd("2027-07-01T00:00:00Z"))
        self.assertEqual(endText(parseEnd("2027-06-30")), "2027-06-30")

    @UNHURRIED
    @given(st.integers(0, 4_000_000_000))
    def test_itsTextIsReadAgain(self, end: int) -> None:
        self.assertEqual(parseEnd(endText(end)), end)

    def test_aTimeNeedsAZone(self) -> None:
        for text in ("", "2027-06-30T12:00:00", "2027-13-01", "9999-12-31", "tomorrow", "20270630", "2027-W26-1"):
            with self.assertRaises(ValueError, msg=text):
                parseEnd(text)


class KeyTests(SynchronousTestCase):
    """Keys of secrets."""

    def test_theKeyProvesWhatTheSecretProves(self) -> None:
        secret = Secret("a secret of alice")
        key = parseKey(f"sha256:{secret.key.hex()}")
        assert key is not None
        self.assertEqual(key.secret.mac(b"challenge"), secret.mac(b"challenge"))
        self.assertEqual(key, UserKey(secret))

    def test_itsTextIsReadAgain(self) -> None:
        key = UserKey(Secret("former"), parseEnd("2027-06-30T12:00:00Z"))
        self.assertEqual(parseOldKey(str(key)), key)
        self.assertEqual(parseKey(str(UserKey(Secret("now")))), UserKey(Secret("now")))

    def test_itDoesNotShowTheKeyByAccident(self) -> None:
        self.assertNotIn(Secret("x").key.hex(), repr(UserKey(Secret("x"))))


class NameTests(SynchronousTestCase):
    """Names of users."""

    def test_whichNamesThereAre(self) -> None:
        for name in ("alice", "a", "alice.b@example.com", "7", "x" * 64):
            self.assertTrue(isUserName(name), name)
        for name in ("", "*", "-a", ".a", "a b", "a/b", "a:b", "x" * 65, "ä", "a\n"):
            self.assertFalse(isUserName(name), name)
