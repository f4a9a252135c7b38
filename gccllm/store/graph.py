"""Dataclass graphs as JSON and back: shared and cyclic nodes stay what they are (C types are recursive).

    {"root": VALUE, "nodes": [[CLASS, {FIELD: VALUE}], ...]}
    VALUE: null, bool, number, string; {"n": index of a node}; {"l": [...]} list; {"t": [...]} tuple;
           {"s": [...]} frozenset (sorted); {"d": [[key, value], ...]} dict; {"b": "hex"} bytes;
           {"e": [CLASS, value]} enum

Only classes that the caller names are ever made, by setting their fields: nothing of theirs is called, so that an entry
from elsewhere cannot run code. A field that a class does not have, a value that is not of the field's type, or a node
that does not exist, is a ValueError.
"""

from __future__ import annotations

import dataclasses
import enum
import types
import typing
from collections.abc import Iterable
from functools import cache
from typing import Any


def encode(root: Any) -> dict[str, Any]:
    """Raises TypeError for a value that has no JSON form here."""
    nodes: list[list[Any]] = []
    numbers: dict[int, int] = {}

    def value(item: Any) -> Any:
        if isinstance(item, enum.Enum):
            return {"e": [type(item).__name__, item.value]}
        if item is None or isinstance(item, bool | int | float | str):
            return item
        if isinstance(item, bytes):
            return {"b": item.hex()}
        if isinstance(item, list):
            return {"l": [value(x) for x in item]}
        if isinstance(item, tuple):
            return {"t": [value(x) for x in item]}
        if isinstance(item, frozenset | set):
            return {"s": [value(x) for x in sorted(item)]}
        if isinstance(item, dict):
            return {"d": [[value(k), value(v)] for k, v in item.items()]}
        if dataclasses.is_dataclass(item) and not isinstance(item, type):
            if id(item) not in numbers:
                number = numbers[id(item)] = len(nodes)
                nodes.append([type(item).__name__, {}])
                nodes[number][1] = {f.name: value(getattr(item, f.name)) for f in dataclasses.fields(item)}
            return {"n": numbers[id(item)]}
        raise TypeError(f"no JSON form for {type(item).__name__}")

    return {"root": value(root), "nodes": nodes}


def decode(data: Any, classes: Iterable[type]) -> Any:
    """Raises ValueError for anything that `encode` would not have written with these classes."""
    known = {cls.__name__: cls for cls in classes}
    try:
        made: list[Any] = [object.__new__(_dataclass(known, name)) for name, _ in data["nodes"]]

        def value(item: Any) -> Any:
            if not isinstance(item, dict):
                if item is None or isinstance(item, bool | int | float | str):
                    return item
                raise ValueError("a bare list")
            ((kind, inner),) = item.items()
            match kind:
                case "n":
                    return made[_index(inner, len(made))]
                case "l":
                    return [value(x) for x in inner]
                case "t":
                    return tuple(value(x) for x in inner)
                case "s":
                    return frozenset(value(x) for x in inner)
                case "d":
                    return {value(k): value(v) for k, v in inner}
                case "b":
                    return bytes.fromhex(inner)
                case "e":
                    cls = known[inner[0]]
                    if not issubclass(cls, enum.Enum):
                        raise ValueError(f"{inner[0]} is no enum")
                    return cls(inner[1])
            raise ValueError(f"unknown kind {kind!r}")

        for target, (name, fields) in zip(made, data["nodes"], strict=True):
            if fields.keys() != {f.name for f in dataclasses.fields(known[name])}:
                raise ValueError(f"the fields of {name} are others")
            for field, inner in fields.items():
                found = value(inner)
                if not _fits(found, _hints(known[name])[field]):
                    raise ValueError(f"{name}.{field} is of another type")
                object.__setattr__(target, field, found)
        return value(data["root"])
    except (KeyError, TypeError, IndexError, AttributeError, RecursionError) as error:
        raise ValueError(f"not a graph: {type(error).__name__}: {error}") from error


@cache
def _hints(cls: type) -> dict[str, Any]:
    return typing.get_type_hints(cls)


def _fits(item: Any, hint: Any) -> bool:
    """Whether a decoded value is what an annotation says. Of a dataclass only the class: each has its own fields."""
    origin, of = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return True
    if hint is None:
        return item is None
    if origin in (typing.Union, types.UnionType):
        return any(_fits(item, one) for one in of)
    if origin is typing.Literal:
        return item in of
    if origin is None:
        return isinstance(item, int) if hint is float and isinstance(item, int) else isinstance(item, hint)
    if not isinstance(item, origin):
        return False
    if isinstance(item, dict):
        return all(_fits(key, of[0]) and _fits(one, of[1]) for key, one in item.items())
    if origin is tuple and (len(of) != 2 or of[1] is not ...):
        return len(item) == len(of) and all(_fits(one, each) for one, each in zip(item, of, strict=True))
    return all(_fits(one, of[0]) for one in item)


def _dataclass(known: dict[str, type], name: str) -> type:
    cls = known[name]
    if not dataclasses.is_dataclass(cls):
        raise ValueError(f"{name} is no dataclass")
    return cls


def _index(number: Any, count: int) -> int:
    if not isinstance(number, int) or not 0 <= number < count:
        raise ValueError(f"no node {number}")
    return number
