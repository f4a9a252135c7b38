"""Halving searches for a place in a sorted array, and the greatest common divisor by shifts: no branch on the data.

A branch on data costs about 15 cycles each time it is guessed wrong, every second time in a search. The places looked
at stay those of the plain loop, so that an array that is not sorted gives the same answer.

Not covered: no gain over the best recipe on one CPU (Zen 3), in the states of the check, whose branches a predictor can
partly learn: searches that end where they meet the key (0.5 to 1.2), merges (0.2 to 0.7), votes (0.6 to 0.8), a search
for every element of another array (0.6 to 0.9). Falling arrays were left out because the check times rising ones.
"""

from __future__ import annotations

import random

from gccllm.lab.train.shapes import (
    COUNTS,
    ELEMS,
    I16,
    I32,
    I64,
    U32,
    U64,
    Elem,
    Pair,
    Signature,
    const_word,
    make,
)


def draw(rng: random.Random) -> Pair:
    return rng.choice([_bound, _bound, _bound, _divisor])(rng)


def draw_held(rng: random.Random) -> Pair:
    return rng.choice([_held_range, _held_next])(rng)


_SIDES = (("<", "x < {c}"), ("<", "x < {c}"), ("<=", "x <= {c}"))


def _element(rng: random.Random) -> Elem:
    return rng.choice([I32, I32, I32, I32, I64, U32, U64, I16, *ELEMS])


def _middle(rng: random.Random, low: str, high: str) -> str:
    return rng.choice([f"{low} + ({high} - {low}) / 2", f"({low} + {high}) / 2", f"{low} + (({high} - {low}) >> 1)",
                       f"({low} + {high}) >> 1"])  # fmt: skip


def _halving(rng: random.Random, count: str, side: str, key: str, low: str = "l", name: str = "a") -> str:
    """A half-open search that leaves its place in `low`; n elements of `name`."""
    form = rng.choice(["ends", "ends", "ends", "length", "turned"])
    if form == "length":
        return (
            f"{count} {low} = 0, w_ = n; while (w_ > 0) {{ {count} h_ = w_ / 2; if ({name}[{low} + h_] {side} {key}) "
            f"{{ {low} += h_ + 1; w_ -= h_ + 1; }} else w_ = h_; }}"
        )
    middle = _middle(rng, low, "h")
    other = {"<": ">=", "<=": ">", ">": "<=", ">=": "<"}[side]
    step = (
        f"if ({name}[m] {side} {key}) {low} = m + 1; else h = m;"
        if form == "ends"
        else f"if ({name}[m] {other} {key}) h = m; else {low} = m + 1;"
    )
    return f"{count} {low} = 0, h = n; while ({low} < h) {{ {count} m = {middle}; {step} }}"


def _array(rng: random.Random, sig: Signature, elem: Elem, count: str) -> None:
    sig.add("a", f"{const_word(rng)}{elem.c} *a", "p" + elem.shape)
    sig.add("n", f"{count} n", f"n:{COUNTS[count]}")


def _bound(rng: random.Random) -> Pair:
    """The first place not below (not up to) a key; how many lie there; whether the key is there."""
    elem = _element(rng)
    count = rng.choice(["int", "int", "long", "size_t", "unsigned"])
    side, lanes = rng.choice(_SIDES)
    kind = rng.choice(["place", "place", "place", "after", "has", "before", "value"])
    if kind in ("has", "value"):
        side, lanes = _SIDES[0]
    sig = Signature()
    _array(rng, sig, elem, count)
    sig.add("c", f"{elem.c} c", f"c{elem.shape}")
    sig.shuffle(rng)
    n, a, c = sig.at("n"), sig.at("a"), sig.at("c")
    halving = _halving(rng, count, side, "c")
    bound = f"BOUND({n}, {a}, {lanes.format(c=c)})"
    k = f"u64 k = {bound}; "
    result, end, own = {
        "place": (count, "l", f"return {bound};"), "after": (count, "n - l", f"return {n} - {bound};"),
        "before": (count if count in ("int", "long") else "long",
                   "l - 1" if count in ("int", "long") else "(long)l - 1",
                   f"return {bound} - 1;"),
        "has": ("int", "l < n && a[l] == c", f"{k}return k < LEN({n}) && {a}[k] == {c};"),
        "value": (rng.choice(["int", "long"]), "l < n && a[l] == c ? l : -1",
                  f"{k}return k < LEN({n}) && {a}[k] == {c} ? k : -1;"),
    }[kind]  # fmt: skip
    if kind == "value":
        end = f"l < n && a[l] == c ? ({result})l : -1"
    return make("search", f"bound-{kind}/{elem.c}/{side}/{count}", sig, result, f"{halving} return {end};", own)


def _divisor(rng: random.Random) -> Pair:
    """The greatest common divisor by halving and subtracting: all zeros at once, the difference without a branch."""
    elem = rng.choice([U32, U64])
    t, w = elem.c, elem.bits
    sig = Signature()
    sig.add("x", f"{t} x", f"x:{w}:0")
    sig.add("y", f"{t} y", f"x:{w}:0")
    sig.shuffle(rng)
    form = rng.choice([
        "while (!(y & 1)) y >>= 1; if (x > y) { T t = x; x = y; y = t; } y -= x;",
        "while ((y & 1) == 0) y /= 2; if (x > y) { T t = y; y = x; x = t; } y = y - x;",
    ]).replace("T", t)  # fmt: skip
    c = (
        f"if (x == 0) return y; if (y == 0) return x; int k = 0; "
        "while (((x | y) & 1) == 0) { x >>= 1; y >>= 1; k++; } "
        f"while (!(x & 1)) x >>= 1; do {{ {form} }} while (y); return x << k;"
    )
    return make("search", f"divisor/{t}", sig, t, c, f"return GCD({sig.at('x')}, {sig.at('y')});")


def _held_range(rng: random.Random) -> Pair:
    """How many elements of a sorted array equal a key: two searches."""
    elem = _element(rng)
    count = rng.choice(["int", "long"])
    sig = Signature()
    _array(rng, sig, elem, count)
    sig.add("c", f"{elem.c} c", f"c{elem.shape}")
    first = _halving(rng, count, "<", "c")
    second = _halving(rng, count, "<=", "c", "p")
    c = f"{count} u; {{ {first} u = l; }} {second} return p - u;"
    text = "return BOUND(b, a, x <= c) - BOUND(b, a, x < c);"
    return make("held-range", f"{elem.c}/{count}", sig, count, c, text)


def _held_next(rng: random.Random) -> Pair:
    """The first element that is not below a key; the key itself where there is none."""
    elem = _element(rng)
    count = rng.choice(["int", "long", "size_t"])
    sig = Signature()
    _array(rng, sig, elem, count)
    sig.add("c", f"{elem.c} c", f"c{elem.shape}")
    side = rng.choice(["<", "<="])
    c = f"{_halving(rng, count, side, 'c')} return l < n ? a[l] : c;"
    text = f"u64 k = BOUND(b, a, x {side} c); return k < LEN(b) ? a[k] : c;"
    return make("held-next-element", f"{elem.c}/{count}/{side}", sig, elem.c, c, text)
