"""Limits on a stored entry, checked before any of it is assembled, linked or turned into inputs.

An entry may come from a stranger (a pull request, a shared store). Its texts are those of `assembly.slice_text`: one
statement a line, directives of a short list, data and alignment that amount to at most `MOST_BYTES`. Its names are
plain symbols, since they become names of files and lines of assembly. Its types are what they say they are, and no
larger than what a test can hold. Anything else is Decline(ENTRY_LIMITS).

Not covered: whether the texts and types are those of the function. Who uses an entry compares them with its own.
"""

from __future__ import annotations

import dataclasses
import re
import types as python_types
import typing
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from gccllm.assembly import Module, NotLossless
from gccllm.assembly.data import DATA
from gccllm.assembly.syntax import SYMBOL, Kind, Statement, split_commas
from gccllm.base.core import Decline, FarCode, FarData
from gccllm.base.reasons import Reason
from gccllm.harvest.generate import GlobalSymbol
from gccllm.harvest.types import Array, CType, Floating, Integer, Opaque, Pointer, Record, Signature

MOST_BYTES = 16 << 20
"""Of a text's data and padding, and of a type's size."""
MOST_LINES = 200_000
MOST_NODES = 20_000
MOST_LEAVES = 1 << 16
MOST_NESTED = 64

_PLAIN = frozenset((".text", ".data", ".bss", ".globl", ".hidden", ".type", ".size", ".set", ".uleb128", ".sleb128"))
_FIXED = {name: size for name, (_, size) in DATA.items() if size} | {
    ".uleb128": 10, ".sleb128": 10, ".octa": 16, ".float": 4, ".single": 4, ".double": 8, ".dc.a": 8,
}  # fmt: skip
_FILLS = frozenset((".zero", ".skip", ".space", ".nops"))
_QUOTED = frozenset((".string", ".ascii", ".asciz"))
_NUMBER = re.compile(r"[0-9]{1,9}")
_ARGS = re.compile(r"[\w.$%@()+\-*,{}: \t<>!~^&|=\x80-\xff]*", re.ASCII)
_STRINGS = re.compile(r'"(?:[^"\\\x00-\x08\x0a-\x1f]|\\[0-7]{1,3}|\\[bfnrt"\\])*"(?:,[ \t]*"(?:[^"\\]|\\.)*")*')
_SECTION = re.compile(r'[-\w.$\x80-\xff]+(,"[a-zA-Z]*"(,@[a-z]+(,[\w.$\x80-\xff]+)*)?)?', re.ASCII)
_NAME = re.compile(SYMBOL)


def refuse(detail: str) -> Decline:
    return Decline(Reason.ENTRY_LIMITS, detail[:200])


# --- texts --------------------------------------------------------------------------------------------------------


def check_text(text: str) -> None:
    """Raises Decline(ENTRY_LIMITS) unless the text could be a slice of moderate size."""
    if text.count("\n") > MOST_LINES:
        raise refuse(f"over {MOST_LINES} lines")
    try:
        module = Module.parse(text)
    except NotLossless as error:
        raise refuse(str(error)) from error
    amount, line = 0, -1
    for item in module.items:
        if item.at == line and item.statement.kind is not Kind.LABEL:
            raise refuse(f"line {line + 1}: two statements")
        line = item.at
        _check_characters(item.statement)
        amount += _amount(item.statement)
        if amount > MOST_BYTES:
            raise refuse(f"data and padding of over {MOST_BYTES} bytes")
    stray = set(range(len(module.lines))) - {item.at for item in module.items}
    if any(module.lines[at].strip(" \t") for at in stray):
        raise refuse("a comment")


def _check_characters(statement: Statement) -> None:
    name, args = statement.name, statement.args
    if name == "." or (name == ".set" and split_commas(args)[:1] == ["."]):
        raise refuse("it moves the location counter")
    if name in _QUOTED:
        is_good = _STRINGS.fullmatch(args)
    elif name == ".section":
        is_good = _SECTION.fullmatch(args)
    else:
        is_good = _ARGS.fullmatch(args)
    if not is_good or not _ARGS.fullmatch(name):
        raise refuse(f"{name} {args[:80]!r}")


def _amount(statement: Statement) -> int:
    """Most bytes that the statement adds to the object."""
    name, args = statement.name, statement.args
    if statement.kind is not Kind.DIRECTIVE:
        return 16
    first = args.partition(",")[0].strip(" \t")
    if name in _QUOTED:
        return len(args)
    if name in _FIXED:
        return _FIXED[name] * (args.count(",") + 1)
    if name in _FILLS:
        return _number(name, first)
    if name == ".fill":
        size = split_commas(args)[1:2]
        return _number(name, first) * (_number(name, size[0]) if size else 1)
    if name == ".p2align":
        return 1 << min(_number(name, first or "0"), 32)
    if name in (".balign", ".align"):
        return _number(name, first or "0")
    if name in _PLAIN or name == ".section":
        return 0
    raise refuse(f"directive {name}")


def _number(name: str, word: str) -> int:
    if not _NUMBER.fullmatch(word):
        raise refuse(f"{name} {word[:40]!r}: not a plain number of at most nine digits")
    return int(word)


# --- facts: types, symbols, context -------------------------------------------------------------------------------


def check_facts(root: Any) -> None:
    """Raises Decline(ENTRY_LIMITS) unless everything reachable has the type it is declared with and a moderate size."""
    seen: set[int] = set()
    known: dict[int, tuple[int, int]] = {}
    todo: list[Any] = [root]
    while todo:
        thing = todo.pop()
        if isinstance(thing, Mapping):
            todo += [*thing.keys(), *thing.values()]
        elif isinstance(thing, list | tuple | frozenset):
            todo += thing
        elif dataclasses.is_dataclass(thing) and not isinstance(thing, type) and id(thing) not in seen:
            seen.add(id(thing))
            hints = _hints(type(thing))
            for name, hint in hints.items():
                if not _fits(getattr(thing, name), hint):
                    raise refuse(f"{type(thing).__name__}.{name} is of another type")
                todo.append(getattr(thing, name))
            _check_sizes(thing)
            if isinstance(thing, CType):
                _leaves(thing, known)
                _chain(thing)
        if len(seen) > MOST_NODES or len(todo) > 64 * MOST_NODES:
            raise refuse("too many types")


@cache
def _hints(cls: type) -> dict[str, Any]:
    hints = typing.get_type_hints(cls)
    return {field.name: hints[field.name] for field in dataclasses.fields(cls)}


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value is of a declared type, members of containers included."""
    if hint is Any:
        return True
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, python_types.UnionType):
        return any(_fits(value, one) for one in args)
    if origin is tuple:
        if len(args) == 2 and args[1] is ...:
            return isinstance(value, tuple) and all(_fits(one, args[0]) for one in value)
        return isinstance(value, tuple) and len(value) == len(args) and all(map(_fits, value, args))
    if origin in (list, frozenset):
        return isinstance(value, origin) and all(_fits(one, args[0]) for one in value)
    if origin is not None:  # dict, Mapping
        return isinstance(value, Mapping) and all(_fits(k, args[0]) and _fits(v, args[1]) for k, v in value.items())
    if hint in (int, bool):
        return type(value) is hint and -(1 << 64) < value < 1 << 64
    return isinstance(value, type(None) if hint is None else hint)


def _check_sizes(thing: Any) -> None:
    if isinstance(thing, Integer | Floating) and thing.size not in (1, 2, 4, 8, 10, 12, 16):
        raise refuse(f"a number of {thing.size} bytes")
    if isinstance(thing, Record):
        _check_most(thing.size)
        for field in thing.fields:
            if not 0 <= field.offset <= thing.size:
                raise refuse(f"field {field.name} lies outside of its record")
    if isinstance(thing, Array) and thing.count is not None:
        _check_most(thing.count)
    if isinstance(thing, Opaque | FarData | GlobalSymbol):
        _check_most(thing.size)
    if isinstance(thing, Signature):
        _check_names([thing.name, *thing.callees])
        if len(thing.params) > MOST_NESTED:
            raise refuse(f"{len(thing.params)} parameters")
    if isinstance(thing, GlobalSymbol):
        _check_names([thing.symbol])
    if isinstance(thing, FarCode):
        _check_names([name for name, _ in thing.more])
        for text in (thing.text, *(text for _, text in thing.more)):
            check_text(text)


def _check_most(size: int) -> None:
    if not 0 <= size <= MOST_BYTES:
        raise refuse(f"a type of {size} bytes")


def _check_names(names: Iterable[str]) -> None:
    """They become names of files and of symbols in assembly text."""
    for name in names:
        if not _NAME.fullmatch(name) or len(name) > 4000:
            raise refuse(f"the name {name[:80]!r}")


def _leaves(ctype: CType, known: dict[int, tuple[int, int]], depth: int = 0) -> tuple[int, int]:
    """(scalars that one such value holds at most, how deep it nests). A type that holds itself, or too much, is
    refused."""
    if id(ctype) not in known:
        inner = [field.type for field in ctype.fields] if isinstance(ctype, Record) else []
        inner += [ctype.of] if isinstance(ctype, Array) else []
        if depth > MOST_NESTED:
            raise refuse("types nested too deep")
        below = [_leaves(one, known, depth + 1) for one in inner]
        count, height = sum(n for n, _ in below) or 1, max((h for _, h in below), default=0) + 1
        if isinstance(ctype, Array):
            count *= min(ctype.count or 0, MOST_NESTED) or 1
        if count > MOST_LEAVES or height > MOST_NESTED:
            raise refuse("a type of too many parts")
        _check_most(ctype.size)
        known[id(ctype)] = count, height
    return known[id(ctype)]


def _chain(ctype: CType) -> None:
    """Pointers to pointers end somewhere; only a record may lead back to itself."""
    for _ in range(MOST_NESTED):
        if isinstance(ctype, Pointer):
            ctype = ctype.to
        elif isinstance(ctype, Array):
            ctype = ctype.of
        else:
            return
    raise refuse("pointers nested too deep")
