"""Totals under a modulus, polynomial hashes under one, and digits: one remainder for many steps.

s = (s + term) % m is the remainder of the whole sum; h = (h * b + c) % m eight times over is one remainder of a sum of
products; the digits of x add up to x less b - 1 times its quotients by powers of b, which do not wait for each other.

Not covered: signed terms whose remainder's sign depends on the order, other than by the plain loop.
"""

from __future__ import annotations

import random

from gccllm.lab.train.shapes import COUNTS, I8, I16, I32, U8, U16, U32, U64, Pair, Signature, Walk, const_word, make

_MODULI = (1000000007, 1000000007, 998244353, 1000000009, 1000, 10007, 65521, 97, 9973, 123456789, 100, 7919, 1000003)


def draw(rng: random.Random) -> Pair:
    return rng.choice([_lazy, _lazy, _lazy, _poly, _poly, _digits, _digits])(rng)


def draw_held(rng: random.Random) -> Pair:
    return _held_digits(rng)


def any_modulus(rng: random.Random, most: int) -> int:
    fits = [m for m in _MODULI if m <= most]
    return rng.choice([*fits, rng.randint(50, min(most, 1 << 30)), rng.randint(10, 2000)])


def _lazy(rng: random.Random) -> Pair:
    """s = (s + term) % m: the remainder of the whole sum, taken once."""
    terms = rng.choice(["one", "one", "product", "product", "product", "square", "index", "difference"])
    two = terms in ("product", "difference")
    elem = rng.choice([U8, U16, U32, I32, I32, I32] if terms != "difference" else [U8, U16, U32])
    if terms == "square":
        elem = rng.choice([U8, U16, I32])
    count = rng.choice(list(COUNTS))
    walk = Walk(count, rng.choice(["for", "while", "dowhile"]))
    sig = Signature()
    walk.declare(sig, elem, rng)
    if two:
        sig.add("b", f"{const_word(rng)}{elem.c} *b", f"q{elem.shape}")
    sig.shuffle(rng)
    m = any_modulus(rng, 1 << 31)
    result = "long" if elem.signed else rng.choice(["uint64_t", "unsigned long"])
    word = "i64" if elem.signed else "u64"
    a, n = sig.at("a"), sig.at("n")
    b = sig.at("b") if two else ""
    cast = "(long)" if elem.signed else "(uint64_t)"
    plain = {
        "one": "x", "product": rng.choice([f"{cast}x * y", f"{cast}y * x"]), "square": f"{cast}x * x",
        "index": f"{cast}x * i", "difference": f"{cast}x + y",
    }[terms]  # fmt: skip
    own = {
        "one": f"{a}[i]", "product": f"({word}){a}[i] * {b}[i]", "square": f"({word}){a}[i] * {a}[i]",
        "index": f"({word}){a}[i] * i", "difference": f"({word}){a}[i] + {b}[i]",
    }[terms]  # fmt: skip
    if terms == "index":
        own = f"{a}[i] * ({word})i"
    body = rng.choice([f"s = (s + {plain}) % {m};", f"s += {plain}; s %= {m};"])
    c = f"{result} s = 0; {walk.loop(elem, body, two=elem if two else None)} return s;"
    plain_sum = terms == "one" and not elem.signed
    text = f"return SUM(u64, {n}, {a}, x) % {m};" if plain_sum else f"return SUMMOD({n}, {own}, {m});"
    return make("modular", f"lazy-{terms}/{elem.c}/{count}", sig, result, c, text, (m,))


def _poly(rng: random.Random) -> Pair:
    """A polynomial hash with a modulus, of a string or an array of small elements."""
    string = rng.random() < 0.5
    elem = rng.choice([U8, U8, I8]) if string else rng.choice([U8, U8, U16, I16])
    c_type = "uint64_t" if not elem.signed and rng.random() < 0.6 else "long"
    word = "u64" if c_type == "uint64_t" else "i64"
    sig = Signature()
    count = rng.choice(list(COUNTS))
    if string:
        c_elem = rng.choice(["char", "char", "signed char"]) if elem.signed else "unsigned char"
        sig.add("a", f"{const_word(rng)}{c_elem} *a", "z")
    else:
        c_elem = elem.c
        Walk(count, "for").declare(sig, elem, rng)
    variable = rng.choice(["both", "modulus", "none", "none", "none"])
    base, modulus = (
        str(rng.choice([31, 131, 37, 53, 33, 257, 256, rng.randint(2, 9999)])),
        str(any_modulus(rng, 1 << 31)),
    )
    numbers = int(base), int(modulus)
    if variable == "both":
        sig.add("base", f"{c_type} base", f"c:64:{int(word == 'i64')}")
        base = "base"
    if variable != "none":
        sig.add("mod", f"{c_type} mod", f"c:64:{int(word == 'i64')}")
        modulus = "mod"
    sig.shuffle(rng)
    start = rng.choice([0, 0, 0, 1, 7, 5381])
    at = {p.name: sig.at(p.name) for p in sig.params}
    step = rng.choice(["h = (h * {b} + {x}) % {m};", "h = ({x} + h * {b}) % {m};"])
    if string:
        loop = rng.choice(["while (*a) {{ {s} a++; }}", "for (; *a; a++) {s}", "for (long i = 0; a[i]; i++) {s}"])
        x = "a[i]" if "a[i]" in loop else "*a"
        loop = loop.format(s=step.format(b=base, m=modulus, x=x)).replace("{{", "{").replace("}}", "}")
        head, n = f"u64 k = FINDZ({at['a']}, x == 0); ", "k"
    else:
        loop = f"for ({count} i = 0; i < n; i++) {step.format(b=base, m=modulus, x='a[i]')}"
        head, n = "", at["n"]
    c = f"{c_type} h = {start}; {loop} return h;"
    text = f"{head}return POLYMOD({word}, {start}, {n}, {at['a']}, {at.get('base', base)}, {at.get('mod', modulus)});"
    key = f"poly-{variable}/{'string' if string else count}/{elem.c}/{word}"
    return make("modular", key, sig, c_type, c, text, numbers)


def _digits(rng: random.Random) -> Pair:
    """Sum or number of the digits of one word; the sum over an array's elements."""
    kind = rng.choice(["sum", "sum", "sum", "count", "count", "array", "wide", "root"])
    base = rng.choice([10, 10, 10, 10, 7, 9, 12, 11, 36, 20])
    if kind in ("wide", "array", "root"):
        base = 10
    elem = {"wide": U64, "array": U32, "count": U32}.get(kind, rng.choice([U32, U32, I32]))
    result = rng.choice(["int", "int", "unsigned", "long"])
    step = rng.choice([f"k += x % {base}; x /= {base};", f"k += x % {base}; x = x / {base};"])
    if kind == "count":
        step = rng.choice([f"k++; x /= {base};", f"x = x / {base}; k++;"])
    test = rng.choice(["x > 0", "x != 0", "x"]) if not elem.signed else rng.choice(["x > 0", "x != 0"])
    sig = Signature()
    if kind == "array":
        walk = Walk.draw(rng)
        walk.declare(sig, elem, rng)
        sig.shuffle(rng)
        body = f"while ({test}) {{ {step} }}"
        c = f"{result} k = 0; {walk.loop(elem, body)} return k;"
        word = {"int": "i32", "unsigned": "u32", "long": "i64"}[result]
        text = f"return SUM({word}, {walk.n(sig)}, {sig.at('a')}, DIGITSUMS(10));"
        return make("modular", f"digits-array/{elem.c}/{walk.count}/{result}", sig, result, c, text)
    sig.add("x", f"{elem.c} x", f"x:{elem.bits}:{int(elem.signed)}")
    sig.shuffle(rng)
    x = sig.at("x")
    form = rng.choice(["while", "for", "do"])
    loop = {
        "while": f"while ({test}) {{ {step} }}", "for": f"for (; {test}; x /= {base}) {step.split(';')[0]};",
        "do": f"do {{ {step} }} while ({test});",
    }[form]  # fmt: skip
    if kind == "count" and form == "for":
        loop = f"for (; {test}; x /= {base}) k++;"
    start = rng.choice([0, 0, 0, 1]) if kind in ("sum", "count") else 0
    own = {"sum": f"DIGITSUM({x}, {base})", "count": f"DIGITS({x}, {base})", "wide": f"DIGITSUM64({x})",
           "root": f"DIGITSUM({x}, 10)"}[kind]  # fmt: skip
    c = f"{result} k = {start}; {loop} return k;"
    if elem.signed and test == "x > 0":
        if form == "do":  # one digit, then no more
            c = f"{result} k = {start}; while ({test}) {{ {step} }} return k;"
        own = f"({x} > 0 ? {own} : 0)" if start else f"{x} > 0 ? {own} : 0"
    if kind == "count" and form == "do":
        own = f"DIGITS({x} | 1, {base})" if base % 2 == 0 else f"DIGITS({x} ? {x} : 1, {base})"
    text = f"return {own}{f' + {start}' if start else ''};"
    if kind == "root":
        number = rng.choice([2, 3, 7, 9, 11, rng.randint(4, 30)])
        c = f"{'int'} k = 0; {elem.c} y = x; while (y != 0) {{ k += y % 10; y /= 10; }} return x % k == 0;"
        c = c.replace("return x % k == 0", f"return k % {number} == 0")
        text = f"return (i32)DIGITSUM({x}, 10) % {number} == 0;"
        result = "int"
    key = f"digits-{kind}/{elem.c}/{base}/{form}/{result}"
    return make("modular", key, sig, result, c, text, (base,))


def _held_digits(rng: random.Random) -> Pair:
    """The largest sum of digits in an array."""
    walk = Walk.draw(rng)
    sig = Signature()
    walk.declare(sig, U32, rng)
    sig.shuffle(rng)
    body = "uint32_t s = 0; while (x) { s += x % 10; x /= 10; } if (s > k) k = s;"
    c = f"uint32_t k = 0; {walk.loop(U32, body)} return k;"
    text = f"return MAX(0, {walk.n(sig)}, {sig.at('a')}, DIGITSUMS(10));"
    return make("held-digit-max", f"{walk.count}", sig, "uint32_t", c, text)
