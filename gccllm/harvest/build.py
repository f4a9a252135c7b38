"""Memory for a type: buffers, arrays of records, linked lists, trees, rows of pointers.

Every builder returns a pointer into a block it made; `Builder.value` makes the bytes of an argument of any type.
Depth, number of blocks and bytes are bounded; what lies deeper is NULL.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from gccllm.base.core import ARENA_BYTES
from gccllm.harvest import floats, text, values
from gccllm.harvest.scene import Block, Ref, Value
from gccllm.harvest.types import (
    Array,
    CType,
    Field,
    Floating,
    Integer,
    Opaque,
    Pointer,
    Record,
    Void,
    flat,
    leaves,
    row_length,
    self_pointers,
)
from gccllm.harvest.values import Mood

MOST_BLOCKS = 16
MOST_DEPTH = 4
MOST_NODES = 1500
BYTE = Integer(1, signed=False)


class Column(NamedTuple):
    """One field of records in a row."""

    record: Record
    offset: int
    rows: int


@dataclass
class Builder:
    """Builds the memory of one scene."""

    mood: Mood
    blocks: list[Block] = field(default_factory=list)

    def block(self, data: bytes | bytearray, align: int, scalar: CType | None) -> Ref:
        """A new block with its arena to itself where possible, at a random small offset that keeps the alignment."""
        data = bytearray(data[:ARENA_BYTES])
        made = Block(data, max(align, 1), scalar)
        room = (ARENA_BYTES - len(data)) // made.align
        made.place = min(room, self.mood.rng.choice((0, 0, 1, 2, 3, 5, 8, 16, 64, 1024))) * made.align
        self.blocks.append(made)
        return Ref(len(self.blocks) - 1, 0)

    # --- a value of any type: an argument, a global, one field --------------------------------

    def value(self, key: str, name: str, ctype: CType, depth: int = 0) -> Value:
        """The bytes of one `ctype`, with the memory behind its pointers."""
        if isinstance(ctype, Integer):
            number = values.scalar_int(self.mood, key, name, ctype, plain=self.mood.style.plain)
            return Value((number & (1 << 8 * ctype.size) - 1).to_bytes(ctype.size, "little"))
        if isinstance(ctype, Floating) and ctype.size <= 8:
            return Value(floats.scalar_float(self.mood, key, ctype))
        if isinstance(ctype, Pointer):
            target = self.target(key, ctype, depth)
            return Value(bytes(8), {0: target} if target else {})
        if isinstance(ctype, Record):
            made = bytearray(self.mood.rng.randbytes(ctype.size))
            refs: dict[int, Ref] = {}
            for f in self.members(ctype):
                if f.bits is not None:
                    continue
                inner = self.value(f"{key}.{f.name}", f.name, f.type, depth + 1)
                made[f.offset : f.offset + len(inner.data)] = inner.data
                refs |= {f.offset + at: ref for at, ref in inner.refs.items()}
            return Value(bytes(made[: ctype.size]), refs)
        if isinstance(ctype, Array):
            return self.array_value(key, ctype, depth)
        size = ctype.size if isinstance(ctype, Opaque) else 0
        return Value(bytes(size))

    def array_value(self, key: str, ctype: Array, depth: int) -> Value:
        """An array inside a record or a global."""
        inner, count = flat(ctype), min(row_length(ctype), ARENA_BYTES // max(flat(ctype).size, 1))
        if isinstance(inner, Integer | Floating) and ctype.count:
            data = bytearray(self.scalars(key, inner, count))
            if isinstance(inner, Integer) and inner.is_text:
                data[min(self.mood.n, count - 1) :] = bytes(max(1, count - self.mood.n))
            return Value(bytes(data[:count]) if inner.size == 1 else bytes(data))
        made = bytearray(ctype.size)
        refs: dict[int, Ref] = {}
        if isinstance(inner, Pointer) and ctype.count:
            targets = self.pool(key, inner, count, depth + 1)
            refs = {8 * i: ref for i, ref in enumerate(targets) if ref is not None}
        elif isinstance(inner, Record) and inner.size and ctype.count:
            for i in range(min(count, 16)):
                one = self.value(key, "", inner, depth + 1)
                made[i * inner.size : (i + 1) * inner.size] = one.data
                refs |= {i * inner.size + at: ref for at, ref in one.refs.items()}
        return Value(bytes(made), refs)

    def members(self, record: Record) -> list[Field]:
        """The fields to fill: all, or one of a union."""
        if record.is_union and record.fields:
            return [self.mood.rng.choice(record.fields)]
        # Pointers first, so that lone integers can be chosen among what they point to.
        return sorted(record.fields, key=lambda f: not isinstance(f.type, Pointer))

    # --- what a pointer points to -----------------------------------------------------------------

    def target(self, key: str, pointer: Pointer, depth: int = 0) -> Ref | None:
        """Memory for one pointer; None for NULL."""
        made = self._target(key, pointer, depth)
        if made is not None:
            self.reached(made.block, pointer)
        return made

    def reached(self, block: int, pointer: Pointer) -> None:
        """Notes what kind of pointer points to a block."""
        self.blocks[block].of = pointer.to
        self.blocks[block].is_restrict |= pointer.restrict

    def _target(self, key: str, pointer: Pointer, depth: int) -> Ref | None:
        mood = self.mood
        if depth > MOST_DEPTH or len(self.blocks) >= MOST_BLOCKS:
            return None
        nulls = 0.0 if pointer.nonnull or mood.style.plain else 0.06 if depth == 0 else 0.12
        if nulls and mood.choose(f"{key}:null", {"some": 1.0, "null": nulls}) == "null":
            return None
        ctype = pointer.to
        if isinstance(ctype, Opaque):
            return None
        if isinstance(ctype, Record) and ctype.size:
            return self.records(key, ctype, depth)
        if isinstance(ctype, Pointer):
            return self.rows(key, ctype, depth)
        inner = flat(ctype)
        if isinstance(inner, Record | Pointer) and inner.size:
            return self.records(key, inner, depth) if isinstance(inner, Record) else self.rows(key, inner, depth)
        if not isinstance(inner, Integer | Floating):
            inner = BYTE if isinstance(inner, Void | Record) else inner
        if not isinstance(inner, Integer | Floating):
            return None
        row = row_length(ctype) if isinstance(ctype, Array) else 1
        return self.buffer(key, inner, row, align=8 if isinstance(ctype, Void | Record) else inner.size)

    def count(self, key: str, size: int, row: int = 1) -> int:
        """How many elements a buffer gets: a bit over n, or enough for n rows of n."""
        n = max(self.mood.n, 0)
        if row > 1:
            wanted = (n + 2) * row
        else:
            shape = self.mood.choose(f"{key}:shape", {"line": 1.0, "square": 0.25 if n > 4 else 0.0})
            wanted = 2 * n + 24 if shape == "line" else (n + 2) * (n + 2)
        return max(1, min(wanted, ARENA_BYTES // size))

    def scalars(self, key: str, ctype: CType, count: int) -> bytes:
        if isinstance(ctype, Integer):
            if ctype.size == 1 and not ctype.is_bool:
                likes = {"text": 3.0 if ctype.is_text else 0.7, "numbers": 0.5 if ctype.is_text else 2.0}
                if self.mood.choose(f"{key}:kind", likes) == "text":
                    return bytes(text.text_array(self.mood, key, count))
            return values.int_array(self.mood, key, ctype, count)
        if isinstance(ctype, Floating):
            return floats.float_array(self.mood, key, ctype, count)
        return self.mood.rng.randbytes(count * ctype.size)

    def buffer(self, key: str, ctype: Integer | Floating, row: int, align: int) -> Ref:
        mood = self.mood
        count = self.count(key, ctype.size, row)
        data = bytearray(self.scalars(key, ctype, count))
        if isinstance(ctype, Integer) and not ctype.is_bool:
            ends = {"yes": 4.0 if ctype.is_text else 0.4, "no": 0.5 if ctype.is_text else 2.0}
            if mood.choose(f"{key}:zero_ended", ends) == "yes":
                at = (
                    mood.n
                    if mood.style.plain
                    else mood.rng.choice((mood.n, mood.n, mood.n, max(mood.n - 1, 0), mood.m))
                )
                at = max(0, min(at, count - 1))
                data = bytearray(_without_zeros(data, ctype.size, at))
                data[at * ctype.size : (at + 1) * ctype.size] = bytes(ctype.size)
        return self.block(data, align, ctype)

    # --- records ------------------------------------------------------------------------------

    def records(self, key: str, record: Record, depth: int) -> Ref | None:
        links = self_pointers(record)
        if len(links) >= 2:
            odds = {"tree": 2.0, "double": 0.8}
            if self.mood.style.plain:  # a list is the tree that is visited longest, and the least typical one
                odds.pop(
                    "tree" if any("prev" in f.name.lower() or "next" in f.name.lower() for f in links) else "double"
                )
            shape = self.mood.choose(f"{key}:links", odds)
            return self.tree(key, record, depth) if shape == "tree" else self.chain(key, record, depth)
        if links:
            return self.chain(key, record, depth)
        has_pointers = any(isinstance(t, Pointer) for _, t in leaves(record))
        many = {"one": 2.0, "many": 1.0} if has_pointers else {"one": 0.6, "many": 2.0}
        if depth == 0 and self.mood.choose(f"{key}:records", many) == "many":
            return self.table(key, record, depth)[0]
        made = self.value(key, "", record, depth)
        ref = self.block(made.data, record.align, BYTE)
        self.blocks[ref.block].refs.update(made.refs)
        return ref

    def table(self, key: str, record: Record, depth: int, count: int | None = None) -> tuple[Ref, int]:
        """An array of records, filled column by column. Returns it and the number of records."""
        if count is None:
            count = max(1, min(2 * max(self.mood.n, 0) + 4, ARENA_BYTES // record.size))
        data = bytearray(self.mood.rng.randbytes(count * record.size))
        columns = [(offset, ctype) for offset, ctype in leaves(record)]
        scalar = next((t for _, t in columns if isinstance(t, Integer | Floating)), BYTE)
        ref = self.block(data, record.align, scalar)
        block = self.blocks[ref.block]
        for offset, ctype in columns:
            column = f"{key}.{offset}"
            if isinstance(ctype, Pointer):
                block.refs.update(self.column_of_pointers(column, ctype, Column(record, offset, count), depth))
                for i in range(count):
                    at = i * record.size + offset
                    block.data[at : at + 8] = bytes(8)
                continue
            packed = self.scalars(column, ctype, count)
            _scatter(block.data, packed, ctype.size, Column(record, offset, count))
        return ref, count

    def column_of_pointers(self, key: str, pointer: Pointer, column: Column, depth: int) -> dict[int, Ref]:
        """For every record a pointer into one common pool; links to the record's own type are left to the caller."""
        if pointer.to is column.record or depth >= MOST_DEPTH:
            return {}
        targets = self.pool(key, pointer, column.rows, depth)
        stride = column.record.size
        return {i * stride + column.offset: ref for i, ref in enumerate(targets) if ref is not None}

    def pool(self, key: str, pointer: Pointer, count: int, depth: int) -> list[Ref | None]:
        """`count` pointers to small pieces of one block."""
        made = self._pool(key, pointer, count, depth)
        for block in {ref.block for ref in made if ref is not None}:
            self.reached(block, pointer)
        return made

    def _pool(self, key: str, pointer: Pointer, count: int, depth: int) -> list[Ref | None]:
        mood = self.mood
        ctype = pointer.to
        inner = flat(ctype)
        if len(self.blocks) >= MOST_BLOCKS or isinstance(inner, Opaque):
            return [None] * count
        if isinstance(inner, Record) and inner.size:
            ref, made = self.table(key, inner, depth + 1, min(count, ARENA_BYTES // inner.size))
            return [Ref(ref.block, mood.rng.randrange(made) * inner.size) for _ in range(count)]
        if not isinstance(inner, Integer | Floating):
            if isinstance(inner, Pointer):
                ref2 = self.rows(key, inner, depth + 1)
                return [ref2] * count
            inner = BYTE
        shape = mood.choose(f"{key}:row", {"short": 1.0, "n": 1.0})
        each = max(row_length(ctype), mood.rng.randrange(1, 12) if shape == "short" else max(mood.n, 1) + 2)
        each = max(1, min(each, ARENA_BYTES // inner.size // count))
        data = bytearray(self.scalars(key, inner, each * count))
        if isinstance(inner, Integer) and (inner.is_text or mood.rng.random() < 0.2):
            data = bytearray(_without_zeros(data, inner.size, len(data) // inner.size))
            for i in range(count):
                at = (i * each + mood.rng.choice((each - 1, each - 1, mood.rng.randrange(each)))) * inner.size
                data[at : at + inner.size] = bytes(inner.size)
                data[(i + 1) * each * inner.size - inner.size : (i + 1) * each * inner.size] = bytes(inner.size)
        ref = self.block(data, max(inner.size, 1), inner)
        return [Ref(ref.block, i * each * inner.size) for i in range(count)]

    def rows(self, key: str, pointer: Pointer, depth: int) -> Ref | None:
        """An array of pointers; the last one is often NULL."""
        n = max(1, min(max(self.mood.n, 1) + 1, 1024))
        if depth >= MOST_DEPTH:
            return None
        out = self.block(bytes(8 * n), 8, BYTE)
        targets = self.pool(key, pointer, n, depth + 1)
        if self.mood.choose(f"{key}:last_null", {"yes": 1.0, "no": 1.0}) == "yes":
            targets[-1] = None
        self.blocks[out.block].refs.update({8 * i: ref for i, ref in enumerate(targets) if ref is not None})
        return out

    def chain(self, key: str, record: Record, depth: int) -> Ref | None:
        """A singly or doubly linked list of about n nodes, its nodes in order or shuffled in memory."""
        n = min(max(self.mood.n, 0), ARENA_BYTES // record.size, MOST_NODES)
        if n == 0:
            return None
        ref, _ = self.table(key, record, depth, n)
        block = self.blocks[ref.block]
        order = list(range(n))
        if self.mood.choose(f"{key}:order", {"shuffled": 1.0, "in_order": 1.0}) == "shuffled":
            self.mood.rng.shuffle(order)
            _reorder(block, record.size, order)
        links = self_pointers(record)
        forward = links[-1] if "prev" in links[0].name.lower() or links[0].name in ("p", "l", "left") else links[0]
        for i, at in enumerate(order):
            if i + 1 < n:
                block.refs[at * record.size + forward.offset] = Ref(ref.block, order[i + 1] * record.size)
            for back in links:
                if back is not forward and i > 0:
                    block.refs[at * record.size + back.offset] = Ref(ref.block, order[i - 1] * record.size)
        return Ref(ref.block, order[0] * record.size)

    def tree(self, key: str, record: Record, depth: int) -> Ref | None:
        """A binary tree of about n nodes, mostly with ordered keys; a third link is the parent."""
        n = min(max(self.mood.n, 0), ARENA_BYTES // record.size, MOST_NODES)
        if n == 0:
            return None
        mood = self.mood
        ref, _ = self.table(key, record, depth, n)
        block = self.blocks[ref.block]
        links = self_pointers(record)
        named_up = [f for f in links if f.name.lower() in ("p", "parent", "up")]
        up = named_up[0] if named_up else links[2] if len(links) > 2 else None
        left, right = [f for f in links if f is not up][:2] if len(links) - bool(up) >= 2 else (links[0], links[0])
        rows = list(range(n))
        mood.rng.shuffle(rows)
        if mood.choose(f"{key}:keys", {"ordered": 4.0} | ({} if mood.style.plain else {"any": 1.0})) == "ordered":
            self.order_keys(block, record, rows)
        odds = {"random": 2.0, "balanced": 1.0} | ({} if mood.style.plain else {"left": 0.4, "right": 0.4})
        shape = mood.choose(f"{key}:tree", odds)

        def root_of(low: int, high: int) -> int:
            if shape == "balanced":
                return (low + high) // 2
            if shape in ("left", "right"):
                return high - 1 if shape == "left" else low
            return mood.rng.randrange(low, high)

        top = root_of(0, n)
        work = [(0, n, top)]
        while work:
            low, high, mid = work.pop()
            base = rows[mid] * record.size
            for link, a, b in ((left, low, mid), (right, mid + 1, high)):
                if a < b:
                    child = root_of(a, b)
                    block.refs[base + link.offset] = Ref(ref.block, rows[child] * record.size)
                    if up is not None:
                        block.refs[rows[child] * record.size + up.offset] = Ref(ref.block, base)
                    work.append((a, b, child))
        return Ref(ref.block, rows[top] * record.size)

    def order_keys(self, block: Block, record: Record, rows: list[int]) -> None:
        """Let the first integer field ascend along `rows`; some keys repeat."""
        key = next(((o, t) for o, t in leaves(record) if isinstance(t, Integer) and not t.is_bool), None)
        if key is None:
            return
        offset, ctype = key
        assert isinstance(ctype, Integer)
        step = self.mood.rng.choice((1, 2, 3, 10, 1000))
        number = self.mood.rng.choice((0, 1, -len(rows) * step // 2 if ctype.signed else 0, self.mood.needle & 0xFF))
        for row in rows:
            at = row * record.size + offset
            kept = min(max(number, ctype.lowest), ctype.highest)
            block.data[at : at + ctype.size] = (kept & (1 << 8 * ctype.size) - 1).to_bytes(ctype.size, "little")
            self.mood.seen.append(kept)
            number += self.mood.rng.randrange(1, step + 1)


def _without_zeros(data: bytearray, size: int, count: int) -> bytearray:
    """The first `count` elements of `data` with zeros replaced by ones, so that a terminator stays the first."""
    if size == 1:
        return bytearray(data[:count].replace(b"\0", b"\1")) + data[count:]
    for i in range(count):
        if not any(data[i * size : (i + 1) * size]):
            data[i * size] = 1
    return data


def _reorder(block: Block, size: int, order: list[int]) -> None:
    """Move the i-th record of a block to row `order[i]`, its pointers with it."""
    rows = [bytes(block.data[i * size : (i + 1) * size]) for i in range(len(order))]
    for row, at in zip(rows, order, strict=True):
        block.data[at * size : (at + 1) * size] = row
    block.refs = {order[at // size] * size + at % size: ref for at, ref in block.refs.items()}


def _scatter(data: bytearray, packed: bytes, size: int, column: Column) -> None:
    """Write packed scalars of `size` bytes as a column of records."""
    stride = column.record.size
    for byte in range(size):
        first = column.offset + byte
        last = first + (column.rows - 1) * stride + 1
        data[first:last:stride] = packed[byte : column.rows * size : size]
