"""Memory at made-up addresses, as recorded calls have it, and functions that walk it."""

from __future__ import annotations

import random
from collections.abc import Collection

from gccllm.base.core import PAGE_BYTES, Page, Test

HEAP = 0x5555_6666_0000
STACK = 0x7FFD_1234_5000

SOURCE = """
struct node { struct node *next; long value; };
struct out { long sum, count; };
long table[8]; long marks[8];
long ext(long, struct out *);
long walk(struct node *n, struct out *o) {
  long s = 0, c = 0;
  for (; n; n = n->next) { s += n->value + table[n->value & 7]; c++; }
  o->sum = s; o->count = c; return s;
}
long walk_again(struct node *n, struct out *o) {
  o->count = 0; o->sum = 0;
  while (n) { o->sum = o->sum + n->value + table[n->value & 7]; o->count++; n = n->next; }
  return o->sum;
}
long walk_short(struct node *n, struct out *o) {
  long s = 0, c = 0;
  for (; n && n->next; n = n->next) { s += n->value + table[n->value & 7]; c++; }
  o->sum = s; o->count = c; return s;
}
long walk_counts(struct node *n, struct out *o) { long s = walk(n, o); o->count++; return s; }
long walk_stores(struct node *n, struct out *o) {
  for (struct node *m = n; m; m = m->next) *(volatile long *)&m->value = m->value;
  return walk(n, o);
}
long walk_looks(struct node *n, struct out *o) { *(volatile long *)((char *)n + 1024); return walk(n, o); }
long raise(struct node *n, struct out *o) { for (; n; n = n->next) o->sum += ++n->value; return o->sum; }
long raise_more(struct node *n, struct out *o) {
  for (; n; n = n->next) { o->sum += ++n->value; ((char *)n)[200] ^= 1; }
  return o->sum;
}
long asks(struct node *n, struct out *o) {
  long s = 0;
  for (; n; n = n->next) { o->sum = n->value; s += ext(n->value, o); }
  return s;
}
long asks_first(struct node *n, struct out *o) {
  long s = 0, last = 0;
  for (; n; n = n->next) { last = n->value; s += ext(n->value, o); }
  o->sum = last; return s;
}
long first(long *p) { return *p; }
long total(unsigned char *p, long n) { long s = 0; for (long i = 0; i < n; i++) s += p[i] * (i + 1); return s; }
"""


class Memory:
    """Pages under construction; what nobody sets is random bytes."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.pages: dict[int, bytearray] = {}

    def put(self, address: int, *words: int) -> None:
        """8-byte words, none of which crosses a page."""
        for number, word in enumerate(words):
            at = address + 8 * number
            page = self.pages.setdefault(at // PAGE_BYTES * PAGE_BYTES, bytearray(self.rng.randbytes(PAGE_BYTES)))
            page[at % PAGE_BYTES : at % PAGE_BYTES + 8] = (word & (1 << 64) - 1).to_bytes(8, "little")

    def taken(self, read_only: Collection[int] = ()) -> tuple[Page, ...]:
        return tuple(Page(at, bytes(data), at not in read_only) for at, data in self.pages.items())


def chain(values: list[int], seed: int = 1, *, read_only: bool = False, heap: int = HEAP) -> Test:
    """f(list of these values, one node a page; out-structure in the caller's frame)."""
    memory = Memory(seed)
    at = [heap + 2 * PAGE_BYTES * (i * 5 % 16) + 64 * (i // 16) + 32 for i in range(len(values))]
    for i, value in enumerate(values):
        memory.put(at[i], at[i + 1] if i + 1 < len(at) else 0, value)
    nodes = frozenset(memory.pages)
    out = STACK + 0x100 + 16 * (seed % 8)
    memory.put(out, -1, -1)
    pages = memory.taken(nodes if read_only else ())
    return Test(ints=(at[0] if at else 0, out), int_bytes=(8, 8), pages=pages, label="recorded")
