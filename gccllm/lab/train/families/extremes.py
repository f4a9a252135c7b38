"""Extremes of one array or two: the value, where it first is, how far apart they are.

Covered: integers, ties (the first one counts), counts of zero and one. Not covered: the last one of several.
"""

from __future__ import annotations

import random

from gccllm.lab.train.families.terms import one_array, term, two_arrays
from gccllm.lab.train.predicates import draw_predicate
from gccllm.lab.train.shapes import ELEMS, I16, I32, I64, U8, U32, U64, Pair, Walk, make


def draw(rng: random.Random) -> Pair:
    kinds = {extreme: 2, extreme_two: 1, spread: 1, arg: 4}
    return rng.choices(list(kinds), list(kinds.values()))[0](rng)


def extreme(rng: random.Random) -> Pair:
    """Largest or smallest, from the first element (always read) or a number; of a class or an expression."""
    elem = rng.choice([I32, I32, *ELEMS])
    sig, count = one_array(rng, elem)
    largest = rng.random() < 0.5
    start = rng.choice(["first", "first", "first", "number", "arg"])
    predicate = draw_predicate(rng, elem, sig) if start != "first" and rng.random() < 0.4 else None
    if start == "arg":
        sig.add("m0", f"{elem.c} m0", f"c{elem.shape}")
    sig.shuffle(rng)
    number = rng.choice([0, 0, elem.low if largest else elem.high, rng.randint(1, 100)])
    plain, lanes, name = "x", "x", "x"
    if start != "first" and rng.random() < 0.4 and elem.bits >= 32:
        name, plain, lanes = term(rng, elem, False)
        if elem.signed and name in ("square", "abs") and not largest:
            name, plain, lanes = "minus", "(5 - x)", "5 - x"  # what gcc knows the sign of is not computed
    operator = (">" if largest else "<") + rng.choice(["", "", "="])
    test = rng.choice(
        [f"if (v {operator} m) m = v;", f"m = v {operator} m ? v : m;", f"m = m {'<' if largest else '>'} v ? v : m;"]
    )
    if predicate:
        test = (
            f"if ({predicate.c}) {{ {test} }}" if rng.random() < 0.5 else f"if ({predicate.c} && v {operator} m) m = v;"
        )
    if not largest and not elem.signed and number == 0:
        number = elem.high
    first = {"first": "a[0]", "number": elem.literal(number) if number > -(1 << 63) else "INT64_MIN", "arg": "m0"}[
        start
    ]
    begin = rng.choice(["0", "1", "1"]) if start == "first" else "0"
    loop = f"for ({count} i = {begin}; i < n; i++) {{ {elem.c} x = a[i]; {elem.c} v = {plain}; {test} }}"
    a, n = sig.at("a"), sig.at("n")
    m = {
        "first": f"{a}[0]",
        "number": "-1" if number == elem.high and not elem.signed else str(number),
        "arg": sig.at("m0") if start == "arg" else "",
    }[start]
    lanes = f"SEL({predicate.text(sig)}, {lanes}, {m})" if predicate else lanes
    answer = f"return {'MAX' if largest else 'MIN'}({m}, {n}, {a}, {lanes});"
    c = f"{elem.c} m = {first}; {loop} return m;"
    key = f"extreme-{start}/{elem.c}/{operator}/{name}/{predicate.name if predicate else ''}/{count}"
    return make("fold", key, sig, elem.c, c, answer, predicate.values if predicate else ())


def extreme_two(rng: random.Random) -> Pair:
    """The largest (smallest) difference, sum or element of two arrays."""
    elem = rng.choice([I32, I32, U32, I64, U64])
    sig, count = two_arrays(rng, elem)
    sig.shuffle(rng)
    largest = not elem.signed or rng.random() < 0.5
    name, plain, lanes = rng.choice(
        [("absdiff", "x > y ? x - y : y - x", "LARGER(x, y) - SMALLER(x, y)")] * largest
        + [
            ("diff", "x - y", "x - y"),
            ("plus", "x + y", "x + y"),
            ("times", "x * y", "x * y"),
            ("larger", "x > y ? x : y", "LARGER(x, y)"),
            ("smaller", "x < y ? x : y", "SMALLER(x, y)"),
        ]
    )
    operator = ">" if largest else "<"
    body = f"{elem.c} v = {plain}; if (v {operator} m) m = v;"
    walk = Walk(count, rng.choice(["for", "for", "while", "pointer"]))
    c = f"{elem.c} m = 0; {walk.loop(elem, body, two=elem)} return m;"
    a, b, n = (sig.at(k) for k in "abn")
    answer = f"return {'MAX2' if largest else 'MIN2'}(0, {n}, {a}, {b}, {lanes});"
    return make("fold", f"extremetwo/{elem.c}/{name}{operator}/{count}", sig, elem.c, c, answer)


def spread(rng: random.Random) -> Pair:
    """Largest minus smallest, or their sum or middle."""
    elem = rng.choice([I32, I32, *ELEMS])
    sig, count = one_array(rng, elem)
    sig.shuffle(rng)
    t = elem.c
    declare = rng.choice([f"{t} lo = a[0], hi = a[0];", f"{t} hi = a[0], lo = a[0];"])
    otherwise = rng.choice(["", "else "])
    body = rng.choice(
        [
            f"if (a[i] < lo) lo = a[i]; {otherwise}if (a[i] > hi) hi = a[i];",
            f"if (a[i] > hi) hi = a[i]; {otherwise}if (a[i] < lo) lo = a[i];",
            "lo = a[i] < lo ? a[i] : lo; hi = a[i] > hi ? a[i] : hi;",
        ]
    )
    name, after = rng.choice([("minus", "hi - lo"), ("minus", "hi - lo"), ("minus", "hi - lo"), ("plus", "hi + lo")])
    guard = rng.choice(["", "", "if (n <= 0) return 0; "])
    a, n = sig.at("a"), sig.at("n")
    high, low = f"MAX({a}[0], {n}, {a}, x)", f"MIN({a}[0], {n}, {a}, x)"
    answer = f"return {high} {'-' if name == 'minus' else '+'} {low};"
    if guard:
        answer = f"if ({n} <= 0) return 0; {answer}"
    c = f"{guard}{declare} for ({count} i = 1; i < n; i++) {{ {body} }} return {after};"
    return make("fold", f"spread-{name}/{t}/{otherwise.strip()}/{count}/{len(guard) > 0}", sig, t, c, answer)


def arg(rng: random.Random) -> Pair:
    """Index of the first largest or smallest element: the value in one pass, where it first is in another."""
    elem = rng.choice([I32, I32, *ELEMS])
    sig, count = one_array(rng, elem)
    sig.shuffle(rng)
    largest = rng.random() < 0.5
    operator = ">" if largest else "<"
    kind = rng.choice(["index", "index", "value", "late", "pointer", "missing"])
    t = elem.c
    take = f"if (a[i] {operator} m) {{ m = a[i]; k = i; }}"
    start = rng.choice(["0", "1"])
    ctype = count
    a, n = sig.at("a"), sig.at("n")
    c = {
        "index": f"{count} k = 0; for ({count} i = 1; i < n; i++) if (a[i] {operator} a[k]) k = i; return k;",
        "late": f"{count} k = 0; for ({count} i = 0; i < n; i++) if (a[i] {operator} a[k]) k = i; return k;",
        "value": f"if (n <= 1) return 0; {t} m = a[0]; {count} k = 0; "
        f"for ({count} i = {start}; i < n; i++) {take} return k;",
        "pointer": f"{'const ' * ('const' in sig.c)}{t} *p = a; for ({count} i = 1; i < n; i++) "
        f"if (a[i] {operator} *p) p = a + i; return (void *)p;",
        "missing": f"if (n == 0) return -1; {t} m = a[0]; {count} k = 0; "
        f"for ({count} i = 1; i < n; i++) {take} return k;",
    }[kind]
    m = f"{elem.word} m = {'MAX' if largest else 'MIN'}({a}[0], {n}, {a}, x);"
    found = f"FINDZ({a}, x == m)"
    answer = {
        "pointer": f"if ({n} <= 1) return {a}; {m} return {a} + {found};",
        "missing": f"if ({n} == 0) return -1; {m} return {found};",
    }.get(kind, f"if ({n} <= 1) return 0; {m} return {found};")
    if kind == "pointer":
        ctype = "void *"
    if kind == "missing":
        ctype = "long" if count in ("long", "size_t") else "int"
    return make("fold", f"arg{operator}-{kind}/{t}/{count}", sig, ctype, c, answer)


def held_gap(rng: random.Random) -> Pair:
    """How far the largest element lies behind the smallest: two extremes, two searches."""
    elem = rng.choice([I32, U32, I64, I16])
    sig, count = one_array(rng, elem)
    sig.shuffle(rng)
    a, n = sig.at("a"), sig.at("n")
    c = (
        f"if (n <= 1) return 0; {count} k = 0, j = 0; for ({count} i = 1; i < n; i++) {{ if (a[i] > a[k]) k = i; "
        "if (a[i] < a[j]) j = i; } return k - j;"
    )
    w = elem.word
    answer = (
        f"if ({n} <= 1) return 0; {w} m = MAX({a}[0], {n}, {a}, x); {w} s = MIN({a}[0], {n}, {a}, x); "
        f"return FINDZ({a}, x == m) - FINDZ({a}, x == s);"
    )
    return make("held-gap", f"{elem.c}/{count}", sig, count, c, answer)


def held_often(rng: random.Random) -> Pair:
    """How often the largest (smallest) element occurs: an extreme, then a count."""
    elem = rng.choice([I32, U32, I64, U8])
    sig, count = one_array(rng, elem)
    sig.shuffle(rng)
    a, n = sig.at("a"), sig.at("n")
    largest = rng.random() < 0.5
    operator = ">" if largest else "<"
    c = (
        f"if (n <= 0) return 0; {elem.c} m = a[0]; {count} k = 0; for ({count} i = 0; i < n; i++) {{ "
        f"if (a[i] {operator} m) {{ m = a[i]; k = 1; }} else if (a[i] == m) k++; }} return k;"
    )
    answer = (
        f"if ({n} <= 0) return 0; {elem.word} m = {'MAX' if largest else 'MIN'}({a}[0], {n}, {a}, x); "
        f"return COUNT({n}, {a}, x == m);"
    )
    return make("held-often", f"{operator}/{elem.c}/{count}", sig, count, c, answer)
