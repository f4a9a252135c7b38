"""Folds of a source: one, two of one loop, one each of two arrays; and what is done with the number afterwards.

Covered: counts, sums, extremes, bitwise folds, set bits, runs, hashes; each of an expression, under a condition, over
any source. Not covered: what compilers do as well (sums and extremes of whole arrays of words), which `folds` has.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from random import Random

from gccllm.lab.train.families.mixed_parts import (
    FACTORS,
    Again,
    Condition,
    Draft,
    Expr,
    Source,
    condition,
    expression,
    inner,
    source,
)
from gccllm.lab.train.families.terms import TOTALS, total_of
from gccllm.lab.train.shapes import I8, I16, I32, I64, U8, U16, U32, U64, Elem, Pair

_ELEMS = (U8, U8, U8, I8, I8, U16, U16, I16, I16, I32, U32, U32, I64, U64)


@dataclass(frozen=True)
class Fold:
    """One number made of many elements; V is its variable in the plain side."""

    name: str
    detail: str
    """What it is a fold of: expression and condition."""
    ctype: str
    word: str
    start: str
    body: str
    value: str
    """Of an answer."""
    empty: str
    """What it is of no elements, in an answer."""

    def c(self, variable: str) -> str:
        return re.sub(r"\bV\b", variable, self.body)

    def declared(self, variable: str) -> str:
        return f"{self.ctype} {variable} = {self.start};"


def population(rng: Random, elem: Elem) -> str:
    """Statements that add the set bits of u_ to V, and leave nothing of u_."""
    one = f"({elem.c})1"
    return rng.choice([
        "while (u_) { V += u_ & 1; u_ >>= 1; }", "for (; u_; u_ >>= 1) V += u_ & 1;",
        "while (u_) { u_ &= u_ - 1; V++; }", "for (; u_ != 0; u_ /= 2) if (u_ % 2) V++;",
        f"for (int j_ = 0; j_ < {elem.bits}; j_++) V += (u_ >> j_) & 1;",
        f"for (int j_ = 0; j_ < {elem.bits}; j_++) if (u_ & ({one} << j_)) V++;",
    ])  # fmt: skip


def _guarded(rng: Random, test: str, statement: str, otherwise: str = "") -> str:
    """A statement under a condition, in one of its forms; `otherwise` is the ternary one."""
    forms = [f"if ({test}) {statement}", f"if ({test}) {{ {statement} }}", f"if (!({test})) ; else {statement}"]
    return rng.choice([*forms[:2], *forms, *[otherwise] * (2 * bool(otherwise))])


def fold(d: Draft, s: Source, names: str, *, part: tuple[str, str] | None = None, filtered: float = 0.5) -> Fold:
    """A fold of `s`, one of `names` (words). `part`: number and arrays, where it is not of all of it. Raises Again."""
    rng, elem = d.rng, d.elem
    name = rng.choice(names.split())
    n, arrays = part or (s.n, s.arrays)
    two = s.two
    is_two = bool(two)
    test = condition(d, is_two=is_two) if name in ("count", "runs") or rng.random() < filtered else None
    lanes, detail = (test.lanes, test.name) if test else ("", "")
    before = test.before if test else ""
    if name in ("count", "runs"):
        assert test
        total = rng.choice(["int", "int", "size_t", "long", "unsigned"])
        if name == "runs":
            if is_two:
                raise Again
            body = rng.choice([
                f"if ({test.c}) {{ if (!in_) V++; in_ = 1; }} else in_ = 0;",
                f"if (!({test.c})) in_ = 0; else if (!in_) {{ in_ = 1; V++; }}",
                f"int now_ = {inner(test.c)} ? 1 : 0; if (now_ && !in_) V++; in_ = now_;",
            ])  # fmt: skip
            return Fold("runs", detail, f"int in_ = 0; {total}", TOTALS[total], "0", before + body,
                        f"RUNS({n}, {arrays}, {lanes})", "0")  # fmt: skip
        body = rng.choice([f"if ({test.c}) V++;", f"V += {inner(test.c)};", f"V += {inner(test.c)} ? 1 : 0;",
                           f"if ({test.c}) V = V + 1;"])  # fmt: skip
        return Fold("count", detail, total, TOTALS[total], "0", before + body,
                    f"COUNT{two}({n}, {arrays}, {lanes})", "0")  # fmt: skip
    if name == "hash":
        word = rng.choice(["uint32_t", "uint32_t", "uint64_t"])
        if is_two or elem.signed or elem.bits > int(word[4:6]):
            raise Again
        base, start = (
            rng.choice([31, 33, 131, 65599, 16777619, *FACTORS, rng.randint(128, 4999) * 2 + 1]),
            rng.choice([0, 0, 5381, 7, 17]),
        )
        body = rng.choice([f"V = V * {base} + x;", f"V = {base} * V + x;", f"V *= {base}; V += x;"])
        w = word.replace("int", "").replace("_t", "")
        return Fold("hash", "", word, w, str(start), body, f"HASH(({w}){start}, {n}, {arrays}, {base})", str(start))
    e = expression(d, two=is_two, plain=0.35 if test else 0.1)
    detail = f"{e.name}~{detail}"
    before += e.before
    if e.before and test and test.before:
        raise Again
    if name == "pops":
        if elem.signed:
            raise Again
        total = rng.choice(["int", "int", "unsigned", "long", "size_t"])
        body = f"{elem.c} u_ = {e.c}; {population(rng, elem)}"
        body = f"if ({test.c}) {{ {body} }}" if test else body
        text = f"SEL({lanes}, {e.lanes}, 0)" if test else e.lanes
        return Fold("pops", detail, total, TOTALS[total], "0", before + body, f"POPS{two}({n}, {arrays}, {text})", "0")
    if name == "sum":
        total = total_of(rng, elem)
        is_wide = int(TOTALS[total][1:]) > elem.bits
        term = e.exact(elem) if is_wide else inner(e.c)
        text = f"SEL({lanes}, {e.lanes}, 0)" if test else e.lanes
        body = rng.choice([f"V += {term};", f"V = V + {term};", f"V = {term} + V;"])
        body = _guarded(rng, test.c, body, f"V += {inner(test.c)} ? {term} : 0;") if test else body
        value = f"SUM{two}({TOTALS[total]}, {n}, {arrays}, {text})"
        return Fold("sum", detail, total, TOTALS[total], "0", before + body, value, "0")
    if name in ("xor", "or", "and"):
        if is_two:
            raise Again
        sign, neutral = {"xor": ("^", "0"), "or": ("|", "0"), "and": ("&", "-1")}[name]
        text = f"SEL({lanes}, {e.lanes}, {neutral})" if test else e.lanes
        body = rng.choice([f"V {sign}= {e.c};", f"V = V {sign} {inner(e.c)};"])
        body = _guarded(rng, test.c, body) if test else body
        first = "" if name == "xor" else f"{neutral}, "
        return Fold(name, detail, elem.c, elem.word, neutral, before + body,
                    f"{name.upper()}S({first}{n}, {arrays}, {text})", neutral)  # fmt: skip
    if e.is_risky:
        raise Again
    f = _extreme(d, name, test, e)
    text = f"SEL({lanes}, {e.lanes}, {f.empty})" if test else e.lanes
    value = f"{name.upper()}{two}({f.empty}, {n}, {arrays}, {text})"
    return replace(f, detail=detail, body=before + f.body, value=value)


def _extreme(d: Draft, name: str, test: Condition | None, e: Expr) -> Fold:
    """The largest or the smallest, without its answer."""
    rng, elem = d.rng, d.elem
    sign, turned = (">", "<") if name == "max" else ("<", ">")
    none = rng.choice([0, elem.low, elem.low]) if name == "max" else elem.high
    if name == "max" and rng.random() < 0.15:
        none = d.number(3, 60)
    start = elem.literal(none) if none > -(1 << 63) else "INT64_MIN"
    said = "-1" if none == elem.high and not elem.signed else str(none)
    if rng.random() < 0.15:
        said, start = d.scalar("m0"), "m0"
    step = rng.choice([f"if (v_ {sign} V) V = v_;", f"V = v_ {sign} V ? v_ : V;", f"V = V {turned} v_ ? v_ : V;"])
    body = f"{elem.c} v_ = {e.c}; {step}"
    if test:
        body = rng.choice([
            f"if ({test.c}) {{ {body} }}",
            f"{elem.c} v_ = {e.c}; if ({test.c} && v_ {sign} V) V = v_;",
        ])  # fmt: skip
    return Fold(name, "", elem.c, elem.word, start, body, "", said)


def after(d: Draft, f: Fold, value: str) -> tuple[str, str, str, str]:
    """What is done with a number before it is returned: name, C type, C over k, answer."""
    rng = d.rng
    draw = rng.random()
    number = rng.randint(2, 100)
    total = f.ctype.split("; ")[-1]
    cast = value if not value.startswith("COUNT") or f.word == "u64" else f"({f.word}){value}"
    cast = f"({f.word}){value}" if value.startswith(("RUNS", "POPS")) and f.word != "u64" else cast
    if draw < 0.55:
        return "", total, "k", value
    if draw < 0.62:
        return "plus", total, f"k + {number}", f"{cast} + {number}"
    if draw < 0.68:
        sign = rng.choice(["!=", "=="])
        return sign, "int", f"k {sign} 0", f"{cast} {sign} 0"
    if draw < 0.76:
        return "above", "int", f"k > {number}", f"{cast} > {number}"
    if draw < 0.81:
        factor = rng.choice(FACTORS)
        return "times", total, f"k * {factor}", f"{cast} * {factor}"
    if draw < 0.85:
        return "less", total, f"{number} - k", f"{number} - {cast}"
    if draw < 0.89:
        return "negated", total, "-k", f"-{cast}"
    if draw < 0.93 and f.name not in ("xor", "pops"):
        return "odd", "int", "k & 1", f"{cast} & 1"
    if draw < 0.97:
        wide = Elem(int(f.word[1:]), f.word[0] == "i")
        place = d.scalar("q", wide)
        sign = rng.choice(["==", "==", "<", ">"])
        return f"{sign}arg", "int", f"k {sign} q", f"{cast} {sign} {place}"
    yes, no = rng.sample(range(2, 100), 2)
    return "choice", "int", f"k > {number} ? {yes} : {no}", f"{cast} > {number} ? {yes} : {no}"


def single(rng: Random) -> Pair:
    """One fold, then something of the number."""
    kinds, names, filtered = rng.choice([
        ("string", "count sum sum max min xor or pops runs", 0.5), ("string", "sum max min xor and or pops", 0.5),
        ("one", "count count pops pops pops runs runs hash", 0.35), ("one", "sum sum max min xor or and pops", 1.0),
        ("two", "count count sum pops pops max min", 0.5), ("lag", "count count sum max min pops pops", 0.4),
    ])  # fmt: skip
    d = Draft(rng, rng.choice([U8, I8, I8] if kinds == "string" else _ELEMS))
    s = source(d, kinds, backward=True)
    f = fold(d, s, names, filtered=filtered)
    if f.name in ("hash", "runs") and getattr(s.walk, "form", "") == "backward":
        raise Again
    name, ctype, text, said = after(d, f, f.value)
    if s.lag and name:
        raise Again  # the guard answers what no elements give
    c = f"{f.declared('k')} {s.loop(d, f.c('k'))} return {text};"
    answer = f"{s.setup}{s.guard(f.empty)}return {said};"
    kind = f"{f.name}-{kinds}{'-if' if '~' in f.detail and not f.detail.endswith('~') else ''}"
    return d.pair(f"{kind}/{d.elem.c}/{f.detail}{name}/{s.count}/{f.word}", ctype, c, answer)


_JOINS = ("k - m", "k - m", "k + m", "k * m", "k ^ m", "k > m", "k < m", "k == m", "k * N + m", "m ? k / m : 0",
          "k > m ? k : m", "k > m ? k - m : 0", "k != 0 & m != 0", "k - m * N", "m - k")  # fmt: skip


def _joined(d: Draft, one: Fold, two: Fold) -> tuple[str, str, str]:
    """Name, result's C type, and the expression over k and m."""
    text = d.rng.choice(_JOINS)
    name = text.replace(" ", "")
    if "/" in text and (one.word[0] == "i" or two.word[0] == "i"):
        raise Again  # the least number by -1
    result = "int" if any(sign in text for sign in ("==", "!=")) or text in ("k > m", "k < m") else (
        "long" if "64" in one.word + two.word else d.rng.choice(["int", "unsigned"])
    )  # fmt: skip
    return name, result, text.replace("N", str(d.rng.choice(FACTORS)))


def double(rng: Random) -> Pair:
    """Two folds of one loop and what comes of both."""
    kinds = rng.choice(["string", "string", "one", "one", "two", "lag"])
    names = {
        "string": "count count sum max min xor runs pops", "one": "count count sum max min xor pops pops runs hash",
        "two": "count count sum pops pops max min", "lag": "count count sum max min pops",
    }[kinds]  # fmt: skip
    d = Draft(rng, rng.choice([U8, I8] if kinds == "string" else _ELEMS))
    s = source(d, kinds)
    one, two = fold(d, s, names), fold(d, s, names)
    if (one.name, one.detail) == (two.name, two.detail) or {one.name, two.name} == {"runs"}:
        raise Again
    name, result, text = _joined(d, one, two)
    guard = ""
    if s.lag:
        if one.empty != "0" or two.empty != "0" or text.startswith(("k ==", "k != ")):
            raise Again
        guard = s.guard("0")
    bodies = [f"{{ {one.c('k')} }}" if "_ = " in one.body else one.c("k"),
              f"{{ {two.c('m')} }}" if "_ = " in two.body else two.c("m")]  # fmt: skip
    if rng.random() < 0.3:
        bodies.reverse()
    c = f"{one.declared('k')} {two.declared('m')} {s.loop(d, ' '.join(bodies))} return {text};"
    p, q = ("m", "s") if s.kind == "string" else ("k", "m")
    said = re.sub(r"\b[km]\b", lambda v: {"k": p, "m": q}[v[0]], text)
    answer = f"{s.setup}{guard}{one.word} {p} = {one.value}; {two.word} {q} = {two.value}; return {said};"
    key = f"both-{one.name}-{two.name}-{kinds}/{d.elem.c}/{one.detail}+{two.detail}/{name}/{s.count}"
    return d.pair(key, result, c, answer)


def apart(rng: Random) -> Pair:
    """A fold of each of two arrays, or of two strings, and what comes of both."""
    d = Draft(rng, rng.choice([U8, I8] if (string := rng.random() < 0.4) else _ELEMS))
    s = source(d, "string" if string else "one", indexed=True)
    if not string and s.count == "end":
        raise Again
    word = "const " if rng.random() < 0.7 else ""
    names = "count count sum sum max min xor pops runs" if string else "count count pops pops sum max min hash runs"
    one = fold(d, s, names)
    if string:
        t = str(s.walk)
        d.sig.add("b", f"{word}{t} *b", "y")
        other = Source("string", t, "r", "@b", "u64 r = FINDZ(@b, x == 0); ")
    else:
        d.sig.add("b", f"{word}{d.elem.c} *b", f"q{d.elem.shape}")
        other = Source("one", s.walk, s.n, "@b", "", count=s.count)
    d.has_inner_loop = False
    two = fold(d, other, names if rng.random() < 0.4 else one.name)
    name, result, text = _joined(d, one, two)
    first = s.loop(d, one.c("k"))
    second = re.sub(r"\*a\b", "*b", re.sub(r"\ba(?=\[|\+\+|\b)(?!\w)", "b", other.loop(d, two.c("m"))))
    c = f"{one.declared('k')} {two.declared('m')} {{ {first} }} {{ {second} }} return {text};"
    if one.name == two.name == "runs":
        raise Again
    p, q = ("m", "s") if string else ("k", "m")
    said = re.sub(r"\b[km]\b", lambda v: {"k": p, "m": q}[v[0]], text)
    values = f"{one.word} {p} = {one.value}; {other.setup}{two.word} {q} = {two.value};"
    kind = f"apart-{one.name}-{two.name}-{s.kind}"
    return d.pair(f"{kind}/{d.elem.c}/{one.detail}+{two.detail}/{name}/{s.count}", result, c,
                  f"{s.setup}{values} return {said};")  # fmt: skip


def monotone(rng: Random) -> Pair:
    """The extreme of what rises with the elements is that of the extreme; bitwise folds commute with moved bits."""
    elem = rng.choice([U32, U32, U64])
    d = Draft(rng, elem)
    s = source(d, "one")
    t, w = elem.c, elem.bits
    name, step, macro, ways = rng.choice([
        ("digits", "int v_ = 0; while (u_) { v_++; u_ /= 10; }", "DIGITS(F, 10)", "max min"),
        ("width", "int v_ = 0; while (u_) { v_++; u_ >>= 1; }", "WIDTH(F)", "min"),
        ("power", f"{t} v_ = 1; while (v_ < u_ && v_) v_ <<= 1;", "POW2(F)", "none"),
        ("root", f"{t} v_ = 0, b_ = ({t})1 << {w - 2}; while (b_ > u_) b_ >>= 2; while (b_) {{ if (u_ >= v_ + b_) "
                 "{ u_ -= v_ + b_; v_ = (v_ >> 1) + b_; } else v_ >>= 1; b_ >>= 2; }", "ISQRT(F)", "max min"),
        ("mirror", f"{t} v_ = 0; for (int j_ = 0; j_ < {w}; j_++) {{ v_ = (v_ << 1) | (u_ & 1); u_ >>= 1; }}",
         "MIRROR(F)", "xor or and"),
        ("trailing", f"int v_ = 0; while (v_ < {w} && !(u_ & 1)) {{ v_++; u_ >>= 1; }}", "TRAILING(F)", "low"),
    ])  # fmt: skip
    way = rng.choice(ways.split())
    if way == "none" or (name == "digits" and elem is U64):
        raise Again
    e = expression(d, plain=0.6)
    result = t if name in ("root", "mirror") else "int"
    start, body, value = {
        "max": ("0", "if (v_ > k) k = v_;", f"MAX(0, {s.n}, @a, {e.lanes})"),
        "min": (str(elem.bits) if name != "root" else elem.literal(elem.high >> (w // 2)), "if (v_ < k) k = v_;",
                f"MIN(-1, {s.n}, @a, {e.lanes})"),
        "low": (str(w), "if (v_ < k) k = v_;", f"ORS(0, {s.n}, @a, {e.lanes})"),
        "xor": ("0", "k ^= v_;", f"XORS({s.n}, @a, {e.lanes})"),
        "or": ("0", "k |= v_;", f"ORS(0, {s.n}, @a, {e.lanes})"),
        "and": ("-1", "k &= v_;", f"ANDS(-1, {s.n}, @a, {e.lanes})"),
    }[way]  # fmt: skip
    if name == "digits" and way == "min":
        start = "10"
    c = f"{result} k = {start}; {s.loop(d, f'{e.before}{t} u_ = {e.c}; {step} {body}')} return k;"
    answer = f"return {macro.replace('F', value)};"
    return d.pair(f"through-{name}-{way}/{t}/{e.name}/{s.count}", result, c, answer)
