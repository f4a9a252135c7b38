"""Parts that families of folds share: parameters, types of totals, terms of a sum."""

from __future__ import annotations

import random

from gccllm.lab.train.shapes import COUNTS, Elem, Signature, const_word

TOTALS = {"int": "i32", "unsigned": "u32", "long": "i64", "size_t": "u64"}


RELATIONS = ("==", "!=", "<", ">", "<=", ">=")


def two_arrays(rng: random.Random, elem: Elem, same: bool = True) -> tuple[Signature, str]:
    count = rng.choice(["int", "int", "int", "unsigned", "long", "size_t", "size_t"])
    sig = Signature()
    word = const_word(rng)
    sig.add("a", f"{word}{elem.c} *a", f"p{elem.shape}")
    sig.add("b", f"{word}{elem.c} *b", f"q{elem.shape}")
    sig.add("n", f"{count} n", f"n:{COUNTS[count]}")
    return sig, count


def one_array(rng: random.Random, elem: Elem) -> tuple[Signature, str]:
    count = rng.choice(["int", "int", "int", "unsigned", "long", "size_t"])
    sig = Signature()
    sig.add("a", f"{const_word(rng)}{elem.c} *a", f"p{elem.shape}")
    sig.add("n", f"{count} n", f"n:{COUNTS[count]}")
    return sig, count


def total_of(rng: random.Random, elem: Elem) -> str:
    """The type of a sum as people declare it."""
    if elem.bits == 64:
        return "long" if elem.signed else rng.choice(["size_t", "size_t", "long"])
    if elem.bits == 32:
        return rng.choice(["int" if elem.signed else "unsigned", "long", "long" if elem.signed else "size_t"])
    return rng.choice(["int", "int", "long"] if elem.signed else ["int", "unsigned", "unsigned", "long", "size_t"])


def term(rng: random.Random, elem: Elem, wide: bool) -> tuple[str, str, str]:
    """A term of a sum: name, C over x, lanes over x. `wide`: nothing may leave the elements' type."""
    bit = rng.choice([1, 3, 7, 15, 31, 63, 127])
    number = rng.randint(2, 100)
    small = [("and", f"(x & {bit})", f"x & {bit}"), ("xor", f"(x ^ {number})", f"x ^ {number}")]
    if wide or elem.bits < 32:
        return rng.choice(small)
    shift = rng.randint(1, elem.bits // 2)
    rest = [
        ("square", "x * x", "x * x"), ("square", "x * x", "x * x"), ("shift", f"(x >> {shift})", f"x >> {shift}"),
        ("scale", f"x * {number}", f"x * {number}"), ("plus", f"(x + {number})", f"x + {number}"),
        ("mix", f"(x ^ (x >> {shift}))", f"x ^ (x >> {shift})"), ("cube", "x * x * x", "x * x * x"),
    ]  # fmt: skip
    if elem.signed:
        rest += [("abs", "(x < 0 ? -x : x)", "ABS(x)")] * 3
    return rng.choice(small + rest)
