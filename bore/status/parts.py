"""
Snapshots in parts that have a bound, and what came in such parts as values again.

A part is a JSON list of pairs: a key of the snapshot, and its value, or one item if that is a list. The two ends may be
of different versions: unknown keys are ignored, and what is missing, or of another type, is as if there were nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from types import NoneType, UnionType
from typing import Any, Final, Generic, TypeAlias, TypeVar, cast, get_args, get_origin, get_type_hints

from bore.status.report import fieldsIn, isList, toJson
from bore.wire.workermessages import MAX_PART

T = TypeVar("T")

#: The longest value in a part, in bytes. Longer ones are left out.
_LONGEST: Final = MAX_PART - 100

#: Makes a value of what JSON has in its place.
_Reader: TypeAlias = Callable[[object], Any]


def parts(report: object) -> Iterator[bytes]:
    """Write a snapshot in parts, each of which takes about a millisecond. It must not change meanwhile."""
    taken: list[str] = []
    size = 0
    for key, each in fieldsIn(report):
        for item in cast(Sequence[object], each) if isList(each) else (each,):
            pair = json.dumps((key, toJson(item)))
            if len(pair) > _LONGEST:
                continue
            if size + len(pair) > _LONGEST:
                yield f"[{','.join(taken)}]".encode()
                taken, size = [], 0
            taken.append(pair)
            size += len(pair) + 1
    yield f"[{','.join(taken)}]".encode()


class Assembly(Generic[T]):
    """
    A snapshot that comes in parts.

    :param kind: its class.
    """

    def __init__(self, kind: type[T]) -> None:
        self._kind: Any = kind
        self._lists: dict[str, list[object]] = {}
        self._others: dict[str, object] = {}

    def add(self, part: bytes) -> None:
        """
        Read a part.

        :raises ValueError: if it is none.
        """
        fields = _fieldsOf(self._kind)
        try:
            pairs = [(key, each) for key, each in json.loads(part)]
        except (TypeError, RecursionError) as e:
            raise ValueError("not a part of a snapshot") from e
        for key, each in pairs:
            found = fields.get(key) if isinstance(key, str) else None
            if found is None:
                continue
            if found.item is not None:
                self._lists.setdefault(key, []).append(found.item(each))
            else:
                self._others[key] = found.read(each)

    def whole(self) -> T:
        """The snapshot, when all of its parts were read."""
        found = {**self._lists, **self._others}
        return cast(T, self._kind(*(found.get(key, each.missing) for key, each in _fieldsOf(self._kind).items())))


def read(kind: type[T], content: object) -> T:
    """Make a value of a class of :mod:`bore.status.report` of what JSON has of it."""
    hint: Any = kind
    return cast(T, _reader(hint)(content))


class _Field:
    """
    A field of a class.

    :ivar read: makes its value.
    :ivar item: makes an item of it; None: it is no list.
    :ivar missing: its value if there is none.
    """

    def __init__(self, hint: Any) -> None:
        self.read = _reader(hint)
        lists = [each for each in (hint, *get_args(hint)) if get_origin(each) is Sequence]
        self.item: _Reader | None = _reader(get_args(lists[0])[0]) if lists else None
        self.missing = self.read(None)


@cache
def _fieldsOf(kind: Any) -> dict[str, _Field]:
    """The fields of a class by their keys, in their order."""
    hints = get_type_hints(kind)
    return {name.rstrip("_"): _Field(hints[name]) for name in kind.__match_args__}


#: Types that JSON has, and what stands where there is nothing.
_NOTHING: Final[dict[Any, object]] = {str: "", int: 0, float: 0.0, bool: False}


@cache
def _reader(hint: Any) -> _Reader:
    """What reads the values of a type."""
    origin, given = get_origin(hint), get_args(hint)
    if origin is UnionType or hint in _NOTHING:
        return _ofUnion(given or (hint,))
    if origin is Sequence:
        item = _reader(given[0])
        return lambda content: [item(each) for each in content] if isinstance(content, list) else []
    if origin is Mapping:
        value = _reader(given[1])
        return lambda content: {k: value(v) for k, v in content.items()} if isinstance(content, dict) else {}
    return (lambda content: content) if hint is object else _ofClass(hint)


def _ofUnion(given: Sequence[Any]) -> _Reader:
    """Read one of several types. The first one stands where there is nothing, unless None may be there."""
    kinds = {each for each in given if each is not NoneType}
    first = next(each for each in given if each in kinds)
    nothing = None if NoneType in given else _NOTHING[first]
    if first in _NOTHING:
        known = kinds | {int} if float in kinds else kinds
        return lambda content: content if type(content) in known else nothing
    only = _reader(first)
    return lambda content: nothing if content is None else only(content)


def _ofClass(kind: Any) -> _Reader:
    fields = [(key, each.read) for key, each in _fieldsOf(kind).items()]

    def read(content: object) -> object:
        get = content.get if isinstance(content, dict) else {}.get
        return kind(*[reader(get(key)) for key, reader in fields])

    return read
