"""Memory in formulas: all of it as an array, for proofs; or what one execution does to it, for inputs.

    Array   address to byte. Exact, whatever addresses are; slow where many stores have addresses that are not known.
    Trail   the loads and stores of one way, in order. A load that may see a store whose address is not a number away
            from its own is free at first; where a model gives it other bytes than lie there, that is made known to the
            solver and it is asked again. Good for finding inputs, not for proofs that there are none.

Source of the second: Brummayer and Biere, Lemmas on Demand for the Extensional Theory of Arrays (JSAT 6, 2009).
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Any, Protocol

import z3

Bits = Any
"""z3.BitVecRef; z3 has no types that say how many bits."""

_count = itertools.count()


def unknown(bits: int) -> Bits:
    return z3.BitVec(f"u{next(_count)}", bits)


def unknown_bool() -> Any:
    return z3.Bool(f"b{next(_count)}")


def byte_of(value: Bits, n: int) -> Bits:
    """Byte `n` of a number, the lowest first."""
    return z3.Extract(8 * n + 7, 8 * n, value)


class Memory(Protocol):
    def load(self, address: Bits, size: int) -> Bits:
        """`size` bytes as one number."""

    def store(self, address: Bits, value: Bits) -> Memory: ...

    def forgotten(self) -> Memory:
        """Memory of which nothing is known."""

    def either(self, condition: Any, other: Memory) -> Memory:
        """This where the condition holds, else the other."""

    def fork(self) -> Memory:
        """One to go on with apart from this."""

    def differs(self, other: Memory) -> Any:
        """What makes this and another fork of the same memory differ."""


@dataclass(frozen=True)
class Array:
    bytes: Any

    @classmethod
    def arbitrary(cls) -> Array:
        return cls(z3.Array(f"m{next(_count)}", z3.BitVecSort(64), z3.BitVecSort(8)))

    def load(self, address: Bits, size: int) -> Bits:
        parts = [z3.Select(self.bytes, address + i) for i in reversed(range(size))]
        return z3.simplify(parts[0] if size == 1 else z3.Concat(*parts))

    def store(self, address: Bits, value: Bits) -> Array:
        array = self.bytes
        for i in range(value.size() // 8):
            array = z3.Store(array, address + i, byte_of(value, i))
        return Array(array)

    def forgotten(self) -> Array:
        return Array.arbitrary()

    def either(self, condition: Any, other: Memory) -> Memory:
        assert isinstance(other, Array)
        return self if self is other or self.bytes.eq(other.bytes) else Array(z3.If(condition, self.bytes, other.bytes))

    def fork(self) -> Array:
        return self

    def differs(self, other: Memory) -> Any:
        assert isinstance(other, Array)
        return z3.BoolVal(False) if self.bytes.eq(other.bytes) else self.bytes != other.bytes


@dataclass(frozen=True)
class Step:
    """A load or a store of a way, or (no address) that nothing is known from there on."""

    address: Bits | None
    base: Bits | None
    offset: int
    """The address is `base` and a number, or the number alone."""
    size: int
    value: Bits
    is_store: bool


@dataclass
class Trail:
    """Loads that find no store give the bytes that memory begins with. One object goes along a whole way."""

    steps: list[Step] = field(default_factory=list)
    shared: int = 0
    """Steps before it was forked."""

    def load(self, address: Bits, size: int) -> Bits:
        address, base, offset = _parts(address)
        for step in reversed(self.steps):
            if step.address is None:
                break
            if not _same(step.base, base):
                if step.is_store and step.base is not None and base is not None:
                    break
                continue  # the frame, whose addresses are numbers, is nobody else's
            into = offset - step.offset
            if into >= 0 and into + size <= step.size:
                return z3.simplify(z3.Extract(8 * (into + size) - 1, 8 * into, step.value))
            if into < step.size and into + size > 0 and step.is_store:
                break  # pieces of several
        value = unknown(8 * size)
        self.steps.append(Step(address, base, offset, size, value, is_store=False))
        return value

    def store(self, address: Bits, value: Bits) -> Trail:
        address, base, offset = _parts(address)
        self.steps.append(Step(address, base, offset, value.size() // 8, z3.simplify(value), is_store=True))
        return self

    def forgotten(self) -> Trail:
        self.steps.append(Step(None, None, 0, 0, None, is_store=True))
        return self

    def either(self, condition: Any, other: Memory) -> Memory:
        raise NotImplementedError("a way has no joins")

    def fork(self) -> Trail:
        return Trail(list(self.steps), len(self.steps))

    def differs(self, other: Memory) -> Any:
        """Their stores in order; those that cannot be compared count as different."""
        assert isinstance(other, Trail)
        mine, others = ([one for one in trail.steps[trail.shared :] if one.is_store] for trail in (self, other))
        if len(mine) != len(others) or any(
            a.address is None or b.address is None or a.size != b.size for a, b in zip(mine, others, strict=True)
        ):
            return z3.BoolVal(True)
        pairs = zip(mine, others, strict=True)
        return z3.Or(*(z3.Or(a.address != b.address, a.value != b.value) for a, b in pairs), z3.BoolVal(False))


def _parts(address: Bits) -> tuple[Bits, Bits | None, int]:
    """(simplified, what is added to a number, the number)"""
    address = z3.simplify(address)
    if z3.is_bv_value(address):
        return address, None, address.as_long()
    if z3.is_app_of(address, z3.Z3_OP_BADD) and z3.is_bv_value(address.arg(0)):
        number = address.arg(0)
        return address, z3.simplify(address - number), number.as_signed_long()
    return address, address, 0


def _same(one: Bits | None, other: Bits | None) -> bool:
    if one is None or other is None:
        return one is other
    return bool(one.eq(other))
