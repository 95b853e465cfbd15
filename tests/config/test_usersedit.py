"""Changes of the text of a users file."""

from __future__ import annotations

import tomllib
from datetime import date
from typing import Final

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bore.config.usersedit import UsersText, Value
from tests.entrypoints.test_invitation import NAMES
from tests.wire.strategies import UNHURRIED

TEXT: Final = """\
# Our people.
address = "tunnel.example.com:7835"

# Alice, of accounting
[alice]
key = "sha256:aa"   # hers
ports = [
  "20000-20009",  # ten
  22022,
]
# until the move

# Bob
[bob]
key = "sha256:bb"

# the end
"""

KEYS: Final = st.dictionaries(
    st.sampled_from(("key", "ports", "max-tunnels", "expires", "original")),
    st.text(max_size=9) | st.booleans() | st.integers(0, 9) | st.just(date(2027, 6, 30)) | st.lists(st.integers(0, 9)),
)


class UsersTextTests(SynchronousTestCase):
    """What stays as it was, and what does not."""

    def changed(self, name: str, **keys: Value | None) -> str:
        text = UsersText(TEXT)
        text.change(name, {key.replace("_", "-"): value for key, value in keys.items()})
        return str(text)

    def test_unchangedItIsTheSame(self) -> None:
        self.assertEqual(str(UsersText(TEXT)), TEXT)
        self.assertEqual(UsersText(TEXT).names, ["alice", "bob"])
        self.assertEqual(UsersText(TEXT).top("address"), "tunnel.example.com:7835")
        self.assertIsNone(UsersText(TEXT).top("alice"))

    def test_aKeyIsChangedInItsPlaceWithTheCommentBehindIt(self) -> None:
        self.assertEqual(self.changed("alice", key="sha256:cc"), TEXT.replace('"sha256:aa"', '"sha256:cc"'))

    def test_aNewKeyComesBehindTheOthersOfItsTable(self) -> None:
        self.assertEqual(
            self.changed("alice", max_tunnels=8, expires=date(2027, 6, 30)),
            TEXT.replace("22022,\n]\n", "22022,\n]\nmax-tunnels = 8\nexpires = 2027-06-30\n"),
        )

    def test_aKeyIsRemoved(self) -> None:
        self.assertEqual(self.changed("bob", key=None), TEXT.replace('key = "sha256:bb"\n', ""))
        self.assertEqual(self.changed("bob", ports=None), TEXT)

    def test_aUserIsRemovedWithTheCommentAboveIt(self) -> None:
        text = UsersText(TEXT)
        text.remove("bob")
        self.assertEqual(str(text), TEXT.replace('\n# Bob\n[bob]\nkey = "sha256:bb"\n', ""))
        text = UsersText(TEXT)
        text.remove("alice")
        begin, end = TEXT.index("\n# Alice"), TEXT.index("# until the move")
        self.assertEqual(str(text), TEXT[:begin] + TEXT[end:])

    def test_aUserIsAddedBehindTheOthers(self) -> None:
        text = UsersText(TEXT)
        text.add("carol.x", {"key": "sha256:cc", "ports": ["1-2", 3], "original": True})
        self.assertEqual(str(text), TEXT + '\n["carol.x"]\nkey = "sha256:cc"\nports = ["1-2", 3]\noriginal = true\n')

    def test_aNewFileHasTheAddressAtItsTop(self) -> None:
        text = UsersText("# comment\n")
        text.setTop("address", "h:1")
        text.add("a", {"key": "k"})
        self.assertEqual(str(text), '# comment\naddress = "h:1"\n\n[a]\nkey = "k"\n')
        text.setTop("address", "h:2")
        self.assertEqual(str(text), '# comment\naddress = "h:2"\n\n[a]\nkey = "k"\n')
        text = UsersText('[a]\nkey = "k"\n')
        text.setTop("address", "h:1")
        self.assertEqual(str(text), 'address = "h:1"\n\n[a]\nkey = "k"\n')

    def test_otherWaysToWriteATableAreEditedToo(self) -> None:
        for written in ('a = {key = "k"}\n', 'a.key = "k"\n[b]\nkey = "b"\n', "[\"a\"] # A\n\"key\" = '''k'''"):
            text = UsersText(written)
            text.change("a", {"key": "new", "max-tunnels": 1})
            expected = {**tomllib.loads(written), "a": {"key": "new", "max-tunnels": 1}}
            self.assertEqual(tomllib.loads(str(text)), expected, str(text))
            text.remove("a")
            del expected["a"]
            self.assertEqual(tomllib.loads(str(text)), expected)

    @UNHURRIED
    @given(st.lists(st.tuples(NAMES, st.none() | KEYS), max_size=8), st.lists(st.text("#\n \t", max_size=4)))
    def test_anySeriesOfChangesLeavesWhatAModelLeaves(
        self, steps: list[tuple[str, dict[str, Value] | None]], between: list[str]
    ) -> None:
        model: dict[str, dict[str, Value]] = {}
        text = UsersText("")
        for number, (name, keys) in enumerate(steps):
            if keys is None:
                if name in model:
                    del model[name]
                    text.remove(name)
            elif name in model:
                model[name] |= keys
                text.change(name, dict(keys))
            else:
                model[name] = dict(keys)
                text.add(name, keys)
            gap = "".join(between[number : number + 1]) + "\n"
            text = UsersText(str(text) + "".join(f"# {line}\n" if line.strip() else "\n" for line in gap.split("\n")))
            self.assertEqual(tomllib.loads(str(text)), model)
