"""The parts that pairs are composed of: element types, signatures, loop forms and predicates.

A *pair* is one function twice: plain C as people write it, and the assembly an expert would write for it. The expert
side is spelled by `gccllm.train.emit` in one fixed style (same registers, same order), because a small model learns a
regular answer much sooner than the several spellings a compiler's scheduler gives.

Covered: integers of 8 to 64 bits, one or two arrays, counts of four types, end pointers, NUL-terminated strings.
Not covered: floating point, structs, globals, calls, arrays of pointers, misaligned elements (undefined in C).
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

LOG2 = {8: 0, 16: 1, 32: 2, 64: 3}
ARGUMENT_REGISTERS = ("rdi", "rsi", "rdx", "rcx", "r8", "r9")
_NARROW = {
    "rax": ("eax", "ax", "al"), "rcx": ("ecx", "cx", "cl"), "rdx": ("edx", "dx", "dl"), "rsi": ("esi", "si", "sil"),
    "rdi": ("edi", "di", "dil"),
}  # fmt: skip


def reg(name: str, bits: int = 64) -> str:
    """AT&T spelling of the low `bits` of a 64-bit register: `reg("rdi", 32)` is `%edi`."""
    if bits == 64:
        return "%" + name
    if name in _NARROW:
        return "%" + _NARROW[name][{32: 0, 16: 1, 8: 2}[bits]]
    return "%" + name + {32: "d", 16: "w", 8: "b"}[bits]


@dataclass(frozen=True)
class Elem:
    """An element type of an array."""

    bits: int
    signed: bool

    @property
    def c(self) -> str:
        return f"{'' if self.signed else 'u'}int{self.bits}_t"

    @property
    def size(self) -> int:
        return self.bits // 8

    @property
    def log(self) -> int:
        return LOG2[self.bits]

    @property
    def lanes(self) -> int:
        """Elements in a 512-bit vector."""
        return 512 // self.bits

    @property
    def suffix(self) -> str:
        return {8: "b", 16: "w", 32: "d", 64: "q"}[self.bits]

    @property
    def mask_suffix(self) -> str:
        """Suffix of the mask instructions (kmov, kor, kortest) for a full vector."""
        return {64: "q", 32: "d", 16: "w", 8: "b"}[self.lanes]

    @property
    def low(self) -> int:
        return -(1 << (self.bits - 1)) if self.signed else 0

    @property
    def high(self) -> int:
        return (1 << (self.bits - self.signed)) - 1

    def literal(self, value: int) -> str:
        """C spelling of `value` in this type."""
        if self.bits == 64:
            return f"{value}LL" if self.signed else f"{value}ULL"
        return f"{value}u" if not self.signed and self.bits == 32 else str(value)

    def bits_of(self, value: int) -> int:
        """`value` as gcc prints it in an instruction of this width: signed."""
        value &= (1 << self.bits) - 1
        return value - (1 << self.bits) if value >> (self.bits - 1) else value


ELEMS = tuple(Elem(bits, signed) for bits in (8, 16, 32, 64) for signed in (True, False))
U8, I8 = Elem(8, False), Elem(8, True)
I32, U32, I64, U64 = Elem(32, True), Elem(32, False), Elem(64, True), Elem(64, False)

COUNTS = {"int": "i32", "unsigned": "u32", "long": "i64", "size_t": "u64"}


@dataclass(frozen=True)
class Param:
    name: str
    c: str
    """Declaration, e.g. `const int32_t *a`."""
    kind: str
    """What the native check passes, see native/check.c."""


@dataclass
class Signature:
    """Parameters in the order drawn; `where` says in which register each arrives."""

    params: list[Param] = field(default_factory=list)

    def add(self, name: str, c: str, kind: str) -> None:
        self.params.append(Param(name, c, kind))

    def shuffle(self, rng: random.Random) -> None:
        """Draw the order; most people put pointers first, so half of the time nothing moves."""
        if rng.random() < 0.5:
            rng.shuffle(self.params)
        if rng.random() < 0.06 and len(self.params) < 5:
            self.params.insert(rng.randrange(len(self.params) + 1), Param("unused_", "long unused_", "c:64:1"))

    def where(self, name: str, bits: int = 64) -> str:
        index = [p.name for p in self.params].index(name)
        return reg(ARGUMENT_REGISTERS[index], bits)

    @property
    def c(self) -> str:
        return ", ".join(p.c for p in self.params)

    @property
    def kinds(self) -> tuple[str, ...]:
        return tuple(p.kind for p in self.params)


@dataclass(frozen=True)
class Pair:
    """One function twice. `key` names the composition (for held-out splits); `values` are constants worth testing."""

    family: str
    key: str
    c: str
    asm: str
    returns: str
    """`v` nothing, `4`/`8` bytes of rax, `1`/`2` likewise."""
    kinds: tuple[str, ...]
    level: int
    """ISA level of the answer (`gccllm.assembly.isa`)."""
    values: tuple[int, ...] = ()


def const_word(rng: random.Random) -> str:
    return "const " if rng.random() < 0.7 else ""


@dataclass
class Walk:
    """How the naive side walks an array: count type and loop form; the expert has the count in %r10."""

    count: str
    """A key of COUNTS, or `end` for an end pointer."""
    form: str

    @staticmethod
    def draw(rng: random.Random, *, indexed: bool = False, two: bool = False, backward: bool = False) -> Walk:
        count = rng.choice(
            ["int", "int", "int", "unsigned", "long", "size_t", "size_t"] + ["end"] * (not two and not indexed)
        )
        if count == "end":
            return Walk(count, rng.choice(["endlt", "endne"]))
        forms = ["for", "for", "while", "dowhile"]
        if not indexed:
            forms += ["pointer", "countdown"]
        if backward and count in ("int", "long"):
            forms += ["backward"]
        return Walk(count, rng.choice(forms))

    def declare(self, sig: Signature, elem: Elem, rng: random.Random, array: str = "a", const: bool = True) -> None:
        word = const_word(rng) if const else ""
        sig.add(array, f"{word}{elem.c} *{array}", f"p:{elem.bits}:{int(elem.signed)}")
        if self.count == "end":
            sig.add("e", f"{word}{elem.c} *e", "e")
        else:
            sig.add("n", f"{self.count} n", f"n:{COUNTS[self.count]}")

    def loop(self, elem: Elem, body: str, *, two: Elem | None = None) -> str:
        """C of the loop; `body` may use x (and y, and i where the form is indexed)."""
        t = elem.c
        y = f"{two.c} y = b[i];" if two else ""
        index = self.count if self.count != "end" else "long"
        load = f"{t} x = a[i]; {y} {body}"
        if self.form == "for":
            return f"for ({index} i = 0; i < n; i++) {{ {load} }}"
        if self.form == "while":
            return f"{index} i = 0; while (i < n) {{ {load} i++; }}"
        if self.form == "dowhile":
            return f"if (n > 0) {{ {index} i = 0; do {{ {load} i++; }} while (i < n); }}"
        if self.form == "backward":
            return f"for ({index} i = n - 1; i >= 0; i--) {{ {load} }}"
        step = f"{t} x = *a++; " + (f"{two.c} y = *b++; " if two else "") + body
        if self.form == "pointer":
            return f"for ({index} k_ = n; k_ > 0; k_--) {{ {step} }}"
        if self.form == "countdown":
            return f"while (n-- > 0) {{ {step} }}"
        test = {"endlt": "a < e", "endne": "a != e"}[self.form]
        return f"while ({test}) {{ {step} }}"

    def count_into_r10(self, sig: Signature, elem: Elem) -> list[str]:
        """Instructions that leave the array in %r11 and the number of elements in %r10."""
        lines = [f"movq {sig.where('a')},%r11"]
        if self.count == "end":
            lines += [f"movq {sig.where('e')},%r10", "subq %r11,%r10"]
            return lines + ([f"sarq ${elem.log},%r10"] if elem.log else [])
        if self.count == "int":
            return [*lines, f"movslq {sig.where('n', 32)},%r10"]
        if self.count == "unsigned":
            return [*lines, f"movl {sig.where('n', 32)},%r10d"]
        return [*lines, f"movq {sig.where('n')},%r10"]
