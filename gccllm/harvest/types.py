"""C types as the input generator needs them: sizes, signs, layouts and qualifiers; no typedef names, no expressions.

Types compare by identity, because records may be recursive; `is_like` asks whether two may describe one object.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from gccllm.base.core import External, FarData, Returned
from gccllm.x86.convention import ARGUMENTS


class CType:
    """Base of all types. `size` in bytes (0 when unknown: void, incomplete records, open arrays), `align` in bytes."""

    size: int
    align: int


@dataclass(eq=False)
class Void(CType):
    size: int = 0
    align: int = 1


@dataclass(eq=False)
class Integer(CType):
    """char, _Bool, every int, and enums (with the values of their enumerators)."""

    size: int
    signed: bool
    is_bool: bool = False
    is_text: bool = False
    """Plain `char` (or wchar-like): probably text."""
    values: tuple[int, ...] = ()
    """Enumerators, ascending; empty for other integers."""

    @property
    def align(self) -> int:  # type: ignore[override]
        return self.size

    @property
    def lowest(self) -> int:
        return -(1 << (8 * self.size - 1)) if self.signed else 0

    @property
    def highest(self) -> int:
        return 1 if self.is_bool else (1 << (8 * self.size - self.signed)) - 1


@dataclass(eq=False)
class Floating(CType):
    """float and double; long double (16 bytes) only inside records."""

    size: int

    @property
    def align(self) -> int:  # type: ignore[override]
        return self.size


@dataclass(eq=False)
class Pointer(CType):
    """Also C++ references. `const` says the pointee is const; it may still be written through another pointer."""

    to: CType
    const: bool = False
    restrict: bool = False
    nonnull: bool = False
    size: int = 8
    align: int = 8


@dataclass(eq=False)
class Array(CType):
    """`count` elements of `of`; None when the bound is open or variable. Dimensions nest."""

    of: CType
    count: int | None

    @property
    def size(self) -> int:  # type: ignore[override]
        return self.of.size * (self.count or 0)

    @property
    def align(self) -> int:  # type: ignore[override]
        return self.of.align


@dataclass(frozen=True, eq=False)
class Field:
    """A member at byte `offset`; bit-fields keep their declared type and say so."""

    name: str
    offset: int
    type: CType
    bits: tuple[int, int] | None = None
    """Bit-field: (bit offset from the start of the record, number of bits)."""


@dataclass(eq=False)
class Record(CType):
    """struct, class or union. Complete only when `size` > 0."""

    name: str
    size: int
    is_union: bool = False
    fields: list[Field] = field(default_factory=list)
    in_memory: bool = False
    """C++: not trivially copyable, so passed by invisible reference."""

    @property
    def align(self) -> int:  # type: ignore[override]
        return max((f.type.align for f in self.fields), default=1)

    def __repr__(self) -> str:
        return f"Record({self.name!r}, size={self.size})"


@dataclass(eq=False)
class Opaque(CType):
    """Something that exists but for which no meaningful value can be made: functions, vectors, complex, __int128."""

    what: str
    size: int = 0
    align: int = 1


@dataclass(frozen=True, eq=False)
class Place:
    """One eightbyte of an argument: register number in its file, or stack slot; `size` bytes of it are defined."""

    file: str
    """`int`, `vector` or `stack`."""
    index: int
    size: int

    @property
    def register(self) -> str:
        """RDI, ZMM0 ...: of an eightbyte that is passed in one."""
        return ARGUMENTS[self.file][self.index]


@dataclass(frozen=True, eq=False)
class Param:
    """One argument. `places` cover its bytes in order, eight a place."""

    name: str
    type: CType
    places: tuple[Place, ...]
    is_result: bool = False
    """The hidden pointer to a result that is returned in memory."""


@dataclass(frozen=True, eq=False)
class Variable:
    """A variable with static storage of the unit."""

    name: str
    type: CType


@dataclass(frozen=True, eq=False)
class Signature:
    """How to call a function, and what it may call and touch."""

    name: str
    params: tuple[Param, ...]
    returns: CType | None
    returned: tuple[Returned, ...]
    callees: dict[str, External]
    """Functions of other units that the unit declares, and data of theirs that recorded calls hold (`harvest.far`);
    those that cannot be stubbed are missing."""
    variables: dict[str, Variable]
    """Variables with static storage, by source name (a function's static `x` is `x.0` in the assembly)."""
    strict_aliasing: bool = True
    """Whether gcc assumes here that objects of different types do not alias (`dwarf.is_strict_aliasing`)."""


def flat(ctype: CType) -> CType:
    """The innermost element type of a (multi-dimensional) array; any other type itself."""
    while isinstance(ctype, Array):
        ctype = ctype.of
    return ctype


def row_length(ctype: CType) -> int:
    """Number of innermost elements in one `ctype`; 1 for a non-array, and for open arrays."""
    length = 1
    while isinstance(ctype, Array):
        length *= ctype.count or 1
        ctype = ctype.of
    return length


def is_like(left: CType, right: CType) -> bool:
    """True when objects of both types may be one under C's aliasing rules, seen from their innermost elements."""
    left, right = flat(left), flat(right)
    if left is right or isinstance(left, Void) or isinstance(right, Void):
        return True
    if isinstance(left, Integer) and isinstance(right, Integer):
        return left.size == right.size or 1 in (left.size, right.size)
    if isinstance(left, Floating) and isinstance(right, Floating):
        return left.size == right.size
    if isinstance(left, Pointer) and isinstance(right, Pointer):
        return is_like(left.to, right.to)
    scalars = isinstance(left, Integer | Floating) and isinstance(right, Integer | Floating)
    return scalars and 1 in (left.size, right.size)


def may_overlap(left: CType | None, right: CType | None, strict: bool = True) -> bool:
    """Whether memory that is read as one type may be that written as the other. None: the type is not known.

    strict  gcc relies on C's aliasing rules
    """
    if not strict or left is None or right is None:
        return True
    left, right = flat(left), flat(right)
    if isinstance(left, Record) and isinstance(right, Record):
        return left is right or _holds(left, right) or _holds(right, left)
    pairs = ((one, other) for _, one in [*leaves(left), (0, left)] for _, other in [*leaves(right), (0, right)])
    return any(is_like(one, other) for one, other in pairs)


def _holds(outer: Record, inner: Record) -> bool:
    kinds = [flat(f.type) for f in outer.fields]
    return any(kind is inner or (isinstance(kind, Record) and _holds(kind, inner)) for kind in kinds)


def self_pointers(record: Record) -> list[Field]:
    """Fields that point to the record's own type: one makes lists, two make trees or doubly linked lists."""
    return [f for f in record.fields if isinstance(f.type, Pointer) and f.type.to is record]


def leaves(ctype: CType, offset: int = 0) -> Iterator[tuple[int, CType]]:
    """(byte offset, scalar type) of every scalar in `ctype`; unions give their largest member; bit-fields are skipped.

    Arrays are unrolled up to 64 elements: longer ones give their first 64.
    """
    if isinstance(ctype, Array):
        for i in range(min(ctype.count or 0, 64)):
            yield from leaves(ctype.of, offset + i * ctype.of.size)
    elif isinstance(ctype, Record):
        fields = [f for f in ctype.fields if f.bits is None]
        if ctype.is_union:
            fields = sorted(fields, key=lambda f: f.type.size)[-1:]
        for f in fields:
            yield from leaves(f.type, offset + f.offset)
    elif not isinstance(ctype, Void):
        yield offset, ctype


@dataclass(frozen=True)
class Qualified:
    """Volatile or atomic memory that a value leads to."""

    what: str
    path: str
    """As C writes it: `L->in.mask`."""
    member: Field | None


def qualified(label: str, ctype: CType) -> Qualified | None:
    """The first volatile or atomic memory that the value of this name and type leads to."""
    todo: list[tuple[CType, str, str, Field | None]] = [(ctype, label, ".", None)]
    seen: set[int] = set()
    while todo:
        inner, path, dot, member = todo.pop()
        if id(inner) in seen:
            continue
        seen.add(id(inner))
        if isinstance(inner, Opaque) and inner.what in ("volatile", "atomic"):
            return Qualified(inner.what, f"*{path}" if dot == "->" else path, member)
        if isinstance(inner, Pointer):
            todo.append((inner.to, path, "->", member))
        elif isinstance(inner, Array):
            todo.append((inner.of, path, dot, member))
        elif isinstance(inner, Record):
            todo += [(one.type, f"{path}{dot}{one.name}", ".", one) for one in reversed(inner.fields)]
    return None


def unmakeable(signature: Signature) -> str:
    """What no value can be made of, in words: a parameter that points to such, data of another unit; empty if nothing.

    Deep inside a record such a thing is only bytes; the code under work may never look.
    """
    for param in signature.params:
        inner = param.type
        for _ in range(8):  # a pointer may point to itself
            if not isinstance(inner, Pointer | Array):
                break
            inner = inner.to if isinstance(inner, Pointer) else inner.of
        if isinstance(inner, Opaque):
            return f"{param.name}: {inner.what}"
    for name, one in signature.callees.items():
        if isinstance(one, FarData):
            return f"{name}: data of another unit"
    return ""


def describe(ctype: CType | None) -> str:
    """Short words for logs: `i32*`, `const u8*`, `f64`, `struct nd*`, `i32[64]*`."""
    if ctype is None or isinstance(ctype, Void):
        return "void"
    if isinstance(ctype, Integer):
        return "bool" if ctype.is_bool else f"{'i' if ctype.signed else 'u'}{8 * ctype.size}"
    if isinstance(ctype, Floating):
        return f"f{8 * ctype.size}"
    if isinstance(ctype, Pointer):
        words = ("const " if ctype.const else "") + describe(ctype.to) + "*"
        return words + (" restrict" if ctype.restrict else "")
    if isinstance(ctype, Array):
        return f"{describe(ctype.of)}[{'' if ctype.count is None else ctype.count}]"
    if isinstance(ctype, Record):
        return f"{'union' if ctype.is_union else 'struct'} {ctype.name}"
    return ctype.what if isinstance(ctype, Opaque) else "?"
