"""Reductions of one array or two where any order gives the same bits: counts, sums, bitwise folds, extremes, positions.

Covered: integers; sums in the elements' type or a wider one, of a class or of an expression; two folds in one function;
what people do with the result before it is returned. Not covered: sums of floats (their order must stay), expressions
that C computes in a wider type than the elements' (products of bytes).
"""

from __future__ import annotations

import random

from gccllm.lab.train.families import extremes
from gccllm.lab.train.families.terms import RELATIONS, TOTALS, one_array, term, total_of, two_arrays
from gccllm.lab.train.predicates import Predicate, draw_predicate
from gccllm.lab.train.shapes import (
    ELEMS,
    I16,
    I32,
    I64,
    U8,
    U16,
    U32,
    U64,
    Elem,
    Pair,
    Signature,
    Walk,
    make,
)


def draw(rng: random.Random) -> Pair:
    kinds = {_count: 3, _count_two: 2, _sum: 4, _sum_two: 1, _bitwise: 1, _both: 4, _mean: 1, extremes.draw: 8}
    return rng.choices(list(kinds), list(kinds.values()))[0](rng)


def draw_held(rng: random.Random) -> Pair:
    """Ideas no pair of `draw` has, of the same macros in another combination."""
    return rng.choice([extremes.held_gap, extremes.held_often])(rng)


def _post(rng: random.Random, total: str, value: str) -> tuple[str, str, str]:
    """What people do with a total before they return it: C type, C over k, the answer."""
    draw = rng.random()
    if draw < 0.7:
        return total, "k", value
    number = rng.randint(2, 100)
    if draw < 0.78:
        return total, f"k + {number}", f"{value} + {number}"
    if draw < 0.84:
        return "int", "k != 0", f"{value} != 0"
    if draw < 0.9:
        return "int", f"k > {number}", f"{value} > {number}"
    if draw < 0.95:
        return total, f"k * {number}", f"{value} * {number}"
    return total, "-k", f"-{value}"


def _count(rng: random.Random) -> Pair:
    elem = rng.choice(ELEMS)
    walk = Walk.draw(rng, backward=True)
    sig = Signature()
    walk.declare(sig, elem, rng)
    predicate = draw_predicate(rng, elem, sig, wide_equal=True)
    total = rng.choice(["int", "int", "size_t", "long", "unsigned"])
    start = sig_start = "0"
    if rng.random() < 0.1:
        sig.add("k0", f"{total} k0", f"c:{'64' if TOTALS[total][1:] == '64' else '32'}:{int(TOTALS[total][0] == 'i')}")
        start, sig_start = "k0", "k0"
    sig.shuffle(rng)
    down = rng.random() < 0.1
    step = "-" if down else "+"
    body = rng.choice(
        [f"if ({predicate.c}) k{step}{step};", f"k {step}= ({predicate.c}) ? 1 : 0;", f"k {step}= ({predicate.c});"]
    )
    count = f"COUNT({walk.n(sig)}, {sig.at('a')}, {predicate.text(sig)})"
    value = {("0", False): count, ("0", True): f"-{count}"}.get((start, down), "")
    if sig_start != "0":
        value = f"({sig.at('k0')} {step} {count})"
    ctype, after, answer = _post(rng, total, _narrow(total, value))
    c = f"{total} k = {start}; {walk.loop(elem, body)} return {after};"
    key = f"count{'-down' * down}/{elem.c}/{predicate.name}/{walk.count}/{total}"
    return make("fold", key, sig, ctype, c, f"return {answer};", predicate.values)


def _narrow(total: str, value: str) -> str:
    """Counts come as u64: where what follows looks at the value, it has to be the total's."""
    return value if TOTALS[total][1:] == "64" and TOTALS[total][0] == "u" else f"({TOTALS[total]}){value}"


def _count_two(rng: random.Random) -> Pair:
    """How many positions of two arrays are in a relation."""
    elem = rng.choice(ELEMS)
    sig, count = two_arrays(rng, elem)
    kind = rng.choice(["relation", "relation", "relation", "test", "both", "xor"])
    operator = rng.choice(RELATIONS)
    bit = rng.choice([1, 2, 4, 8, 16, 32, 64, 3, 7, 15])
    other = rng.choice(RELATIONS[:4])
    plain, lanes = {
        "relation": (f"x {operator} y", f"x {operator} y"),
        "test": (f"(x & y) {'!=' if bit % 2 else '=='} 0", f"(x & y) {'!=' if bit % 2 else '=='} 0"),
        # with && gcc would read y only where x passes: the answer may not read more
        "both": (f"(x {other} c) & (y {operator} c)", f"(x {other} {{c}}) & (y {operator} {{c}})"),
        "xor": (f"((x ^ y) & {bit}) != 0", f"((x ^ y) & {bit}) != 0"),
    }[kind]
    if kind == "both":
        sig.add("c", f"{elem.c} c", f"c{elem.shape}")
    sig.shuffle(rng)
    total = rng.choice(["int", "int", "size_t", "long"])
    walk = Walk(count, rng.choice(["for", "for", "while", "countdown", "pointer"]))
    body = rng.choice([f"if ({plain}) k++;", f"k += ({plain});"])
    lanes = lanes.replace("{c}", sig.at("c") if kind == "both" else "")
    value = f"COUNT2({sig.at('n')}, {sig.at('a')}, {sig.at('b')}, {lanes})"
    ctype, after, answer = _post(rng, total, _narrow(total, value))
    c = f"{total} k = 0; {walk.loop(elem, body, two=elem)} return {after};"
    key = f"counttwo/{elem.c}/{kind}{operator}/{count}/{total}"
    return make("fold", key, sig, ctype, c, f"return {answer};", (bit,) if kind == "xor" else ())


def _sum(rng: random.Random) -> Pair:
    """Sum of all elements, of a class, of an expression, or of one or the other expression by class."""
    elem = rng.choice([I32, I32, U8, U8, I16, U16, U32, I64, U64, *ELEMS])
    walk = Walk.draw(rng, backward=True)
    sig = Signature()
    walk.declare(sig, elem, rng)
    total = total_of(rng, elem)
    wide = int(TOTALS[total][1:]) > elem.bits
    kind = rng.choice(["all", "class", "class", "term", "term", "termclass", "either"])
    predicate: Predicate | None = None
    if kind in ("class", "termclass", "either"):
        predicate = draw_predicate(rng, elem, sig)
    sig.shuffle(rng)
    name, plain, lanes = ("x", "x", "x") if kind in ("all", "class") else term(rng, elem, wide)
    sign = rng.choice(["+", "+", "+", "+", "-"])
    if kind == "either":
        other, plain_other, lanes_other = rng.choice([("x", "x", "x"), term(rng, elem, wide)])
        name = f"{name}-{other}"
    test = predicate.c if predicate else ""
    where = predicate.text(sig) if predicate else ""
    if kind == "either":
        body = rng.choice(
            [
                f"if ({test}) s {sign}= {plain}; else s {sign}= {plain_other};",
                f"s {sign}= {test} ? {plain} : {plain_other};",
            ]
        )
        lanes = f"SEL({where}, {lanes}, {lanes_other})"
    elif predicate:
        body = rng.choice([f"if ({test}) s {sign}= {plain};", f"s {sign}= {test} ? {plain} : 0;"])
        lanes = f"SEL({where}, {lanes}, 0)"
    else:
        body = f"s {sign}= {plain};"
    start = rng.choice(["0", "0", "0", "0", "0", "0", str(rng.randint(1, 100))])
    value = f"SUM({TOTALS[total]}, {walk.n(sig)}, {sig.at('a')}, {lanes})"
    answer = value if start == "0" and sign == "+" else f"{start} {sign} {value}" if start != "0" else f"-{value}"
    c = f"{total} s = {start}; {walk.loop(elem, body)} return s;"
    key = f"sum-{kind}/{elem.c}/{name}/{predicate.name if predicate else ''}{sign}/{walk.count}/{total}"
    return make("fold", key, sig, total, c, f"return {answer};", predicate.values if predicate else ())


def _sum_two(rng: random.Random) -> Pair:
    """Dot products, sums of differences, of what two arrays have in common, of the larger ones."""
    kind = rng.choice(
        ["dot", "dot", "absdiff", "absdiff", "and", "xor", "diff", "squares", "larger", "smaller", "where"]
    )
    elem = rng.choice([I32, I32, U32, I64, U64])
    if kind in ("and", "xor", "larger", "smaller"):
        elem = rng.choice([elem, U8, U8, U16, I16])
    elif kind == "absdiff":
        elem = rng.choice([elem, U8, U8, U16])
    sig, count = two_arrays(rng, elem)
    sig.shuffle(rng)
    total = total_of(rng, elem)
    if elem.bits >= 32 and kind in ("dot", "absdiff", "diff", "squares"):
        total = {32: "int" if elem.signed else "unsigned", 64: "long" if elem.signed else "size_t"}[elem.bits]
    operator = rng.choice(RELATIONS)
    plain, lanes = {
        "dot": ("x * y", "x * y"),
        "diff": ("(x - y)", "x - y"),
        "and": ("(x & y)", "x & y"),
        "xor": ("(x ^ y)", "x ^ y"),
        "absdiff": (rng.choice(["(x > y ? x - y : y - x)", "(x < y ? y - x : x - y)"]), "LARGER(x, y) - SMALLER(x, y)"),
        "squares": ("(x - y) * (x - y)", "(x - y) * (x - y)"),
        "larger": (rng.choice(["(x > y ? x : y)", "(y < x ? x : y)"]), "LARGER(x, y)"),
        "smaller": (rng.choice(["(x < y ? x : y)", "(y > x ? x : y)"]), "SMALLER(x, y)"),
        "where": (f"(x {operator} y ? x : 0)", f"SEL(x {operator} y, x, 0)"),
    }[kind]
    walk = Walk(count, rng.choice(["for", "for", "while", "countdown", "pointer"]))
    negative = rng.random() < 0.15
    value = f"SUM2({TOTALS[total]}, {sig.at('n')}, {sig.at('a')}, {sig.at('b')}, {lanes})"
    step = f"s {'-' if negative else '+'}= {plain};"
    c = f"{total} s = 0; {walk.loop(elem, step, two=elem)} return s;"
    key = f"sumtwo/{elem.c}/{kind}{operator if kind == 'where' else ''}/{count}/{total}"
    return make("fold", key, sig, total, c, f"return {'-' * negative}{value};")


def _bitwise(rng: random.Random) -> Pair:
    """Exclusive or, or, and over the array: of all elements or a class, then perhaps a test."""
    elem = rng.choice(ELEMS)
    walk = Walk.draw(rng)
    sig = Signature()
    walk.declare(sig, elem, rng)
    name, operator, none = rng.choice([("XORS", "^", "0"), ("XORS", "^", "0"), ("ORS", "|", "0"), ("ANDS", "&", "-1")])
    predicate = draw_predicate(rng, elem, sig) if rng.random() < 0.5 else None
    sig.shuffle(rng)
    start = "" if name == "XORS" else f"{none}, "
    if predicate:
        body = f"if ({predicate.c}) s {operator}= x;"
        lanes = f"SEL({predicate.text(sig)}, x, {none})"
    else:
        body, lanes = f"s {operator}= x;", "x"
        if rng.random() < 0.3:
            number = rng.randint(1, 100)
            body, lanes = f"s {operator}= x + {number};", f"x + {number}"
    value = f"{name}({start}{walk.n(sig)}, {sig.at('a')}, {lanes})"
    ctype, after, answer = elem.c, "s", value
    if rng.random() < 0.3:
        number = rng.randint(1, 100)
        ctype, after, answer = rng.choice(
            [
                ("int", "s != 0", f"{value} != 0"),
                ("int", "s == 0", f"{value} == 0"),
                (elem.c, f"s ^ {number}", f"{value} ^ {number}"),
                ("int", "s & 1", f"{value} & 1"),
            ]
        )
    c = f"{elem.c} s = {none}; {walk.loop(elem, body)} return {after};"
    key = f"bitwise{operator}/{elem.c}/{predicate.name if predicate else ''}/{walk.count}"
    return make("fold", key, sig, ctype, c, f"return {answer};", predicate.values if predicate else ())


def _fold(
    rng: random.Random, elem: Elem, sig: Signature, total: str
) -> tuple[str, str, str, tuple[int, ...], Predicate | None]:
    """One fold of two in a function: name, C statement with {v} the accumulator, answer with {p}."""
    kind = rng.choice(["count", "count", "sum", "sumclass"])
    predicate = draw_predicate(rng, elem, sig) if kind != "sum" else None
    if kind == "count" and predicate:
        return f"count.{predicate.name}", f"if ({predicate.c}) V++;", "COUNT(N, A, P)", predicate.values, predicate
    if predicate:
        text = f"SUM({TOTALS[total]}, N, A, SEL(P, x, 0))"
        return f"sum.{predicate.name}", f"if ({predicate.c}) V += x;", text, predicate.values, predicate
    return "sum", "V += x;", f"SUM({TOTALS[total]}, N, A, x)", (), None


def _both(rng: random.Random) -> Pair:
    """Two folds of one loop, then something of both."""
    elem = rng.choice([I32, I32, U8, I16, U16, U32, I64, U64])
    walk = Walk.draw(rng)
    sig = Signature()
    walk.declare(sig, elem, rng)
    total = total_of(rng, elem)
    one, two = (_fold(rng, elem, sig, total) for _ in range(2))
    names = [p.name for p in sig.params]
    if len(set(names)) != len(names) or one[0] == two[0] == "sum":
        return _both(rng)
    sig.shuffle(rng)
    w = TOTALS[total]
    after, number = (
        rng.choice(["k - m", "k - m", "k + m", "k * m", "k > m", "divide", "k * N + m", "k ^ m"]),
        rng.randint(2, 100),
    )
    after = after.replace("N", str(number))
    first, second = one[1].replace("V", "k"), two[1].replace("V", "m")
    c = f"{total} k = 0, m = 0; {walk.loop(elem, f'{first} {second}')} "
    c += "return m ? k / m : 0;" if after == "divide" else f"return {after};"

    def text(part: tuple[str, str, str, tuple[int, ...], Predicate | None]) -> str:
        lanes = part[4].text(sig) if part[4] else ""
        return part[2].replace("N,", f"{walk.n(sig)},").replace("A,", f"{sig.at('a')},").replace("P", lanes)

    answer = f"{w} k = {text(one)}; {w} m = {text(two)}; "
    answer += "return m ? k / m : 0;" if after == "divide" else f"return {after};"
    key = f"both-{one[0].split('.')[0]}-{two[0].split('.')[0]}/{elem.c}/{one[0]}/{two[0]}/{after}/{walk.count}"
    return make("fold", key, sig, total, c, answer, one[3] + two[3])


def _mean(rng: random.Random) -> Pair:
    """A sum divided by its count, or the mean of a class."""
    elem = rng.choice([I32, I32, U8, I16, U16, U32, I64, U64])
    sig, count = one_array(rng, elem)
    predicate = draw_predicate(rng, elem, sig) if rng.random() < 0.6 else None
    sig.shuffle(rng)
    total = total_of(rng, elem)
    w, a, n = TOTALS[total], sig.at("a"), sig.at("n")
    walk = Walk(count, rng.choice(["for", "for", "while"]))
    if predicate is None:
        guard = rng.choice(["if (n <= 0) return 0; ", "if (n == 0) return 0; "])
        c = f"{guard}{total} s = 0; {walk.loop(elem, 's += x;')} return s / ({total})n;"
        test = "<=" if "<=" in guard and count in ("int", "long") else "=="
        answer = f"if ({n} {test} 0) return 0; return SUM({w}, {n}, {a}, x) / ({w}){n};"
        return make("fold", f"mean-all/{elem.c}/{count}/{total}", sig, total, c, answer)
    lanes = predicate.text(sig)
    body = f"if ({predicate.c}) {{ s += x; k++; }}"
    c = f"{total} s = 0; {total} k = 0; {walk.loop(elem, body)} return k ? s / k : 0;"
    answer = f"{w} s = SUM({w}, {n}, {a}, SEL({lanes}, x, 0)); {w} k = COUNT({n}, {a}, {lanes}); return k ? s / k : 0;"
    return make(
        "fold", f"mean-class/{elem.c}/{predicate.name}/{count}/{total}", sig, total, c, answer, predicate.values
    )
