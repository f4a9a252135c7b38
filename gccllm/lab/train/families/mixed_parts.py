"""Parts that `mixed` composes freely: what is computed of an element, tests of that, and where elements come from.

An expression or test is written twice, as C over x (and y) and as lanes over the same names; `@c` stands for the letter
of a parameter. Where C computes in a wider type than the elements', the plain side says so with a cast, and what gcc
could only get wrong by undefined overflow (sums of signed words, then compared) is not composed at all.

Covered: one array, two arrays, elements some places apart, NUL-terminated strings; integers of 8 to 64 bits. Not
covered: floats, comparisons of which gcc moves a constant to the other side (a shift, then a comparison).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from random import Random

from gccllm.lab.train.predicates import compare, draw_predicate
from gccllm.lab.train.shapes import COUNTS, I32, U32, Elem, Pair, Signature, Walk, const_word, make

FACTORS = (13, 23, 26, 29, 39, 46, 53, 58, 69, 71, 79, 83, 87, 91, 93, 97)
"""Factors that gcc multiplies by, where others become shifts and sums."""
_ADDS = ("plus", "minus", "from", "not", "apart", "beyond", "argplus")
_BOUNDS = ("atleast", "atmost", "and", "or", "beyond")
_MERGED = {
    "plus": _ADDS, "minus": _ADDS, "from": _ADDS, "xor": ("xor", "not"), "and": ("and", "or", "xor", "times"),
    "or": ("or", "and", "not"), "not": ("xor", "not", *_ADDS), "times": ("times", "twice"), "twice": ("times", "twice"),
    "atleast": _BOUNDS, "atmost": _BOUNDS, "abs": ("abs", "and", "atleast", "square"),
}  # fmt: skip
"""What gcc makes one operation of, with a number that neither had."""
_COUNT_TYPES = ("int", "int", "int", "unsigned", "long", "size_t", "size_t")


class Again(Exception):
    """The parts drawn do not go together: draw others."""


@dataclass
class Draft:
    """A function in the making."""

    rng: Random
    elem: Elem
    sig: Signature = field(default_factory=Signature)
    values: list[int] = field(default_factory=list)
    has_inner_loop: bool = False

    def scalar(self, name: str, elem: Elem | None = None) -> str:
        """A parameter of the element's type, added once; its place in an answer."""
        e = elem or self.elem
        if name not in [p.name for p in self.sig.params]:
            self.sig.add(name, f"{e.c} {name}", f"c{e.shape}")
        return f"@{name}"

    def number(self, low: int = 2, high: int = 100) -> int:
        return self.rng.randint(low, min(high, self.elem.high))

    def pair(self, key: str, returns: str, c: str, answer: str) -> Pair:
        """Raises Again for more parameters than a function may have."""
        self.sig.shuffle(self.rng)
        if len(self.sig.params) > 6:
            raise Again
        text = re.sub(r"@(\w+)", lambda m: self.sig.at(m[1]), answer)
        return make("mixed", key, self.sig, returns, c, text, tuple(dict.fromkeys(self.values))[:16])


@dataclass(frozen=True)
class Expr:
    """Something computed of an element."""

    name: str
    c: str
    lanes: str
    is_exact: bool = True
    """C's value is that of the lanes without a cast to the elements' type."""
    is_risky: bool = False
    """Signed C that may overflow: fit to be added or stored, not to be compared or widened."""
    before: str = ""
    """Statements of the plain side that come first."""

    def exact(self, elem: Elem) -> str:
        """C with the lanes' value. Raises Again where there is none."""
        if self.is_risky:
            raise Again
        return inner(self.c) if self.is_exact else f"({elem.c}){inner(self.c)}"


@dataclass(frozen=True)
class Condition:
    """A condition on an element or two."""

    name: str
    c: str
    lanes: str
    is_of_bits: bool = False
    """gcc does not put it together with a comparison."""
    before: str = ""


def _closed(text: str) -> bool:
    if re.fullmatch(r"@?\w+", text):
        return True
    match = re.match(r"[A-Z0-9]*\(", text)
    if not match:
        return False
    depth = 0
    for i, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if depth == 0 and i >= match.end() - 1:
            return i == len(text) - 1
    return False


def inner(text: str) -> str:
    """Text fit to be an operand."""
    return text if _closed(text) else f"({text})"


X, Y = Expr("x", "x", "x"), Expr("y", "y", "y")


def other(text: str) -> str:
    """The same of y."""
    return re.sub(r"\bx\b", "y", text)


def unary(d: Draft, e: Expr) -> Expr:
    """One more operation on `e`."""
    rng, elem = d.rng, d.elem
    n, s, p, q = d.number(5), rng.randint(1, max(1, elem.bits // 2)), inner(e.c), inner(e.lanes)
    narrow, wide = elem.bits < 32, elem.bits >= 32
    wraps, risky = not narrow, wide and elem.signed
    names = ["plus", "minus", "from", "xor", "and", "or", "not", "xor", "and"]
    names += ["times", "twice"] * (elem.bits >= 16) + ["abs", "abs"] * elem.signed
    names += ["atleast", "atmost"]
    if e is X or e is Y:
        names += ["square"] * wide + ["mix", "shift"] * (elem.bits >= 16) + ["argxor", "argand", "argplus"]
        names += ["apart", "argapart"] if not elem.signed else []
        names += ["beyond", "clear", "lowest"] * (not elem.signed) + ["rotate"] * (elem == U32)
        names += ["rest", "rest", "quotient"] * (elem in (I32, U32))
    if e is X and elem == U32 and not d.has_inner_loop:
        names += ["digits"] * 3
    name = rng.choice(names)
    said = name if e in (X, Y) else f"{name}.{e.name}"
    if e.name.split(".")[0] in _MERGED.get(name, ()):
        raise Again
    n = rng.choice(FACTORS) if name == "times" else n

    def same(c: str, lanes: str, *, exact: bool = True, over: bool = False) -> Expr:
        return Expr(said, c, lanes, exact and e.is_exact, over or e.is_risky, e.before)

    if name in ("plus", "minus", "times", "xor", "or"):
        sign = {"plus": "+", "minus": "-", "times": "*", "xor": "^", "or": "|"}[name]
        bits = sign in "^|"
        return same(f"{p} {sign} {n}", f"{q} {sign} {n}", exact=bits or wraps, over=not bits and risky)
    if name == "from":
        return same(f"{n} - {p}", f"{n} - {q}", exact=wraps, over=risky)
    if name == "and":
        n = rng.choice([1, 3, 7, 15, 31, 63, 127, n])
        return Expr(said, f"{p} & {n}", f"{q} & {n}", before=e.before)
    if name == "not":
        return same(f"~{p}", f"~{q}", exact=wraps or elem.signed)
    if name in ("twice", "square"):
        sign = "+" if name == "twice" else "*"
        return same(f"{p} {sign} {p}", f"{q} {sign} {q}", exact=wraps, over=risky)
    if name == "abs":
        v = e.exact(elem)
        text = rng.choice([f"({v} < 0 ? -{v} : {v})", f"({v} >= 0 ? {v} : -{v})", f"({v} > 0 ? {v} : -{v})"])
        return Expr(said, text, f"ABS({e.lanes})", wraps, risky, e.before)
    if name in ("atleast", "atmost"):
        v = e.exact(elem)
        up = name == "atleast"
        sign, turned = (">", "<") if up else ("<", ">")
        text = rng.choice([f"({v} {sign} {n} ? {v} : {n})", f"({v} {turned} {n} ? {n} : {v})"])
        return Expr(said, text, f"{'LARGER' if up else 'SMALLER'}({e.lanes}, {n})", before=e.before)
    v = p
    if name in ("mix", "shift", "clear", "lowest", "rotate"):
        text = {"mix": f"{v} ^ ({v} >> {s})", "shift": f"{v} >> {s}", "clear": f"{v} & ({v} - 1)",
                "lowest": f"{v} & -{v}", "rotate": f"({v} << {s}) | ({v} >> {elem.bits - s})"}[name]  # fmt: skip
        return same(text, text)
    if name in ("argxor", "argand", "argplus"):
        c = d.scalar("c")
        sign = {"argxor": "^", "argand": "&", "argplus": "+"}[name]
        return same(f"{v} {sign} c", f"{v} {sign} {c}", exact=sign != "+" or wraps, over=sign == "+" and risky)
    if name in ("apart", "argapart"):
        k, lanes = ("c", d.scalar("c")) if name == "argapart" else (str(n), str(n))
        text = rng.choice([f"({v} > {k} ? {v} - {k} : {k} - {v})", f"({v} < {k} ? {k} - {v} : {v} - {k})"])
        return same(text, f"LARGER({v}, {lanes}) - SMALLER({v}, {lanes})")
    if name == "beyond":
        return same(f"({v} > {n} ? {v} - {n} : 0)", f"LARGER({v}, {n}) - {n}")
    if name in ("rest", "quotient"):
        m = d.scalar("by")
        return same(f"{v} {'%' if name == 'rest' else '/'} by", f"{'REM' if name == 'rest' else 'QUO'}({v}, {m})")
    d.has_inner_loop = True
    loop = rng.choice(["while (w_) { d_ += w_ % 10; w_ /= 10; }", "for (; w_ > 0; w_ /= 10) d_ += w_ % 10;",
                       "while (w_ != 0) { d_ += w_ % 10; w_ = w_ / 10; }"])  # fmt: skip
    return Expr("digits", "d_", "DIGITSUMS(10)", before=f"uint32_t d_ = 0, w_ = {v}; {loop} ")


def binary(d: Draft, e: Expr, f: Expr) -> Expr:
    """Two expressions put together."""
    rng, elem = d.rng, d.elem
    wraps, risky = elem.bits >= 32, elem.bits >= 32 and elem.signed
    name = rng.choice(["+", "-", "^", "&", "|", "&~", "larger", "smaller", "apart"] + ["*", "*"] * wraps)
    said, before = f"({e.name}{name}{f.name})", e.before + f.before
    p, q, u, v = inner(e.c), inner(f.c), inner(e.lanes), inner(f.lanes)
    exact, over = e.is_exact and f.is_exact, e.is_risky or f.is_risky
    if name in ("larger", "smaller", "apart"):
        if name == "apart" and elem.signed:
            raise Again
        p, q = e.exact(elem), f.exact(elem)
        if name == "apart":
            text = rng.choice([f"({p} > {q} ? {p} - {q} : {q} - {p})", f"({p} < {q} ? {q} - {p} : {p} - {q})"])
            lanes = f"LARGER({e.lanes}, {f.lanes}) - SMALLER({e.lanes}, {f.lanes})"
            return Expr(said, text, lanes, before=before)
        sign, turned = (">", "<") if name == "larger" else ("<", ">")
        text = rng.choice([f"({p} {sign} {q} ? {p} : {q})", f"({q} {turned} {p} ? {p} : {q})"])
        return Expr(said, text, f"{name.upper()}({e.lanes}, {f.lanes})", before=before)
    if name == "&~":
        return Expr(said, f"{p} & ~{q}", f"{u} & ~{v}", exact, over, before)
    arithmetic = name in "+-*"
    return Expr(said, f"{p} {name} {q}", f"{u} {name} {v}", exact and (wraps or not arithmetic),
                over or (risky and arithmetic), before)  # fmt: skip


def expression(d: Draft, *, two: bool = False, plain: float = 0.2) -> Expr:
    """An expression, most of the time one or two operations deep."""
    rng = d.rng
    e = X
    draw = rng.random()
    if two:
        e, f = (unary(d, X) if rng.random() < 0.25 else X), (unary(d, Y) if rng.random() < 0.25 else Y)
        e = binary(d, e, f)
        return unary(d, e) if rng.random() < 0.25 else e
    if draw < plain:
        return e
    e = unary(d, e)
    if draw > 0.62:
        e = unary(d, e)
    elif draw > 0.5:
        e = binary(d, e, rng.choice([X, unary(d, X)]))
    return e


def _simple(d: Draft) -> Condition:
    """A test of `predicates`; what it needs as a parameter is added once."""
    known = {p.name for p in d.sig.params}
    kept = len(d.sig.params)
    found = draw_predicate(d.rng, d.elem, d.sig)
    added = d.sig.params[kept:]
    d.sig.params[kept:] = [p for p in added if p.name not in known]
    if found.name in ("three", "four"):
        raise Again  # gcc makes a test of bits of it: `strings`
    d.values += found.values
    lanes = re.sub(r"\{(\w+)\}", r"@\1", found.vector)
    return Condition(found.name, found.c, lanes, found.name in ("test", "clear"))


def computed(d: Draft, e: Expr) -> Condition:
    """A test of an expression: against a number, or of some of its bits."""
    rng, elem = d.rng, d.elem
    last, before = e.name.split(".")[0], e.before
    v, lanes = e.exact(elem), inner(e.lanes)
    if last in ("clear", "lowest", "and", "argand") and rng.random() < 0.5:
        sign = rng.choice(["==", "!="])
        return Condition(f"{e.name}{sign}", f"{v} {sign} 0", f"{lanes} {sign} 0", True, before)
    if last in ("xor", "or", "not", "twice", "atleast", "atmost", "beyond", "lowest", "clear", "shift", "abs", "square",
                "apart"):  # fmt: skip
        raise Again  # gcc tests x itself
    number = d.number(3, 60) if last != "and" else 0
    if last == "digits" or last in ("rest", "quotient"):
        number = rng.randint(0, 20)
    d.values.append(number)
    name = rng.choice(["gt", "le", "gt", "eq", "ne"])
    if not last.startswith(("rest", "quotient", "digits", "argand", "(")) or "-" in last or "^" in last:
        name = rng.choice(["gt", "le"])  # where it is equal is asked of x itself
    text = compare(elem, name, number).replace("x", lanes, 1)
    sign = {"gt": ">", "le": "<=", "eq": "==", "ne": "!="}[name]
    return Condition(f"{e.name}{sign}", f"{v} {sign} {elem.literal(number)}", text, last in ("argand", "mix"), before)


def condition(d: Draft, *, is_two: bool = False, simple: float = 0.5) -> Condition:
    """A condition: of an element, of an expression, of a pair, or two of them."""
    rng = d.rng
    if is_two:
        return _relation(d)
    draw = rng.random()
    if draw < simple:
        return _simple(d)
    if draw < 0.5 + simple / 2:
        return computed(d, unary(d, X))
    one, more = _simple(d), _simple(d) if rng.random() < 0.5 else computed(d, unary(d, X))
    if one.is_of_bits == more.is_of_bits or {"eq", "ne", "either", "argeq"} & {one.name, more.name}:
        raise Again  # gcc would make one test of two
    if rng.random() < 0.5:
        one, more = more, one
    sign, lanes = rng.choice([("&&", "&"), ("&&", "&"), ("||", "|")])
    return Condition(f"({one.name}{lanes}{more.name})", f"({inner(one.c)} {sign} {inner(more.c)})",
                f"({one.lanes}) {lanes} ({more.lanes})", before=one.before + more.before)  # fmt: skip


def _relation(d: Draft) -> Condition:
    """Of x and y."""
    rng, elem = d.rng, d.elem
    draw = rng.random()
    if draw < 0.35:
        sign = rng.choice(["==", "!=", "<", ">", "<=", ">="])
        return Condition(f"x{sign}y", f"x {sign} y", f"x {sign} y")
    if draw < 0.7:
        e = unary(d, X) if rng.random() < 0.5 else X
        f = unary(d, Y) if e is X or rng.random() < 0.3 else Y
        if any(part.name.split(".")[0] in ("plus", "minus", "from", "not", "xor") for part in (e, f)):
            raise Again  # moved to the other side
        sign = rng.choice(["==", "!=", "<", ">", "<=", ">="])
        text = f"{e.exact(elem)} {sign} {f.exact(elem)}"
        return Condition(f"{e.name}{sign}{f.name}", text, f"{inner(e.lanes)} {sign} {inner(f.lanes)}", before=e.before)
    return computed(d, binary(d, X, Y))


@dataclass
class Source:
    """Where elements come from."""

    kind: str
    walk: Walk | str | None
    n: str
    """Their number in an answer."""
    arrays: str = "@a"
    setup: str = ""
    """Of an answer, before anything else."""
    lag: int = 0
    count: str = ""

    @property
    def two(self) -> str:
        """What a macro's name ends in."""
        return "2" if "," in self.arrays else ""

    def guard(self, result: str) -> str:
        """Of an answer: without the elements that a lag needs there is nothing to do."""
        return f"if (@n <= {self.lag}) return {result}; " if self.lag else ""

    def loop(self, d: Draft, body: str) -> str:
        """C of the plain loop."""
        t = d.elem.c
        if self.kind == "string":
            return string_loop(d.rng, str(self.walk), body)
        if self.kind == "lag":
            return self._lagged(d, body)
        walk = self.walk
        assert isinstance(walk, Walk)
        text = walk.loop(d.elem, body, two=d.elem if self.two else None)
        bare = f"{t} x = a[i]; "
        if bare in text and not self.two and d.rng.random() < 0.3:
            text = re.sub(r"\bx\b", "a[i]", text.replace(bare, ""))
        return text

    def _lagged(self, d: Draft, body: str) -> str:
        t, i, k = d.elem.c, self.count, self.lag
        form = d.rng.choice(["next", "previous"] + ["kept"] * (k == 1))
        if form == "next":
            return f"for ({i} i = 0; i + {k} < n; i++) {{ {t} x = a[i], y = a[i + {k}]; {body} }}"
        if form == "previous":
            return f"for ({i} i = {k}; i < n; i++) {{ {t} x = a[i - {k}], y = a[i]; {body} }}"
        return f"if (n > 1) {{ {t} x = a[0]; for ({i} i = 1; i < n; i++) {{ {t} y = a[i]; {body} x = y; }} }}"


def string_loop(rng: Random, t: str, body: str) -> str:
    """C over the characters of a string, until its end."""
    here = re.sub(r"\bx\b", "*a", body)
    i = rng.choice(["int", "size_t", "long"])
    return rng.choice([
        f"for (; *a; a++) {{ {t} x = *a; {body} }}", f"while (*a != 0) {{ {t} x = *a; {body} a++; }}",
        f"for ({i} i = 0; a[i] != '\\0'; i++) {{ {t} x = a[i]; {body} }}", f"while (*a) {{ {here} a++; }}",
        f"{t} x; while ((x = *a)) {{ a++; {body} }}", f"{i} i = 0; while (a[i]) {{ {t} x = a[i]; {body} i++; }}",
        f"for ({t} x = *a; x; x = *++a) {{ {body} }}",
    ])  # fmt: skip


def source(d: Draft, kinds: str, *, const: bool = True, indexed: bool = False, backward: bool = False) -> Source:
    """A source of one of `kinds` (words), with its parameters."""
    rng, elem, sig = d.rng, d.elem, d.sig
    kind = rng.choice(kinds.split())
    if kind == "string":
        t = "char" if elem.signed else rng.choice(["unsigned char", "uint8_t"])
        sig.add("a", f"{const_word(rng) if const else ''}{t} *a", "z")
        return Source(kind, t, "k", setup="u64 k = FINDZ(@a, x == 0); ")
    if kind == "lag":
        count = rng.choice(_COUNT_TYPES)
        lag = rng.choice([1, 1, 1, 2, 3, 4])
        sig.add("a", f"{const_word(rng)}{elem.c} *a", f"p{elem.shape}")
        sig.add("n", f"{count} n", f"n:{COUNTS[count]}")
        return Source(kind, None, f"@n - {lag}", f"@a, @a + {lag}", lag=lag, count=count)
    walk = Walk.draw(rng, two=kind == "two", indexed=indexed, backward=backward)
    if kind == "two" and walk.count == "end":
        raise Again
    walk.declare(sig, elem, rng, const=const)
    if kind == "two":
        sig.add("b", f"{const_word(rng)}{elem.c} *b", f"q{elem.shape}")
    n = "@e - @a" if walk.count == "end" else "@n"
    return Source(kind, walk, n, "@a, @b" if kind == "two" else "@a", count=walk.count)
