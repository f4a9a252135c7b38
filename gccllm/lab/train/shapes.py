"""The parts that pairs are composed of: element types, signatures, loop forms.

A *pair* is one function twice: plain C as people write it, and an expert's answer in the `c` dialect: the inside of the
function over parameters a, b, c ... (by position) with the macros of `gccllm/propose/prelude`. Numbers in an answer are
spelled as gcc spells them in the plain side's assembly (x < c as x <= c - 1, a range as a subtraction and an unsigned
test), so that an answer finds its numbers in its prompt.

Covered: integers of 8 to 64 bits, floats, up to three arrays, counts of four types, end pointers, NUL-terminated
strings. Not covered: structs by value, globals, calls, arrays of pointers, misaligned elements (undefined in C).
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from gccllm.propose.signature import CSignature

LOG2 = {8: 0, 16: 1, 32: 2, 64: 3}


@dataclass(frozen=True)
class Elem:
    """An element type of an array."""

    bits: int
    signed: bool

    @property
    def c(self) -> str:
        return f"{'' if self.signed else 'u'}int{self.bits}_t"

    @property
    def word(self) -> str:
        """Its name in an answer."""
        return f"{'i' if self.signed else 'u'}{self.bits}"

    @property
    def size(self) -> int:
        return self.bits // 8

    @property
    def log(self) -> int:
        return LOG2[self.bits]

    @property
    def low(self) -> int:
        return -(1 << (self.bits - 1)) if self.signed else 0

    @property
    def high(self) -> int:
        return (1 << (self.bits - self.signed)) - 1

    @property
    def shape(self) -> str:
        """How the native check is told of it: `:bits:signed`."""
        return f":{self.bits}:{int(self.signed)}"

    def literal(self, value: int) -> str:
        """C spelling of `value` in this type."""
        if self.bits == 64:
            return f"{value}LL" if self.signed else f"{value}ULL"
        return f"{value}u" if not self.signed and self.bits == 32 else str(value)


ELEMS = tuple(Elem(bits, signed) for bits in (8, 16, 32, 64) for signed in (True, False))
U8, I8, U16, I16 = Elem(8, False), Elem(8, True), Elem(16, False), Elem(16, True)
I32, U32, I64, U64 = Elem(32, True), Elem(32, False), Elem(64, True), Elem(64, False)

COUNTS = {"int": "i32", "unsigned": "u32", "long": "i64", "size_t": "u64"}


@dataclass(frozen=True)
class Param:
    name: str
    c: str
    """Declaration, e.g. `const int32_t *a`."""
    kind: str
    """What the native check passes, see native/states.h."""


@dataclass
class Signature:
    """Parameters in the order drawn; `at` says which letter each has in an answer."""

    params: list[Param] = field(default_factory=list)

    def add(self, name: str, c: str, kind: str) -> None:
        self.params.append(Param(name, c, kind))

    def shuffle(self, rng: random.Random) -> None:
        """Draw the order; most people put pointers first, so half of the time nothing moves."""
        if rng.random() < 0.5:
            rng.shuffle(self.params)
        if rng.random() < 0.06 and len(self.params) < 5:
            self.params.insert(rng.randrange(len(self.params) + 1), Param("unused_", "long unused_", "c:64:1"))

    def at(self, name: str) -> str:
        """The letter of a parameter: `a` for the first one, whatever the plain side calls it."""
        return "abcdef"[[p.name for p in self.params].index(name)]

    @property
    def c(self) -> str:
        return ", ".join(p.c for p in self.params)

    @property
    def kinds(self) -> tuple[str, ...]:
        return tuple(p.kind for p in self.params)

    def words(self, returns: str) -> CSignature:
        """With the result's C type. Raises ValueError for types that no prompt can name."""
        found = CSignature.parse(f"{returns} f({self.c})")
        if found is None:
            raise ValueError(f"no words for {returns} f({self.c})")
        return found


@dataclass(frozen=True)
class Pair:
    """One function twice."""

    family: str
    """What a held-out family is named by: one idea, under every name it has."""
    key: str
    """The composition (for held-out splits): family/kind/types/..., most general first."""
    c: str
    """A whole C function named KERN."""
    answer: str
    """The inside of the function in the `c` dialect."""
    types: CSignature
    kinds: tuple[str, ...]
    """Arguments of native/states.h."""
    values: tuple[int, ...] = ()
    """Constants worth testing."""

    @property
    def returns(self) -> int:
        """Bytes of the result that count; 0 for none, -4 and -8 for floats in xmm0."""
        word = self.types.returns
        if word == "v":
            return 0
        if word.startswith("p"):
            return 8
        return (-1 if word[0] == "f" else 1) * int(word[1:]) // 8

    def function(self, name: str) -> str:
        """The answer as a C function, on one line."""
        return f"{self.types.head(name)} {{ {self.answer} }}"


def make(
    family: str, key: str, sig: Signature, returns: str, c: str, answer: str, values: tuple[int, ...] = ()
) -> Pair:
    """A pair from its parts; `c` is the plain side's body without the head, `returns` its C type."""
    return Pair(
        family, f"{family}/{key}", f"{returns} KERN({sig.c}) {{ {c} }}", answer, sig.words(returns), sig.kinds, values
    )


def const_word(rng: random.Random) -> str:
    return "const " if rng.random() < 0.7 else ""


@dataclass
class Walk:
    """How the plain side walks an array: count type and loop form."""

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
        sig.add(array, f"{word}{elem.c} *{array}", f"p{elem.shape}")
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

    def n(self, sig: Signature, array: str = "a") -> str:
        """The number of elements in an answer."""
        return f"{sig.at('e')} - {sig.at(array)}" if self.count == "end" else sig.at("n")
