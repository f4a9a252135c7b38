"""Remainders: in recurrences, of positions, by a divisor that only the caller knows, of sums, of hashes, of digits.

A division costs 6 to 20 cycles, a remainder by a constant a chain of about ten. Here the remainder follows from
something cheaper: one conditional subtraction, a counter that starts again, a multiplication in double precision (exact
for 32 bits), one remainder of a whole sum or of eight steps, or quotients that do not wait for each other.

Not covered: products and powers under a modulus (0.98 by two products side by side), 64-bit divisors that vary.
"""

from __future__ import annotations

import random
from itertools import pairwise

from gccllm.lab.train.families import totals
from gccllm.lab.train.shapes import COUNTS, ELEMS, I16, I32, U8, U16, U32, Pair, Signature, Walk, const_word, make


def draw(rng: random.Random) -> Pair:
    return rng.choice([_recurrence] * 4 + [_cycle] * 4 + [_stride] + [_divide] * 3 + [_each] + [totals.draw] * 7)(rng)


def draw_held(rng: random.Random) -> Pair:
    return rng.choice([_held_josephus, _held_congruent, totals.draw_held])(rng)


_TWO = (
    ("a + b", "WRAP(s + t, {m})"),
    ("a + b", "WRAP(s + t, {m})"),
    ("a + b + {k}", "WRAP(WRAP(s + t, {m}) + {k}, {m})"),
    ("2 * b + a", "WRAP(WRAP(t * 2, {m}) + s, {m})"),
    ("b + 2 * a", "WRAP(WRAP(s * 2, {m}) + t, {m})"),
    ("b - a + {m}", "WRAP(t - s + {m}, {m})"),
    ("a - b + {m}", "WRAP(s - t + {m}, {m})"),
)
_THREE = (
    ("a + b + c", "WRAP(WRAP(s + t, {m}) + r, {m})"),
    ("a + c", "WRAP(s + r, {m})"),
    ("a + b", "WRAP(s + t, {m})"),
    ("c - a + {m}", "WRAP(r - s + {m}, {m})"),
)
_ONE = (
    ("a + {k}", "WRAP(s + {k}, {m})"),
    ("a * 2", "WRAP(s * 2, {m})"),
    ("2 * a + 1", "WRAP(WRAP(s * 2, {m}) + 1, {m})"),
    ("a + {m} - {k}", "WRAP(s + {rest}, {m})"),
)


def _recurrence(rng: random.Random) -> Pair:
    """Fibonacci's numbers and their kin modulo m, the last term, the sum of all, or all of them."""
    terms = rng.choice([1, 2, 2, 2, 2, 3])
    word, c_type, limit = rng.choice(
        [
            ("i32", "int", 1 << 31),
            ("i32", "int", 1 << 31),
            ("u32", "unsigned", 1 << 32),
            ("i64", "long", 1 << 62),
            ("u64", "uint64_t", 1 << 62),
        ]
    )
    m = totals.any_modulus(rng, min(limit // 4, 1 << 32) if terms > 1 or limit > 1 << 31 else 500000000)
    if rng.random() < 0.4 and terms == 2 and limit >= 1 << 31:
        m = 1000000007
    k = rng.randint(1, min(m - 1, 200))
    plain, answer = rng.choice({1: _ONE, 2: _TWO if m * 3 + 200 < limit else _TWO[:2], 3: _THREE}[terms])
    if m * 3 + 200 >= limit:
        plain, answer = _TWO[0]
        terms = 2
    fill = {"m": m, "k": k, "rest": m - k}
    plain, answer = plain.format(**fill), answer.format(**fill)
    sums = terms < 3 and rng.random() < 0.2
    stores = not sums and rng.random() < 0.25
    start = [rng.choice([0, 1, 1, rng.randint(0, min(m - 1, 50))]) for _ in range(terms)]
    if terms == 2 and rng.random() < 0.6:
        start = [0, 1]
    sig = Signature()
    count = rng.choice(["int", "int", "unsigned", "long", "size_t"])
    if stores:
        sig.add("o", f"{c_type} *o", f"p:{word[1:]}:{int(word[0] == 'i')}")
        sig.add("n", f"{count} n", f"n:{COUNTS[count]}")
    else:
        sig.add("n", f"{count} n", f"m:{COUNTS[count]}")
    seeded = rng.random() < 0.15 and word[0] == "u"
    if seeded:
        sig.add("z", f"{c_type} z", f"c:{word[1:]}:0")
    sig.shuffle(rng)
    names, letters = "abc"[:terms], ("s", "t", "r")[:terms]
    values = [str(v) for v in start]
    declare = ", ".join(
        f"{x} = {v}" for x, v in zip(names, [f"z % {m}", *values[1:]] if seeded else values, strict=True)
    )
    own_values = [f"{sig.at('z')} % {m}", *values[1:]] if seeded else values
    own = ", ".join(f"{x} = {v}" for x, v in zip(letters, own_values, strict=True))
    shift = [f"{p} = {q};" for p, q in pairwise(names)] + [f"{names[-1]} = x;"]
    own_shift = [f"{p} = {q};" for p, q in pairwise(letters)] + [f"{letters[-1]} = k;"]
    give = names[-1] if terms == 1 else rng.choice(["a", "a", "b"])
    skip = 0
    head, n, before, own_before = "", sig.at("n"), "", ""
    if stores:
        loop = f"for ({count} i = 0; i < n; i++)"
        store, own_store = "o[i] = a;", f"{sig.at('o')}[i] = s;"
        own_loop = f"for (u64 i = 0; i < LEN({n}); i++)"
    else:
        store = own_store = ""
        form = rng.choice(["for", "for", "one", "while", "down", "two"])
        own_loop = f"for (u64 i = LEN({n}); i; i--)"
        if form == "two" and count in ("int", "long") and terms == 2:
            head, skip = rng.choice([("n <= 1", 1), ("n < 2", 1)])
            before = f"if ({head}) return {'n' if rng.random() < 0.6 else 'a'};"
            own_before = f"if ({n} <= 1) return {n if 'return n' in before else 's'};"
            own_loop = f"for (u64 i = LEN({n} - 1); i; i--)"
            give = "b"
        loop = {
            "for": f"for ({count} i = 0; i < n; i++)", "one": f"for ({count} i = 1; i <= n; i++)",
            "while": "while (n-- > 0)", "down": f"for ({count} i = n; i > 0; i--)",
            "two": f"for ({count} i = 2; i <= n; i++)" if skip else f"for ({count} i = 0; i < n; i++)",
        }[form]  # fmt: skip
    total, own_total = "", ""
    if sums:
        total, own_total, give = f"q = (q + {names[-1]}) % {m};", f"m = WRAP(m + {letters[-1]}, {m});", "q"
        declare, own = declare + ", q = 0", own + ", m = 0"
    c = f"{c_type} {declare}; {before} {loop} {{ {store} {c_type} x = ({plain}) % {m}; {' '.join(shift)} {total} }}" + (
        f" return {give};" if not stores else ""
    )
    result = {"a": "s", "b": "t", "c": "r", "q": "m"}[give]
    step = [f"s = {answer};"] if terms == 1 else [f"{word} k = {answer};", *own_shift]
    text = " ".join(
        x for x in (f"{word} {own};", own_before, f"{own_loop} {{", own_store, *step, own_total, "}",
                    "" if stores else f"return {result};") if x
    )  # fmt: skip
    shape = plain.replace(str(m), "M").replace(str(k), "K").replace(" ", "") if k > 2 else plain.replace(" ", "")
    key = f"recurrence/{shape.replace(str(m), 'M')}/{word}/{count}/{'store' if stores else 'sum' if sums else give}"
    return make("modular", key, sig, "void" if stores else c_type, c, text, (m,))


_UPDATES = (("^", "xor"), ("^", "xor"), ("+", "add"), ("-", "sub"), ("&", "and"), ("|", "or"), ("*", "mul"))


def _position_type(rng: random.Random, sig: Signature, count: str) -> tuple[str, int]:
    """A divisor of positions: an argument `k`, or a number. Its C spelling, and the number (0 for the argument)."""
    if rng.random() < 0.75:
        sig.add("k", f"{count} k", f"d:{COUNTS[count]}")
        return "k", 0
    number = rng.choice([3, 5, 6, 7, 9, 10, 11, 12, 13, 26, 60, 100, rng.randint(3, 300)])
    return str(number), number


def _cycle(rng: random.Random) -> Pair:
    """i % k beside a[i]: a key that repeats, a weight, a place among the first k. In order, so overlap is harmless."""
    elem = rng.choice([U8, U8, *ELEMS])
    count = rng.choice(["int", "int", "unsigned", "size_t", "long"])
    kind = rng.choice(["update", "update", "update", "out", "out", "sum", "weight", "weight", "fill", "tile", "every",
                       "bins"])  # fmt: skip
    operator, name = rng.choice(_UPDATES)
    sig = Signature()
    is_read = kind in ("out", "sum", "weight", "every", "bins")
    sig.add("a", f"{const_word(rng) if is_read else ''}{elem.c} *a", "p" + elem.shape)
    sig.add("n", f"{count} n", f"n:{COUNTS[count]}")
    keyed = kind in ("update", "out", "sum", "tile", "bins")
    if keyed:
        sig.add("b", f"{const_word(rng) if kind != 'bins' else ''}{elem.c} *b", "k" + elem.shape)
        sig.add("k", f"{count} k", f"d:{COUNTS[count]}")
        k, number = "k", 0
    else:
        k, number = _position_type(rng, sig, count)
    if kind == "out":
        sig.add("o", f"{elem.c} *o", "o" + elem.shape)
    total = rng.choice(["int", "long"]) if elem.bits < 64 else "long"
    if kind == "every":
        residue = rng.randint(0, 2)
    sig.shuffle(rng)
    at = {p.name: sig.at(p.name) for p in sig.params}
    a, b, n, d = at["a"], at.get("b", ""), at["n"], at.get("k", k)
    word = {"int": "i32", "long": "i64"}[total]
    wide = f"({total})" if total == "long" and elem.bits == 32 else ""
    own_wide = f"({word})" if wide else ""
    plain, own = {
        "update": (rng.choice([f"a[i] {operator}= b[i % k];", f"a[i] = a[i] {operator} b[i % k];"]),
                   f"{a}[i] {operator}= {b}[j];"),
        "out": (f"o[i] = a[i] {operator} b[i % k];", f"{at.get('o', '')}[i] = {a}[i] {operator} {b}[j];"),
        "sum": (f"s += {wide}a[i] {operator} b[i % k];", f"s += {own_wide}{a}[i] {operator} {b}[j];"),
        "weight": (f"s += {wide}a[i] * ({total})(i % {k});", f"s += {own_wide}{a}[i] * ({word})j;"),
        "fill": rng.choice([(f"a[i] = i % {k};", f"{a}[i] = j;"), (f"a[i] += i % {k};", f"{a}[i] += j;")]),
        "tile": ("a[i] = b[i % k];", f"{a}[i] = {b}[j];"),
        "every": (f"if (i % {k} == {residue if kind == 'every' else 0}) s += a[i];",
                  f"if (j == {residue if kind == 'every' else 0}) s += {a}[i];"),
        "bins": ("b[i % k] += a[i];", f"{b}[j] += {a}[i];"),
    }[kind]  # fmt: skip
    loop = rng.choice(
        [f"for ({count} i = 0; i < n; i++) {{ {plain} }}", f"{count} i = 0; while (i < n) {{ {plain} i++; }}"]
    )
    summing = kind in ("sum", "weight", "every")
    c = f"{total} s = 0; {loop} return s;" if summing else loop
    text = f"CYCLE({n}, {d}, {own})"
    text = f"{word} s = 0; {text}; return s;" if summing else f"{text};"
    key = f"cycle-{kind}/{name if keyed and kind not in ('tile', 'bins') else 'none'}/{elem.c}/{count}/{number > 0}"
    return make("modular", key, sig, total if summing else "void", c, text, (number,) if number else ())


def _stride(rng: random.Random) -> Pair:
    """Places (i * s + t) % k that go round by a fixed step."""
    elem = rng.choice(ELEMS)
    count = rng.choice(["int", "unsigned", "size_t", "long"])
    sig = Signature()
    kind = rng.choice(["gather", "sum"])
    sig.add("a", f"{const_word(rng)}{elem.c} *a", "p" + elem.shape)
    sig.add("n", f"{count} n", f"n:{COUNTS[count]}")
    if kind == "gather":
        sig.add("o", f"{elem.c} *o", "o" + elem.shape)
    divisor = "n"
    if kind == "gather" and rng.random() < 0.6:
        sig.add("k", f"{count} k", f"d:{COUNTS[count]}")
        divisor = "k"
    sig.shuffle(rng)
    step, first = rng.choice([1, 2, 3, 5, 7, 11, 17, 31, 97]), rng.choice([0, 0, 1, 2, 3, 5, 10])
    if step == 1 and first == 0:
        first = 1
    place = f"i * {step}" if step > 1 else "i"
    place = f"({place} + {first}) % {divisor}" if first else f"{place} % {divisor}"
    total = "long" if elem.bits == 64 or rng.random() < 0.5 else "int"
    word = {"int": "i32", "long": "i64"}[total]
    a, n = sig.at("a"), sig.at("n")
    plain, own = {
        "gather": (f"o[i] = a[{place}];", f"{sig.at('o') if kind == 'gather' else ''}[i] = {a}[j];"),
        "sum": (f"s = s * 3 + a[{place}];", f"s = s * 3 + {a}[j];"),
    }[kind]
    loop = f"for ({count} i = 0; i < n; i++) {plain}"
    c = f"{total} s = 0; {loop} return s;" if kind == "sum" else loop
    text = f"STRIDE({n}, {first}, {step}, {sig.at(divisor)}, {own})"
    text = f"{word} s = 0; {text}; return s;" if kind == "sum" else f"{text};"
    key = f"stride-{kind}/{'k' if divisor == 'k' else 'n'}/{elem.c}/{count}/{step > 1}{first > 0}"
    return make("modular", key, sig, total if kind == "sum" else "void", c, text)


def _divide(rng: random.Random) -> Pair:
    """Sums, counts and extremes of a[i] % m and a[i] / m, m a variable of 32 bits: lanes in double precision."""
    elem = rng.choice([I32, I32, I32, U32])
    walk = Walk.draw(rng)
    sig = Signature()
    walk.declare(sig, elem, rng)
    sig.add("m", f"{elem.c} m", f"c{elem.shape}")
    kind = rng.choice(
        ["sum", "sum", "sum", "divisible", "divisible", "not", "equal", "quotient", "bits", "above", "most"]
    )
    if kind == "equal":
        sig.add("r", f"{elem.c} r", f"c{elem.shape}")
    sig.shuffle(rng)
    same = "int" if elem.signed else "unsigned"
    total = rng.choice(["long", "long", "int"]) if kind not in ("bits", "most") else same
    word = {"long": "i64", "int": "i32", "unsigned": "u32"}[total]
    number = rng.randint(0, 9)
    a, n, m = sig.at("a"), walk.n(sig), sig.at("m")
    body, own = {
        "sum": ("k += x % m;", f"SUM({word}, {n}, {a}, REM(x, {m}))"),
        "quotient": ("k += x / m;", f"SUM({word}, {n}, {a}, QUO(x, {m}))"),
        "bits": ("k ^= x % m;", f"XORS({n}, {a}, REM(x, {m}))"),
        "divisible": ("if (x % m == 0) k++;", f"COUNT({n}, {a}, REM(x, {m}) == 0)"),
        "not": ("if (x % m) k++;", f"COUNT({n}, {a}, REM(x, {m}) != 0)"),
        "equal": ("if (x % m == r) k++;", f"COUNT({n}, {a}, REM(x, {m}) == {sig.at('r') if kind == 'equal' else 0})"),
        "above": (f"if (x % m > {number}) k++;", f"COUNT({n}, {a}, REM(x, {m}) > {number})"),
        "most": (f"{elem.c} y = x % m; if (y > k) k = y;", f"MAX(0, {n}, {a}, REM(x, {m}))"),
    }[kind]
    c = f"{total} k = 0; {walk.loop(elem, body)} return k;"
    key = f"divide-{kind}/{elem.c}/{walk.count}/{total}"
    return make("modular", key, sig, total, c, f"return {own};", (number,))


def _each(rng: random.Random) -> Pair:
    """Every element divided by one variable, in place or not: one multiplication in double precision for each."""
    elem = rng.choice([I32, I32, U32, I16, U16])
    count = rng.choice(list(COUNTS))
    sig = Signature()
    kind = rng.choice(["quotient", "quotient", "rest", "scaled"])
    out = rng.random() < 0.5
    sig.add("a", f"{const_word(rng) if out else ''}{elem.c} *a", "p" + elem.shape)
    if out:
        sig.add("o", f"{elem.c} *o", "o" + elem.shape)
    sig.add("n", f"{count} n", f"n:{COUNTS[count]}")
    m_elem = elem if elem.bits == 32 else I32
    sig.add("m", f"{m_elem.c} m", f"c{m_elem.shape}")
    sig.shuffle(rng)
    a, n, m = sig.at("a"), sig.at("n"), sig.at("m")
    o = sig.at("o") if out else a
    plus = rng.randint(1, 99)
    plain = {"quotient": "a[i] / m", "rest": "a[i] % m", "scaled": f"a[i] / m + {plus}"}[kind]
    whole = m_elem.word
    quotient = f"({whole})({a}[i] * r)"
    own = {"quotient": quotient, "rest": f"{a}[i] - {quotient} * {m}", "scaled": f"{quotient} + {plus}"}[kind]
    c = f"for ({count} i = 0; i < n; i++) {'o' if out else 'a'}[i] = {plain};"
    if not out and kind == "quotient" and rng.random() < 0.5:
        c = f"for ({count} i = 0; i < n; i++) a[i] /= m;"
    text = f"f64 r = INVERSE({m}); for (u64 i = 0; i < LEN({n}); i++) {o}[i] = {own};"
    return make("modular", f"each-{kind}/{elem.c}/{count}/{out}", sig, "void", c, text)


def _held_josephus(rng: random.Random) -> Pair:
    """Who is left when every second or third leaves: the modulus grows by one a step."""
    count = rng.choice(["int", "unsigned", "long"])
    k = rng.choice([2, 3])
    sig = Signature()
    sig.add("n", f"{count} n", f"m:{COUNTS[count]}")
    plus = rng.choice([0, 1])
    c = f"{count} r = 0; for ({count} i = 2; i <= n; i++) r = (r + {k}) % i; return r{' + 1' * plus};"
    word = COUNTS[count]
    text = f"{word} s = 0; for ({word} i = 2; i <= a; i++) s = WRAP(s + {k}, i); return s{' + 1' * plus};"
    return make("held-josephus", f"{count}/{k}/{plus}", sig, count, c, text)


def _held_congruent(rng: random.Random) -> Pair:
    """How many pairs leave the same (or another) remainder."""
    elem = rng.choice([I32, U32])
    count = rng.choice(list(COUNTS))
    walk = Walk(count, rng.choice(["for", "while", "countdown"]))
    sig = Signature()
    walk.declare(sig, elem, rng)
    sig.add("b", f"{const_word(rng)}{elem.c} *b", f"q{elem.shape}")
    sig.add("m", f"{elem.c} m", f"c{elem.shape}")
    sig.shuffle(rng)
    operator = rng.choice(["==", "!=", ">"])
    c = f"int k = 0; {walk.loop(elem, f'if (x % m {operator} y % m) k++;', two=elem)} return k;"
    m = sig.at("m")
    text = f"return COUNT2({walk.n(sig)}, {sig.at('a')}, {sig.at('b')}, REM(x, {m}) {operator} REM(y, {m}));"
    return make("held-congruent", f"{elem.c}/{count}/{operator}", sig, "int", c, text)
