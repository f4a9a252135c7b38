"""Scenes for a signature: one value for each parameter, and how the pointers among them relate.

Covers for two pointers of one kind: separate buffers, one a near copy of the other, the second at the end of the first
(`p, e`), both the same, overlapping by some elements (the last two only without `restrict`). Globals of the unit get
typed contents. Not covered: relations between fields of different records, strings that must parse.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

from gccllm.base.core import ARENA_BYTES
from gccllm.harvest.build import Builder
from gccllm.harvest.scene import Block, Ref, Scene, Value
from gccllm.harvest.types import (
    Array,
    Floating,
    Integer,
    Param,
    Pointer,
    Record,
    Signature,
    Variable,
    Void,
    flat,
    is_like,
    row_length,
)
from gccllm.harvest.values import ANY, Dictionary, Learner, Mood, Style

CHANGED = 0.5
"""Share of inputs whose memory changes while functions of other units run; on many of them the baseline fails, and they
are dropped."""


@dataclass(frozen=True)
class GlobalSymbol:
    """A writable data symbol that the function may touch."""

    symbol: str
    size: int
    variable: Variable | None
    """Its type, where the debug information has it."""
    is_pointed_to: bool = True
    """Whether some pointer may point to it: other units see it, or some code of this one takes its address."""


class Generator:
    """Draws scenes for one function. The order of draws is part of the seed's meaning."""

    def __init__(
        self, signature: Signature, symbols: Sequence[GlobalSymbol], dictionary: Dictionary, seed: int,
        calls_others: bool = False,
    ) -> None:  # fmt: skip
        """`calls_others`: functions of other units are called, and may change memory."""
        self.signature = signature
        self.symbols = tuple(symbols)
        self.dictionary = dictionary
        self.calls_others = calls_others
        self.learner = Learner()
        self.rng = Random(seed)
        self.row = min((_rows(p) for p in signature.params if _rows(p)), default=0)

    @property
    def pointers(self) -> list[Param]:
        return [p for p in self.signature.params if isinstance(p.type, Pointer)]

    def scene(self, n: int, label: str, style: Style = ANY) -> Scene:
        """A new scene of nominal size `n`."""
        rng = self.rng
        if self.row and n >= self.row and rng.random() < 0.9:
            n = rng.randrange(max(1, self.row - 3), self.row + 1) if rng.random() < 0.5 else rng.randrange(self.row + 1)
        m = rng.choice((n, n, rng.randrange(max(n, 0) + 1), max(n, 0) + rng.randrange(4), rng.randrange(1, 9)))
        if style.plain and rng.random() < 0.5:
            m = n
        mood = Mood(rng, self.learner, self.dictionary, n, m, style)
        mood.needle = self.needle(mood)
        builder = Builder(mood)
        values: dict[int, Value] = {}
        params = self.signature.params
        for number, param in enumerate(params):
            if isinstance(param.type, Pointer):
                values[number] = self.pointer(builder, number, values)
        for number, param in enumerate(params):
            if number not in values:
                values[number] = builder.value(f"{number}", param.name, param.type)
        made = Scene(
            args=[values[i] for i in range(len(params))],
            blocks=builder.blocks,
            label=label,
            size=n,
            fill=rng.getrandbits(32),
            junk=rng.getrandbits(32),
        )
        self.set_globals(builder, made)
        if self.calls_others and not style.plain and rng.random() < CHANGED:
            made.changes = rng.getrandbits(32)
        made.choices = tuple(mood.choices)
        return made

    def needle(self, mood: Mood) -> int:
        rng = mood.rng
        if mood.dictionary.ints and rng.random() < 0.25:
            return rng.choice(mood.dictionary.ints)
        return rng.choice((rng.randrange(256), rng.randrange(97, 123), rng.randrange(10), rng.getrandbits(31), mood.n))

    # --- pointers and their relations ---------------------------------------------------------

    def pointer(self, builder: Builder, number: int, before: Mapping[int, Value]) -> Value:
        """The value of pointer parameter `number`, given those before it."""
        param = self.signature.params[number]
        assert isinstance(param.type, Pointer)
        partners = [
            i
            for i, value in before.items()
            if value.refs and self.may_relate(self.signature.params[i].type, param.type)
        ]
        if not partners or param.is_result:
            return builder.value(f"{number}", param.name, param.type)
        partner = builder.mood.rng.choice(partners)
        other = self.signature.params[partner].type
        assert isinstance(other, Pointer)
        relation = builder.mood.choose(f"{number}:relation", _relations(other, param.type, builder.mood.style.plain))
        ref = before[partner].refs[0]
        block = builder.blocks[ref.block]
        size = max(flat(param.type.to).size, 1)
        if relation == "end":
            return _pointing(Ref(ref.block, ref.offset + self.end_offset(builder.mood, block, ref, size)))
        if relation == "alias":
            return _pointing(ref)
        if relation == "overlap":
            return self.overlapping(builder.mood, block, ref, size)
        if relation == "twin" and not block.refs:
            copy = Block(bytearray(block.data), block.align, block.scalar, of=param.type.to)
            copy.is_restrict = param.type.restrict
            self.alter(builder.mood, copy)
            builder.blocks.append(copy)
            return _pointing(Ref(len(builder.blocks) - 1, ref.offset))
        return builder.value(f"{number}", param.name, param.type)

    def may_relate(self, one: object, other: object) -> bool:
        if not (isinstance(one, Pointer) and isinstance(other, Pointer)):
            return False
        return is_like(one.to, other.to) or not self.signature.strict_aliasing

    def end_offset(self, mood: Mood, block: Block, ref: Ref, size: int) -> int:
        """Where an end pointer points: n elements on, inside the block."""
        room = max(0, len(block.data) - ref.offset) // size
        return min(max(mood.n, 0), room) * size

    def overlapping(self, mood: Mood, block: Block, ref: Ref, size: int) -> Value:
        """A pointer some elements before or after `ref`, close enough to overlap."""
        near = (1, 1, 2, 3, 4, 5, 7, 8, 12, 15, 16, 17, 24, 31, 32, 33, 40, 63, 64, 65)
        by = mood.rng.choice((*near, max(1, mood.n // 2), max(1, mood.n - 1), max(1, mood.n))) * size
        if size < block.align:
            by = -(-by // block.align) * block.align if mood.rng.random() < 0.5 else by
        if mood.rng.random() < 0.4:
            block.place = max(block.place, min(by, ARENA_BYTES // 2) // block.align * block.align + block.align)
            return _pointing(Ref(ref.block, ref.offset - min(by, block.place)))
        return _pointing(Ref(ref.block, ref.offset + by))

    def alter(self, mood: Mood, block: Block) -> None:
        """Make a copy differ from its original in what comparisons look at."""
        rng = mood.rng
        size = max(block.scalar.size if block.scalar else 1, 1)
        count = max(1, min(len(block.data) // size, max(mood.n, 1)))
        how = mood.choose("twin", {"equal": 1.0, "one": 2.5, "few": 1.0, "shuffled": 0.8, "shorter": 0.6, "sign": 0.5})
        where = rng.choice((0, count - 1, count - 1, count // 2, rng.randrange(count), max(count - 2, 0)))
        if mood.style.plain:  # typical copies agree for long
            how = "equal" if how == "equal" else "one"
            where = rng.randrange(count * 3 // 4, count)
        if how == "one":
            _nudge(rng, block.data, where * size, size)
        elif how == "sign":
            at = min((where + 1) * size - 1, len(block.data) - 1)
            block.data[at] ^= 0x80
        elif how == "few":
            for _ in range(rng.randrange(2, 6)):
                _nudge(rng, block.data, rng.randrange(count) * size, size)
        elif how == "shorter":
            block.data[where * size : (where + 1) * size] = bytes(size)
        elif how == "shuffled":
            rows = [bytes(block.data[i * size : (i + 1) * size]) for i in range(count)]
            rng.shuffle(rows)
            block.data[: count * size] = b"".join(rows)

    # --- globals ------------------------------------------------------------------------------

    def set_globals(self, builder: Builder, scene: Scene) -> None:
        """Overwrite some of the writable data symbols, typed where types are known."""
        for number, known in enumerate(self.symbols):
            options = {"keep": 1.0, "set": 1.5}
            if builder.mood.choose(f"g{number}", options) == "keep":
                continue
            if known.variable is not None and 0 < known.variable.type.size <= known.size:
                value = builder.value(f"g{number}", known.variable.name, known.variable.type)
            else:
                value = Value(builder.mood.rng.randbytes(min(known.size, ARENA_BYTES)))
            scene.globals.append((known.symbol, value))


def _pointing(ref: Ref) -> Value:
    return Value(bytes(8), {0: ref})


def _nudge(rng: Random, data: bytearray, at: int, size: int) -> None:
    """Change one element, mostly by one."""
    if at + size > len(data):
        return
    number = int.from_bytes(data[at : at + size], "little")
    number += rng.choice((1, -1, 1 << rng.randrange(8 * size), rng.getrandbits(8 * size)))
    data[at : at + size] = (number & (1 << 8 * size) - 1).to_bytes(size, "little")


def _relations(one: Pointer, other: Pointer, plain: bool) -> dict[str, float]:
    odds = {"separate": 3.0, "twin": 1.5}
    same = flat(one.to) is flat(other.to) or isinstance(one.to, Void)
    if same and not isinstance(one.to, Array):
        odds["end"] = 0.7
    if not (one.restrict or other.restrict) and not plain:
        odds["alias"] = 0.35
        odds["overlap"] = 0.7
    if isinstance(flat(one.to), Record):
        odds["overlap"] = 0.1
        odds["end"] = 0.3
    if one.restrict or other.restrict:
        odds.pop("end", None)
        odds.pop("overlap", None)
    return odds


def _rows(param: Param) -> int:
    """The row length of a pointer to arrays; 0 for others. Lengths above it would leave the row."""
    if isinstance(param.type, Pointer) and isinstance(param.type.to, Array) and param.type.to.count:
        return row_length(param.type.to)
    return 0


_IMMEDIATE = re.compile(r"\$(-?(?:0x[0-9a-fA-F]+|\d+))\b")
_DISPLACEMENT = re.compile(r"^(-?(?:0x[0-9a-fA-F]+|\d+))\(")


def dictionary_of(lines: Sequence[tuple[str, Sequence[str]]], constants: Sequence[tuple[str, str]]) -> Dictionary:
    """Constants of the code: immediates, `lea` displacements (negated too), and numbers in its constant data.

    lines      (mnemonic, operands)
    constants  (directive, argument)
    """
    ints: set[int] = set()
    for mnemonic, operands in lines:
        for operand in operands:
            found = _IMMEDIATE.fullmatch(operand)
            if found is None and mnemonic.startswith("lea"):
                found = _DISPLACEMENT.match(operand)
            if found is not None:
                number = int(found.group(1), 0)
                ints |= {number, -number}
    floats: set[float] = set()
    before: int | None = None
    for directive, argument in constants:
        if re.fullmatch(r"-?(?:0x[0-9a-fA-F]+|\d+)", argument):
            number = int(argument, 0)
            ints.add(number)
            if directive == ".long":
                word = number & 0xFFFFFFFF
                floats.add(struct.unpack("<f", struct.pack("<I", word))[0])
                if before is not None:  # gcc prints a double as two of them
                    floats.add(struct.unpack("<d", struct.pack("<II", before, word))[0])
                before = word
    small = sorted(ints, key=lambda v: (abs(v), v))[:200]
    return Dictionary(tuple(small), tuple(sorted(v for v in floats if 1e-10 < abs(v) < 1e10)[:50]))


def scalar_kind(block: Block) -> Integer | Floating | None:
    """What a block mostly holds, for mutation."""
    return block.scalar if isinstance(block.scalar, Integer | Floating) else None
