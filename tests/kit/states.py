"""A hash table with chains, as a program would leave it in its heap: states that typed generation does not find.

`lookup` follows indices from slot to slot; `sum` walks all chains and trusts the count. The table's memory is laid out
here byte by byte, at addresses like those of a program's heap.
"""

from __future__ import annotations

import struct
from pathlib import Path
from random import Random

from gccllm.base.core import PAGE_BYTES, Page, Test
from gccllm.harvest.target import HarvestTarget
from tests.kit.targets import target_of

SOURCE = """
struct slot { unsigned key; int next; long value; };
struct table { struct slot *slots; int *buckets; unsigned mask; int count; };

long lookup(const struct table *t, unsigned key) {
    int i = t->buckets[key & t->mask];
    while (i >= 0) {
        const struct slot *s = &t->slots[i];
        if (s->key == key) return s->value;
        i = s->next;
    }
    return -1;
}
"""
HEAP = 0x5555_6000_0000


class Heap:
    """Pages that fill up from a base address."""

    def __init__(self, base: int = HEAP) -> None:
        self.base = base
        self.data = bytearray()

    def place(self, data: bytes, align: int = 16) -> int:
        self.data += bytes(-len(self.data) % align)
        self.data += data
        return self.base + len(self.data) - len(data)

    def pages(self) -> tuple[Page, ...]:
        whole = bytes(self.data) + bytes(-len(self.data) % PAGE_BYTES)
        return tuple(
            Page(self.base + at, whole[at : at + PAGE_BYTES]) for at in range(0, max(len(whole), 1), PAGE_BYTES)
        )


def table(keys: list[int], bits: int, base: int = HEAP) -> tuple[int, tuple[Page, ...]]:
    """(address, pages) of a table that holds `keys`, each with 3 * key + 1."""
    buckets, slots = [-1] * (1 << bits), b""
    for number, key in enumerate(keys):
        at = key & (1 << bits) - 1
        slots += struct.pack("<Iiq", key, buckets[at], 3 * key + 1)
        buckets[at] = number
    heap = Heap(base)
    where = heap.place(slots), heap.place(struct.pack(f"<{len(buckets)}i", *buckets))
    return heap.place(struct.pack("<QQIi", *where, (1 << bits) - 1, len(keys))), heap.pages()


def lookups(count: int = 40, seed: int = 1, *, size: int = 60, bits: int = 3, weight: float = 1.0) -> list[Test]:
    """lookup(t, key): half of the keys are there; chains of about size / 2**bits slots."""
    rng = Random(seed)
    tests = []
    for number in range(count):
        keys = rng.sample(range(1000), size)
        address, pages = table(keys, bits, HEAP + 0x10_0000 * (number % 4))
        key = rng.choice(keys) if rng.random() < 0.7 else rng.randrange(1000)
        tests.append(Test(ints=(address, key | 0xDEAD << 32), int_bytes=(8, 4), pages=pages, weight=weight))
    return tests


def target(where: Path, source: str = SOURCE, name: str = "lookup", *flags: str) -> HarvestTarget:
    file = where / "unit.c"
    file.write_text(source)
    return target_of(file, name, ["-O3", *flags], where)
