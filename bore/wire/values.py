"""
Values: frozen dataclasses that share their methods.

:func:`dataclasses.dataclass` writes methods for each class, which take 10 KiB of memory, and messages, events and
settings have more than a hundred classes. Made so, an instance takes 0.4 µs longer: the few classes that each visitor
needs are ordinary dataclasses.
"""

from __future__ import annotations

from dataclasses import MISSING, FrozenInstanceError, dataclass, fields
from typing import Any, Final, NoReturn, TypeVar, dataclass_transform

_Class = TypeVar("_Class", bound=type[Any])

_set: Final = object.__setattr__


@dataclass_transform(frozen_default=True)
def value(cls: _Class) -> _Class:
    """
    Make a frozen dataclass with slots.

    Making an instance raises a TypeError when a field is missing, given twice, or unknown. It is fastest if all values
    are given by position.
    """
    made: Any = dataclass(init=False, repr=False, eq=False, slots=True)(cls)
    for method in (_init, _setattr, _repr, _eq, _hash):
        setattr(made, f"_{method.__name__}__", method)
    return made  # type: ignore[no-any-return]


def _init(self: Any, *values: object, **named: object) -> None:
    names = self.__match_args__
    if named or len(values) != len(names):
        values = _complete(self, values, named)
    for name, value in zip(names, values, strict=False):
        _set(self, name, value)


def _complete(self: Any, values: tuple[object, ...], named: dict[str, object]) -> tuple[object, ...]:
    """The values of all fields, in their order: those that were given by position or by name, and defaults."""
    names = self.__match_args__
    given: dict[str, Any] = {each.name: each.default for each in fields(self)}
    given.update(zip(names, values, strict=False))
    given.update(named)
    if len(values) > len(names) or len(given) > len(names) or not named.keys().isdisjoint(names[: len(values)]):
        raise TypeError(f"{type(self).__name__} has the fields {', '.join(names)}: got {values} and {named}")
    for name, value in given.items():
        if value is MISSING:
            raise TypeError(f"{type(self).__name__} needs a value for {name}")
    return tuple(given.values())


def _setattr(self: Any, name: str, value: object) -> NoReturn:
    raise FrozenInstanceError(f"cannot assign to field {name!r}")


def _repr(self: Any) -> str:
    return f"{type(self).__name__}({', '.join(f'{name}={getattr(self, name)!r}' for name in self.__match_args__)})"


def _eq(self: Any, other: object) -> bool:
    return type(other) is type(self) and _valuesOf(other) == _valuesOf(self)


def _hash(self: Any) -> int:
    return hash((type(self), *_valuesOf(self)))


def _valuesOf(self: Any) -> list[object]:
    return [getattr(self, name) for name in self.__match_args__]
