"""Bits: counts, parities, positions and orders of a word; set bits and differing bits of arrays.

gcc knows some spellings of a bit count, not all; loops over bits stay loops, and counts over arrays with an inner loop
stay scalar. A word's answer is one or two instructions; an array's counts 32 bytes at a time.

Not covered: running best sums (two operations a step, which gcc's flags reach too), bit matrices, Gray codes, counts of
words that have a bit (they are counts of a predicate).
"""

from __future__ import annotations

import random

from gccllm.lab.train.shapes import COUNTS, I32, U8, U16, U32, U64, Elem, Pair, Signature, Walk, const_word, make


def draw(rng: random.Random) -> Pair:
    return rng.choice([_total] * 5 + [_word] * 6 + [_reverse, _root, _root, _scatter, _scatter, _each, _each])(rng)


def draw_held(rng: random.Random) -> Pair:
    return rng.choice([_held_parity, _held_width, _held_distinct])(rng)


def _population(rng: random.Random, elem: Elem, add: str) -> tuple[str, str]:
    """Statements that add the number of set bits of `x` with `add` (which has a %s); the spelling's name."""
    w = elem.bits
    kind = rng.choice(["shift", "shift", "half", "clear", "clear", "for", "for"] + ["swar"] * (3 * (w >= 32)))
    if kind == "shift":
        return f"while (x) {{ {add % 'x & 1'} x >>= 1; }}", kind
    if kind == "half":
        return f"for (; x; x /= 2) {{ if (x % 2) {add % '1'} }}", kind
    if kind == "clear":
        return f"while (x) {{ x &= x - 1; {add % '1'} }}", kind
    if kind == "for":
        return rng.choice(
            [f"for (int j_ = 0; j_ < {w}; j_++) {add % '(x >> j_) & 1'}",
             f"for (int j_ = 0; j_ < {w}; j_++) if (x & (({elem.c})1 << j_)) {add % '1'}"]
        ), kind  # fmt: skip
    u = "ull" if w == 64 else "u"
    m = [0x5555555555555555, 0x3333333333333333, 0x0F0F0F0F0F0F0F0F, 0x0101010101010101]
    m = [v & ((1 << w) - 1) for v in m]
    first = rng.choice(
        [f"x -= (x >> 1) & {m[0]:#x}{u};", f"x = x - ((x >> 1) & {m[0]:#x}{u});",
         f"x = (x & {m[0]:#x}{u}) + ((x >> 1) & {m[0]:#x}{u});"]
    )  # fmt: skip
    return (
        f"{first} x = (x & {m[1]:#x}{u}) + ((x >> 2) & {m[1]:#x}{u}); x = (x + (x >> 4)) & {m[2]:#x}{u}; "
        + add % f"(x * {m[3]:#x}{u}) >> {w - 8}"
    ), kind


def _total(rng: random.Random) -> Pair:
    """Set bits of a whole array, of a part of every element, or of where two arrays differ or agree."""
    elem = rng.choice([U8, U8, U16, U32, U32, U64, U64])
    two = rng.random() < 0.5
    walk = (
        Walk(rng.choice(list(COUNTS)), rng.choice(["for", "while", "countdown", "pointer"])) if two else Walk.draw(rng)
    )
    sig = Signature()
    walk.declare(sig, elem, rng)
    if two:
        sig.add("b", f"{const_word(rng)}{elem.c} *b", f"q{elem.shape}")
    masked = not two and rng.random() < 0.3
    key = masked and rng.random() < 0.5
    if key:
        sig.add("c", f"{elem.c} c", f"c{elem.shape}")
    sig.shuffle(rng)
    total = rng.choice(["int", "int", "unsigned", "long", "uint64_t"])
    statements, kind = _population(rng, elem, "k += %s;")
    operator = rng.choice(["^", "^", "^", "&", "|"])
    mask = "c" if key else str(rng.choice([1, 3, 7, 15, 85, 240 & elem.high, 127, 51]))
    own = sig.at("c") if key else mask
    combine = (
        f"x = x {operator} y;" if two else f"x {rng.choice(['&', '^']) if key else '&'}= {mask};" if masked else ""
    )
    lanes = f"x {operator} y" if two else f"x {combine[2]} {own}" if masked else "x"
    if two and rng.random() < 0.2:
        operator, combine, lanes = "&~", "x = x & ~y;", "x & ~y"
    empty = rng.choice([0, 0, 0, 0, rng.randint(1, 99)])
    c = f"{total} k = {empty}; {walk.loop(elem, combine + statements, two=elem if two else None)} return k;"
    plus = f" + {empty}" if empty else ""
    n, a = walk.n(sig), sig.at("a")
    text = f"return POPS2({n}, {a}, {sig.at('b')}, {lanes}){plus};" if two else f"return POPS({n}, {a}, {lanes}){plus};"
    name = operator if two else ("mask" if masked else "one")
    return make("bits", f"total-{name}/{kind}/{elem.c}/{walk.count}/{total}", sig, total, c, text)


def _word(rng: random.Random) -> Pair:
    """One word in, one count or position out."""
    elem = rng.choice([U32, U32, U64])
    w, t = elem.bits, elem.c
    kind = rng.choice(["popcount", "popcount", "parity", "log2", "log2", "width", "width", "trailing", "leading",
                       "power",
                       "top", "distance", "single"])  # fmt: skip
    k = rng.choice(["int", "int", "unsigned"])
    start = rng.choice([0, 0, 0, rng.randint(1, 9)]) if kind in ("log2", "width", "popcount") else 0
    sig = Signature()
    sig.add("x", f"{t} x", f"x:{w}:0")
    if kind == "distance":
        sig.add("y", f"{t} y", f"x:{w}:0")
    sig.shuffle(rng)
    x, name = sig.at("x"), kind
    if kind in ("popcount", "distance"):
        statements, name = _population(rng, elem, "k += %s;")
        operator = rng.choice(["^", "^", "&"])
        mix = f"x {operator}= y; " if kind == "distance" else ""
        c = f"{k} k = {start}; {mix}{statements} return k;"
        own = f"POP({x} {operator} {sig.at('y')})" if kind == "distance" else f"POP({x})"
    elif kind == "parity":
        k = "int"
        name, c = rng.choice(
            [("shift", "int k = 0; while (x) { k ^= x & 1; x >>= 1; } return k;"),
             ("flip", "int k = 0; while (x) { k = !k; x &= x - 1; } return k;"),
             ("count", "int k = 0; while (x) { k += x & 1; x >>= 1; } return k & 1;"),
             ("fold", "".join(f"x ^= x >> {s}; " for s in (32, 16, 8, 4, 2, 1) if s < w) + "return x & 1;")]
        )  # fmt: skip
        own = f"POP({x}) & 1"
    elif kind == "log2":
        loop = rng.choice(["while (x >>= 1) k++;", "while (x > 1) { x >>= 1; k++; }", "while (x > 1) { x /= 2; k++; }",
                           "while ((x >>= 1) != 0) ++k;", "for (; x > 1; x >>= 1) k++;"])  # fmt: skip
        c, own = f"{k} k = {start}; {loop} return k;", f"LOG2({x} | 1)"
    elif kind == "width":
        loop = rng.choice(["while (x) { x >>= 1; k++; }", "for (; x; x >>= 1) k++;", "while (x != 0) { k++; x /= 2; }",
                           "while (x > 0) { k++; x >>= 1; }"])  # fmt: skip
        c, own = f"{k} k = {start}; {loop} return k;", f"WIDTH({x})"
    elif kind == "trailing":
        guard, own = rng.choice([(f"if (x == 0) return {w};", f"TRAILING({x})"),
                                 ("if (!x) return -1;", f"{x} ? LOW({x}) : -1"),
                                 ("if (x == 0) return 0;", f"{x} ? LOW({x}) : 0")])  # fmt: skip
        loop = rng.choice(["while (!(x & 1)) { x >>= 1; k++; }", "while ((x & 1) == 0) { k++; x >>= 1; }",
                           "while (x % 2 == 0) { x /= 2; k++; }"])  # fmt: skip
        k, name, c = "int", guard[-4:-1].strip("n "), f"{guard} int k = 0; {loop} return k;"
    elif kind == "leading":
        k = "int"
        loop = rng.choice([f"{t} m = ({t})1 << {w - 1}; while (m && !(x & m)) {{ k++; m >>= 1; }}",
                           f"for (int i = {w - 1}; i >= 0 && !((x >> i) & 1); i--) k++;"])  # fmt: skip
        c, own = f"int k = 0; {loop} return k;", f"LEADING({x})"
    elif kind == "power":
        k = t
        name, c = rng.choice(
            [("smear", "if (x <= 1) return 1; x--; "
              + "".join(f"x |= x >> {s}; " for s in (1, 2, 4, 8, 16, 32) if s < w)
              + "return x + 1;"),
             ("loop", f"if (x <= 1) return 1; x--; {t} k = 1; while (x) {{ x >>= 1; k <<= 1; }} return k;")]
        )  # fmt: skip
        own = f"POW2({x})"
        if name == "smear":
            own = f"{x} <= 1 ? 1 : ({elem.word})2 << LOG2({x} - 1)"
            own = f"POW2({x})"
    elif kind == "top":
        k = t
        name, c = rng.choice(
            [("smear", "".join(f"x |= x >> {s}; " for s in (1, 2, 4, 8, 16, 32) if s < w) + "return x ^ (x >> 1);"),
             ("clear", "while (x & (x - 1)) x &= x - 1; return x;")]
        )  # fmt: skip
        own = f"{x} ? ({elem.word})1 << LOG2({x}) : 0"
    else:
        k = "int"
        name, c = "count", "int k = 0; while (x) { k += x & 1; x >>= 1; } return k == 1;"
        own = f"POP({x}) == 1"
    text = f"return {own}{f' + {start}' if start else ''};"
    return make("bits", f"word-{kind}/{name}/{t}/{k}/{start > 0}", sig, k, c, text, (start,))


def _reverse(rng: random.Random) -> Pair:
    """The bits, or the bytes, of a word in reverse order. (clang turns this around in arrays by itself.)"""
    elem = rng.choice([U32, U32, U64, U16, U8])
    w, t = elem.bits, elem.c
    kind = rng.choice(["bits", "bits", "bytes"]) if w > 8 else "bits"
    if kind == "bits":
        form = rng.choice([
            f"{t} r = 0; for (int i = 0; i < {w}; i++) {{ r = (r << 1) | (x & 1); x >>= 1; }}",
            f"{t} r = 0; for (int i = 0; i < {w}; i++) if (x & (({t})1 << i)) r |= ({t})1 << ({w - 1} - i);",
            f"{t} r = 0; for (int i = 0; i < {w}; i++) r |= ((x >> i) & 1) << ({w - 1} - i);",
        ])  # fmt: skip
    else:
        form = rng.choice([
            f"{t} r = 0; for (int i = 0; i < {w // 8}; i++) {{ r = (r << 8) | (x & 255); x >>= 8; }}",
            f"{t} r = 0; for (int i = 0; i < {w}; i += 8) r |= ((x >> i) & 0xff) << ({w - 8} - i);",
        ])  # fmt: skip
    macro = "MIRROR" if kind == "bits" else "SWAP"
    sig = Signature()
    sig.add("x", f"{t} x", f"x:{w}:0" if w >= 32 else f"c:{w}:0")
    sig.shuffle(rng)
    c, text = f"{form} return r;", f"return {macro}({sig.at('x')});"
    return make("bits", f"reverse-{kind}/{t}", sig, t, c, text)


def _root(rng: random.Random) -> Pair:
    """Integer square roots by search, by bits, by Newton's steps; tests for squares."""
    elem = rng.choice([U32, U32, U32, I32, U64])
    t = elem.c
    wide = "uint64_t"
    forms = {
        "bits": f"{t} r = 0; for (int i = {elem.bits // 2 - 1}; i >= 0; i--) {{ {wide} y = r | (({t})1 << i); "
                f"if (y * y <= x) r = y; }}",
        "digit": f"{t} r = 0, b = ({t})1 << {elem.bits - 2}; while (b > x) b >>= 2; while (b != 0) {{ if (x >= r + b) "
                 "{ x -= r + b; r = (r >> 1) + b; } else r >>= 1; b >>= 2; }",
        "halves": f"{wide} l = 0, h = {1 << (elem.bits // 2)}ull; while (h - l > 1) {{ {wide} m = (l + h) / 2; "
                  f"if (m * m <= x) l = m; else h = m; }} {t} r = l;",
        "count": f"{t} r = 0; while (({wide})(r + 1) * (r + 1) <= x) r++;",
        "newton": f"{t} r = x; if (x > 1) {{ {t} y = x / 2; r = x; while (y < r) {{ r = y; y = (r + x / r) / 2; }} }}",
    }  # fmt: skip
    name = rng.choice([n for n in forms if elem is U32 or (n in ("digit", "newton", "halves") and elem is U64)
                       or (n in ("digit", "newton") and elem is I32)])  # fmt: skip
    sig = Signature()
    sig.add("x", f"{t} x", f"x:{elem.bits}:0")
    sig.shuffle(rng)
    x = sig.at("x")
    guard = "if (x < 0) return 0; " if elem is I32 else ""
    own = f"{x} > 0 ? ISQRT({x}) : 0" if elem is I32 else f"ISQRT({x})"
    if elem is U32 and name == "bits" and rng.random() < 0.5:
        c = f"{forms[name]} return ({wide})r * r == x;"
        return make("bits", f"root-square/{name}/{t}", sig, "int", c, f"u64 k = ISQRT({x}); return k * k == {x};")
    plus = rng.choice([0, 0, 0, 1])
    c = f"{guard}{forms[name]} return r{' + 1' * plus};"
    text = f"return {f'({own})' if plus and elem is I32 else own}{' + 1' * plus};"
    if plus and elem is I32:
        c = c.replace("return 0;", "return 1;")
    return make("bits", f"root-{name}/{t}/{plus}", sig, t, c, text)


def _scatter(rng: random.Random) -> Pair:
    """Bits put where a mask has ones, or taken from there; every second bit (Morton's order)."""
    elem = rng.choice([U32, U64, U64])
    t, w = elem.c, elem.bits
    kind = rng.choice(["deposit", "deposit", "extract", "extract", "spread", "gather"])
    sig = Signature()
    sig.add("x", f"{t} x", f"x:{w}:0")
    if kind in ("deposit", "extract"):
        sig.add("m", f"{t} m", f"x:{w}:0")
    sig.shuffle(rng)
    x = sig.at("x")
    even = 0x5555555555555555 if w == 64 else 0x55555555
    odd = rng.random() < 0.4
    mask = even << 1 if odd else even
    mask_text = f"{mask}ul" if w == 64 else f"{mask}u"
    if kind == "deposit":
        c = rng.choice([
            f"{t} r = 0; for (int i = 0, k = 0; i < {w}; i++) if ((m >> i) & 1) "
            "{ r |= ((x >> k) & 1) << i; k++; } return r;",
            f"{t} r = 0; while (m) {{ {t} b = m & -m; if (x & 1) r |= b; x >>= 1; m ^= b; }} return r;",
            f"{t} r = 0; for ({t} b = 1; m; b += b) {{ if (x & b) r |= m & -m; m &= m - 1; }} return r;",
        ])  # fmt: skip
        own = f"DEPOSIT({x}, {sig.at('m')})"
    elif kind == "extract":
        c = rng.choice([
            f"{t} r = 0; for (int i = 0, k = 0; i < {w}; i++) if ((m >> i) & 1) "
            "{ r |= ((x >> i) & 1) << k; k++; } return r;",
            f"{t} r = 0; for ({t} b = 1; m; b += b) {{ if (x & m & -m) r |= b; m &= m - 1; }} return r;",
        ])  # fmt: skip
        own = f"EXTRACT({x}, {sig.at('m')})"
    elif kind == "spread":
        c = f"{t} r = 0; for (int i = 0; i < {w // 2}; i++) r |= ((x >> i) & 1) << (2 * i{' + 1' * odd}); return r;"
        own = f"DEPOSIT({x}, {mask_text})"
    else:
        c = f"{t} r = 0; for (int i = 0; i < {w // 2}; i++) r |= ((x >> (2 * i{' + 1' * odd})) & 1) << i; return r;"
        own = f"EXTRACT({x}, {mask_text})"
    return make("bits", f"scatter-{kind}/{t}/{odd}", sig, t, c, f"return {own};")


def _each(rng: random.Random) -> Pair:
    """A count or position for every element, stored or added up."""
    elem = rng.choice([U32, U32, U64])
    count = rng.choice(list(COUNTS))
    kind, loop, own = rng.choice([
        ("log2", "while (x >>= 1) k++;", "LOG2({x} | 1)"),
        ("log2", "while (x > 1) {{ x /= 2; k++; }}", "LOG2({x} | 1)"),
        ("width", "while (x) {{ x >>= 1; k++; }}", "WIDTH({x})"), ("pop", "", "POP({x})"), ("pop", "", "POP({x})"),
    ])  # fmt: skip
    loop = loop.replace("{{", "{").replace("}}", "}")
    if kind == "pop":
        loop, _ = _population(rng, elem, "k += %s;")
    use = rng.choice(["store", "sum", "odd"]) if kind == "pop" else rng.choice(["store", "sum"])
    use = "store" if kind == "pop" and use == "sum" else use
    sig = Signature()
    sig.add("a", f"{const_word(rng)}{elem.c} *a", "p" + elem.shape)
    sig.add("n", f"{count} n", f"n:{COUNTS[count]}")
    if use == "store":
        sig.add("o", f"{elem.c} *o", "o" + elem.shape)
    sig.shuffle(rng)
    own = own.format(x=f"{sig.at('a')}[i]")
    if use == "store":
        c = f"for ({count} i = 0; i < n; i++) {{ {elem.c} x = a[i]; int k = 0; {loop} o[i] = k; }}"
        text = f"for (u64 i = 0; i < LEN({sig.at('n')}); i++) {sig.at('o')}[i] = {own};"
    elif use == "sum":
        c = f"int k = 0; for ({count} i = 0; i < n; i++) {{ {elem.c} x = a[i]; {loop} }} return k;"
        text = f"i32 s = 0; for (u64 i = 0; i < LEN({sig.at('n')}); i++) s += {own}; return s;"
    else:
        step = f"{elem.c} x = a[i]; int k = 0; {loop} if (k % 2) s++;"
        c = f"int s = 0; for ({count} i = 0; i < n; i++) {{ {step} }} return s;"
        text = f"i32 s = 0; for (u64 i = 0; i < LEN({sig.at('n')}); i++) s += {own} & 1; return s;"
    return make("bits", f"each-{kind}/{use}/{elem.c}/{count}", sig, "void" if use == "store" else "int", c, text)


def _held_array(
    rng: random.Random, family: str, elem: Elem, body: str, own: str, end: str, result: str = "int"
) -> Pair:
    walk = Walk.draw(rng)
    sig = Signature()
    walk.declare(sig, elem, rng)
    sig.shuffle(rng)
    c = f"{result} k = 0; {walk.loop(elem, body)} return {end};"
    text = own.format(n=walk.n(sig), a=sig.at("a"))
    return make(family, f"{elem.c}/{walk.count}", sig, result, c, text)


def _held_parity(rng: random.Random) -> Pair:
    """Whether an array has an odd number of set bits: fold by exclusive or, then count once."""
    elem = rng.choice([U8, U16, U32, U64])
    body = rng.choice(["while (x) { k ^= x & 1; x >>= 1; }", "while (x) { k = !k; x &= x - 1; }"])
    return _held_array(rng, "held-parity", elem, body, "return POP(XORS({n}, {a}, x)) & 1;", "k")


def _held_width(rng: random.Random) -> Pair:
    """Bits that the widest element needs: those of all elements together."""
    elem = rng.choice([U8, U16, U32, U64])
    body = "int j = 0; while (x) { j++; x >>= 1; } if (j > k) k = j;"
    return _held_array(rng, "held-width", elem, body, "return WIDTH(ORS(0, {n}, {a}, x));", "k")


def _held_distinct(rng: random.Random) -> Pair:
    """How many distinct bits are set anywhere."""
    elem = rng.choice([U32, U64])
    walk = Walk.draw(rng)
    sig = Signature()
    walk.declare(sig, elem, rng)
    sig.shuffle(rng)
    c = f"{elem.c} m = 0; {walk.loop(elem, 'm |= x;')} int k = 0; while (m) {{ k += m & 1; m >>= 1; }} return k;"
    text = f"return POP(ORS(0, {walk.n(sig)}, {sig.at('a')}, x));"
    return make("held-distinct-bits", f"{elem.c}/{walk.count}", sig, "int", c, text)
