"""The lines of keys in TOML files."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from time import process_time
from typing import cast

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bore.config.positions import DEEPEST, Path, deepKey, lineOf, linesOf, withTables

#: Nothing in them is a key of the file, whatever it looks like.
STRINGS = st.text(st.sampled_from("ab [].=#'\"\\\n{},é"), max_size=8)

NAMES = st.text(st.sampled_from("ab1-_ .=[#é"), min_size=1, max_size=3)


def literal(text: str) -> str:
    return f"'{text}'" if "'" not in text and "\n" not in text else json.dumps(text)


def severalLines(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
    return f'"""\n{escaped}{chr(92) if escaped.endswith(chr(34)) else ""}\n"""'


def severalLiteralLines(text: str) -> str:
    return f"'''{text}'''" if "'" not in text else json.dumps(text)


TEXTS = st.one_of(
    STRINGS.map(json.dumps), STRINGS.map(literal), STRINGS.map(severalLines), STRINGS.map(severalLiteralLines)
)

SCALARS = st.one_of(st.integers(-9, 99).map(str), st.sampled_from(["1.5", "true", "1979-05-27T07:32:00"]), TEXTS)

VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda each: f"[{', '.join(each)}]"),
        st.lists(inner, max_size=3).map(lambda each: "[\n  # key = 1\n" + "".join(f"  {x},\n" for x in each) + "]"),
        inner.filter(lambda each: "\n" not in each).map(lambda each: "{ a = " + each + ", b = 2 }"),
    ),
    max_leaves=4,
)

NOTHING = st.sampled_from(["", "# [table]", '# key = """', "   ", "\t# '''"])


def key(name: str, quote: int) -> str:
    if quote == 0 and all(c.isascii() and (c.isalnum() or c in "-_") for c in name):
        return name
    return literal(name) if quote == 1 else json.dumps(name)


KEYS = st.tuples(NAMES, st.integers(0, 2))


@dataclass(frozen=True)
class Document:
    """A file, and where its keys are."""

    text: str
    lines: dict[Path, int]


@st.composite
def documents(draw: st.DrawFn) -> Document:
    """Files with tables, whose keys are not those of tables."""
    lines: dict[Path, int] = {}
    written: list[str] = []

    def write(text: str) -> int:
        written.extend(draw(st.lists(NOTHING, max_size=2)))
        line = "\n".join([*written, ""]).count("\n") + 1
        written.append(text)
        return line

    def writeKeys(table: Path) -> None:
        for name, quote in draw(st.lists(KEYS, max_size=3, unique_by=lambda each: each[0])):
            space, behind = draw(st.sampled_from(["", " ", "\t "])), draw(st.sampled_from(["", "  # x = 'y"]))
            lines[(*table, name)] = write(f"{space}{key(name, quote)}{space}={space}{draw(VALUES)}{behind}")

    writeKeys(())
    for nth, (name, quote) in enumerate(draw(st.lists(KEYS, max_size=3))):
        table = (f"T{nth}", name)
        lines[table] = write(f"[T{nth} . {key(name, quote)} ]")
        writeKeys(table)
    return Document("\n".join([*written, ""]), lines)


def paths(table: dict[str, object], above: Path = ()) -> Iterator[Path]:
    """Return the paths of all keys of tables, those of inline tables included."""
    for name, value in table.items():
        yield (*above, name)
        if isinstance(value, dict):
            yield from paths(cast("dict[str, object]", value), (*above, name))


class LinesTests(SynchronousTestCase):
    """Where keys are."""

    @given(documents())
    def test_everyKeyIsOnItsLineAndNothingElseIsAKey(self, document: Document) -> None:
        self.assertEqual(linesOf(document.text), document.lines)
        self.assertLessEqual(set(document.lines), set(paths(tomllib.loads(document.text))))

    @given(documents())
    def test_everyPathOfTomllibHasALine(self, document: Document) -> None:
        lines = withTables(linesOf(document.text))
        for path in paths(tomllib.loads(document.text)):
            self.assertIsNotNone(lineOf(path, lines))

    @given(documents())
    def test_aFileOfWindowsHasTheSameLines(self, document: Document) -> None:
        text = document.text.replace("\n", "\r\n")
        tomllib.loads(text)
        self.assertEqual(linesOf(text), document.lines)

    def test_aKeyWithDotsIsAPath(self) -> None:
        self.assertEqual(
            linesOf('a . "b.c" = 1\n[x.y]\nz.w = 2'), {("a", "b.c"): 1, ("x", "y"): 2, ("x", "y", "z", "w"): 3}
        )

    def test_quotesAtTheEndOfAStringBelongToIt(self) -> None:
        for text in ('a = """x"""""\nb = 1', "a = '''x'''''\nb = 1", 'a = """\\""""\nb = 1'):
            tomllib.loads(text)
            self.assertEqual(linesOf(text), {("a",): 1, ("b",): 2}, text)

    def test_whatHasNoLineOfItsOwnHasThatOfItsTable(self) -> None:
        lines = withTables(linesOf("\na = { b = 1 }\n\n[tunnel.web]\nlocal = 1"))
        self.assertEqual(lineOf(("a", "b"), lines), 2)
        self.assertEqual(lineOf(("tunnel", "web", "port"), lines), 4)
        self.assertEqual(lineOf(("tunnel",), lines), 4)
        self.assertIsNone(lineOf(("c",), lines))
        self.assertIsNone(lineOf((), lines))


class DeepKeyTests(SynchronousTestCase):
    """Keys with many dots, on which tomllib would spend seconds."""

    def test_theyAreFoundWhereverTheyStand(self) -> None:
        for dot in (".", " . "):
            name = dot.join(["a", '"b.c"'] * DEEPEST)
            for text in (f"x = 1\n{name} = 1", f"\n[{name}]", f"\nx = {{ y = 1, {name} = 2 }}"):
                tomllib.loads(text)
                self.assertEqual(deepKey(text), 2)
        self.assertIsNone(deepKey("a = 1\n" + ".".join("a" * (DEEPEST + 1)) + " = 1"))

    @given(documents())
    def test_inOtherFilesThereAreNone(self, document: Document) -> None:
        self.assertIsNone(deepKey(document.text))

    def test_stringsAndCommentsHaveNone(self) -> None:
        dots = ".".join("a" * 99)
        for text in (f"# {dots}", f"a = '{dots}'", f'a = "\\"{dots}"', f'a = """\n{dots.replace(".", "...")}"""'):
            self.assertIsNone(deepKey(text), text)

    def test_anyTextTakesItsLengthInTime(self) -> None:
        size = 1 << 18
        begun = process_time()
        for text in ("k" * size, '"' + '\\"' * size, "'a" * size, "a ." * size, " " * size, "a" + " " * size + "b"):
            deepKey(text + "." * 2 * DEEPEST)
            deepKey(text + "." * 2 * DEEPEST + "\\")
        self.assertLess(process_time() - begun, 10)
