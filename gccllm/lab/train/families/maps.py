"""Maps: each element of an array, or of two, gives one of a third, or of one of the two.

Covered: any overlap that the plain loop allows; integers, floats; one of two values by class; stores under a condition
(integers: elements left alone are not stored). Not covered: maps between element types.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from gccllm.lab.train.predicates import draw_predicate
from gccllm.lab.train.shapes import COUNTS, ELEMS, I32, U8, Elem, Pair, Signature, const_word, make


def draw(rng: random.Random) -> Pair:
    kinds = {_map: 4, _where: 3, _clamp: 2, _two: 3, _two_floats: 2, _map_float: 2}
    return rng.choices(list(kinds), list(kinds.values()))[0](rng)


@dataclass(frozen=True)
class Float:
    """A float type, as far as it looks like `Elem`."""

    bits: int

    @property
    def c(self) -> str:
        return "float" if self.bits == 32 else "double"

    @property
    def shape(self) -> str:
        return f":{self.bits}:2"


@dataclass(frozen=True)
class Copy:
    """A loop from `a` (and `b`) to `o`, where `o` may be one of them."""

    count: str
    form: str

    @staticmethod
    def draw(rng: random.Random) -> Copy:
        count = rng.choice(["int", "int", "int", "unsigned", "long", "size_t", "size_t"])
        return Copy(count, rng.choice(["for", "for", "for", "while", "dowhile", "pointer"]))

    def loop(self, target: str, types: dict[str, str], value: str, before: str = "") -> str:
        """`types`: C type of each array that is read; they are x and y in `value`."""
        names = {"a": "x", "b": "y"}
        if self.form == "pointer":
            load = " ".join(f"{t} {names[p]} = *{p};" for p, t in types.items())
            moved = " ".join(f"{p}++;" for p in dict.fromkeys([*types, target]))
            return f"while (n-- > 0) {{ {load} {before}*{target} = {value}; {moved} }}"
        load = " ".join(f"{t} {names[p]} = {p}[i];" for p, t in types.items())
        body = f"{load} {before}{target}[i] = {value};"
        if self.form == "for":
            return f"for ({self.count} i = 0; i < n; i++) {{ {body} }}"
        if self.form == "while":
            return f"{self.count} i = 0; while (i < n) {{ {body} i++; }}"
        return f"if (n > 0) {{ {self.count} i = 0; do {{ {body} i++; }} while (i < n); }}"

    def under(self, target: str, ctype: str, test: str) -> str:
        """A loop whose body may store or not: `test` over x."""
        if self.form == "pointer":
            moved = " ".join(f"{p}++;" for p in dict.fromkeys(["a", target]))
            return f"while (n-- > 0) {{ {ctype} x = *a; {test} {moved} }}"
        body = f"{ctype} x = a[i]; {test}"
        if self.form == "for":
            return f"for ({self.count} i = 0; i < n; i++) {{ {body} }}"
        if self.form == "while":
            return f"{self.count} i = 0; while (i < n) {{ {body} i++; }}"
        return f"if (n > 0) {{ {self.count} i = 0; do {{ {body} i++; }} while (i < n); }}"


def arrays(
    rng: random.Random, elem: Elem | Float, count: str, *, two: bool = False, place: float = 0.5
) -> tuple[Signature, str]:
    """Parameters, and which array is stored to."""
    sig = Signature()
    target = ("ab" if two else "a")[rng.randrange(2 if two else 1)] if rng.random() < place else "o"
    for name, kind in (("a", "p"), ("b", "q"))[: 2 if two else 1]:
        sig.add(name, f"{'' if name == target else const_word(rng)}{elem.c} *{name}", f"{kind}{elem.shape}")
    if target == "o":
        entry = ("o", f"{elem.c} *o", f"o{elem.shape}")
        sig.add(*entry)
        if rng.random() < 0.3:
            sig.params.insert(0, sig.params.pop())
    sig.add("n", f"{count} n", f"n:{COUNTS[count]}")
    return sig, target


def expression(rng: random.Random, elem: Elem, sig: Signature) -> tuple[str, str, str]:
    """Name, C over x, lanes over x ({c}: an argument)."""
    number = rng.randint(2, 100)
    shift = rng.randint(1, elem.bits - 1)
    choices = [
        ("plus", f"x + {number}", f"x + {number}"),
        ("minus", f"x - {number}", f"x - {number}"),
        ("xor", f"x ^ {number}", f"x ^ {number}"),
        ("and", f"x & {number}", f"x & {number}"),
        ("or", f"x | {number}", f"x | {number}"),
        ("from", f"{number} - x", f"{number} - x"),
        ("not", "~x", "~x"),
        ("minus", "-x", "-x"),
        ("twice", "x + x", "x + x"),
    ]
    if elem.bits >= 16:
        linear = rng.randint(2, 100)
        choices += [
            ("times", f"x * {number}", f"x * {number}"),
            ("linear", f"x * {number} + {linear}", f"x * {number} + {linear}"),
            ("square", "x * x", "x * x"),
            ("right", f"x >> {shift}", f"x >> {shift}"),
            ("mix", f"x ^ (x >> {shift})", f"x ^ (x >> {shift})"),
        ]
        if not elem.signed or elem.bits == 16:
            choices += [("left", f"x << {shift % 16}", f"x << {shift % 16}")]
    if elem.bits >= 32 and not elem.signed:
        bits = elem.bits
        choices += [
            ("rotate", f"(x << {shift}) | (x >> {bits - shift})", f"(x << {shift}) | (x >> {bits - shift})")
        ] * 2
    if elem.signed:
        choices += [("abs", "x < 0 ? -x : x", "ABS(x)")] * 2
    if rng.random() < 0.3:
        sig.add("c", f"{elem.c} c", f"c{elem.shape}")
        choices = [
            ("argplus", "x + c", "x + {c}"),
            ("argxor", "x ^ c", "x ^ {c}"),
            ("argminus", "x - c", "x - {c}"),
            ("argfrom", "c - x", "{c} - x"),
            ("argand", "x & c", "x & {c}"),
        ]
        if elem.bits >= 16:
            choices += [("argtimes", "x * c", "x * {c}")] * 2
    return rng.choice(choices)


def _map(rng: random.Random) -> Pair:
    """o[i] = E(x), or one of two values by class."""
    elem = rng.choice([I32, U8, U8, *ELEMS])
    copy = Copy.draw(rng)
    sig, target = arrays(rng, elem, copy.count)
    name, plain, lanes = expression(rng, elem, sig)
    predicate = None
    if rng.random() < 0.5:
        predicate = draw_predicate(rng, elem, sig)
        if len({p.name for p in sig.params}) != len(sig.params) or len(sig.params) > 6:
            return _map(rng)
        other = rng.choice(["x", "x", "x", "0", str(rng.randint(1, 100))])
        if rng.random() < 0.3:
            plain, lanes, name = rng.choice(
                [("0", "0", "zero"), ("1", "1", "one"), (str(n := rng.randint(2, 100)), str(n), "number")]
            )
        plain = f"{predicate.c} ? {plain} : {other}"
        lanes = f"SEL(P, {lanes}, {other})"
        name += "-" + ("x" if other == "x" else "number")
    sig.shuffle(rng)
    if len(sig.params) > 6:
        sig.params = [p for p in sig.params if p.name != "unused_"]
    for p in sig.params:
        lanes = lanes.replace("{" + p.name + "}", sig.at(p.name))
    lanes = lanes.replace("P", predicate.text(sig)) if predicate else lanes
    c = copy.loop(target, {"a": elem.c}, plain)
    answer = f"MAP({sig.at('n')}, {sig.at(target)}, {sig.at('a')}, {lanes});"
    place = "place" if target == "a" else "copy"
    key = (
        f"map-{place}{'-class' if predicate else ''}/{elem.c}/{name}/{predicate.name if predicate else ''}/{copy.count}"
    )
    return make("moves", key, sig, "void", c, answer, predicate.values if predicate else ())


def _where(rng: random.Random) -> Pair:
    """Elements of a class changed or set, the others not stored; or both sides of a range set to its bounds."""
    elem = rng.choice([I32, I32, U8, *ELEMS])
    copy = Copy.draw(rng)
    sig, target = arrays(rng, elem, copy.count, place=0.75)
    kind = rng.choice(["set", "change", "change", "bounds"])
    values: tuple[int, ...] = ()
    here = f"{target}[i]" if copy.form != "pointer" else f"*{target}"
    if kind == "bounds":
        arguments = rng.random() < 0.5
        low, high = sorted(rng.sample(range(2 if not elem.signed else -100, 120), 2))
        if arguments:
            sig.add("lo", f"{elem.c} lo", f"c{elem.shape}")
            sig.add("hi", f"{elem.c} hi", f"c{elem.shape}")
        sig.shuffle(rng)
        lo, hi = ("lo", "hi") if arguments else (str(low), str(high))
        test = f"if (x < {lo}) {here} = {lo}; else if (x > {hi}) {here} = {hi};"
        la, ha = (sig.at("lo"), sig.at("hi")) if arguments else (lo, hi)
        where = f"(x < {la}) | (x > {ha})"
        lanes = f"SEL(x < {la}, {la}, {ha})"
        name, group, values = "bounds", f"{int(arguments)}", () if arguments else (low, high)
    else:
        name, plain, lanes = expression(rng, elem, sig)
        if kind == "set":
            number = rng.choice(["0", "0", "1", str(rng.randint(2, 100))])
            name, plain, lanes = "set", number, number
            sig.params = [p for p in sig.params if p.name != "c"]
        predicate = draw_predicate(rng, elem, sig)
        if len({p.name for p in sig.params}) != len(sig.params):
            return _where(rng)
        sig.shuffle(rng)
        test = f"if ({predicate.c}) {here} = {plain};"
        where = predicate.text(sig)
        if name.startswith("arg"):
            lanes = lanes.replace("{c}", sig.at("c"))
        group, values = predicate.name, predicate.values
    if len(sig.params) > 6:
        sig.params = [p for p in sig.params if p.name != "unused_"]
    c = copy.under(target, elem.c, test)
    answer = f"WHERE({sig.at('n')}, {sig.at(target)}, {sig.at('a')}, {where}, {lanes});"
    place = "place" if target == "a" else "copy"
    return make("moves", f"where-{place}/{elem.c}/{name}/{group}/{copy.count}", sig, "void", c, answer, values)


def _clamp(rng: random.Random) -> Pair:
    """Between two bounds, or on one side of one; the bounds are numbers or arguments."""
    elem = rng.choice([I32, I32, *ELEMS])
    copy = Copy.draw(rng)
    sig, target = arrays(rng, elem, copy.count)
    sides = rng.choice(["both", "both", "low", "high"])
    low, high = sorted(rng.sample(range(0 if not elem.signed else -100, 120), 2))
    if elem.signed and rng.random() < 0.2:
        low = 0
        high = max(high, 1)
    if not elem.signed and low == 0:
        low, high = 1, max(high, 2)
    arguments = rng.random() < 0.5
    if arguments and sides != "high":
        sig.add("lo", f"{elem.c} lo", f"c{elem.shape}")
    if arguments and sides != "low":
        sig.add("hi", f"{elem.c} hi", f"c{elem.shape}")
    sig.shuffle(rng)
    lo, hi = ("lo", "hi") if arguments else (str(low), str(high))
    la, ha = lo, hi
    if arguments:
        la = sig.at("lo") if sides != "high" else ""
        ha = sig.at("hi") if sides != "low" else ""
    plain, lanes = {
        "both": (f"x < {lo} ? {lo} : x > {hi} ? {hi} : x", f"SEL(x < {la}, {la}, SMALLER(x, {ha}))"),
        "low": (f"x < {lo} ? {lo} : x", f"LARGER(x, {la})"),
        "high": (f"x > {hi} ? {hi} : x", f"SMALLER(x, {ha})"),
    }[sides]
    before = ""
    if rng.random() < 0.4:
        before = {
            "both": f"if (x < {lo}) x = {lo}; else if (x > {hi}) x = {hi}; ",
            "low": f"if (x < {lo}) x = {lo}; ",
            "high": f"if (x > {hi}) x = {hi}; ",
        }[sides]
        plain = "x"
    c = copy.loop(target, {"a": elem.c}, plain, before)
    answer = f"MAP({sig.at('n')}, {sig.at(target)}, {sig.at('a')}, {lanes});"
    key = f"clamp-{'place' if target == 'a' else 'copy'}/{elem.c}/{sides}{int(arguments)}/{copy.count}"
    return make("moves", key, sig, "void", c, answer, () if arguments else (low, high))


def _two(rng: random.Random) -> Pair:
    """o[i] = x op y; o may be one of the two."""
    elem = rng.choice([I32, U8, *ELEMS])
    copy = Copy.draw(rng)
    sig, target = arrays(rng, elem, copy.count, two=True, place=0.6)
    choices = [
        ("plus", "x + y", ""),
        ("minus", "x - y", ""),
        ("xor", "x ^ y", ""),
        ("and", "x & y", ""),
        ("or", "x | y", ""),
        ("notand", "x & ~y", ""),
        ("larger", "x > y ? x : y", "LARGER(x, y)"),
        ("smaller", "x < y ? x : y", "SMALLER(x, y)"),
        ("absdiff", "x > y ? x - y : y - x", "LARGER(x, y) - SMALLER(x, y)"),
    ]
    number = rng.randint(2, 100)
    if elem.bits >= 16:
        choices += [("times", "x * y", ""), ("linear", f"x * {number} + y", "")]
        sig.add("c", f"{elem.c} c", f"c{elem.shape}")
        choices += [("saxpy", "c * x + y", "x * {c} + y"), ("saxpy", "x + c * y", "x + y * {c}")]
    name, plain, lanes = rng.choice(choices)
    if name != "saxpy":
        sig.params = [p for p in sig.params if p.name != "c"]
    sig.shuffle(rng)
    lanes = (lanes or plain).replace("{c}", sig.at("c") if name == "saxpy" else "")
    c = copy.loop(target, {"a": elem.c, "b": elem.c}, plain)
    answer = f"MAP2({sig.at('n')}, {sig.at(target)}, {sig.at('a')}, {sig.at('b')}, {lanes});"
    return make(
        "moves", f"two-{'copy' if target == 'o' else 'place'}/{elem.c}/{name}/{copy.count}", sig, "void", c, answer
    )


def _two_floats(rng: random.Random) -> Pair:
    """The same of floats, element by element, so that every result has one rounding order."""
    elem = Float(rng.choice([32, 32, 64]))
    copy = Copy.draw(rng)
    sig, target = arrays(rng, elem, copy.count, two=True, place=0.6)
    name, plain, lanes = rng.choice(
        [
            ("saxpy", "c * x + y", "x * {c} + y"),
            ("saxpy", "c * x + y", "x * {c} + y"),
            ("plus", "x + y", "x + y"),
            ("minus", "x - y", "x - y"),
            ("times", "x * y", "x * y"),
            ("over", "x - c * y", "x - y * {c}"),
            ("both", "(x + y) * c", "(x + y) * {c}"),
        ]
    )
    if "c" in lanes:
        sig.add("c", f"{elem.c} c", f"g:{elem.bits}")
    sig.shuffle(rng)
    lanes = lanes.replace("{c}", sig.at("c") if "c" in lanes else "")
    c = copy.loop(target, {"a": elem.c, "b": elem.c}, plain)
    answer = f"MAP2({sig.at('n')}, {sig.at(target)}, {sig.at('a')}, {sig.at('b')}, {lanes});"
    return make(
        "moves", f"twofloat-{'copy' if target == 'o' else 'place'}/{elem.c}/{name}/{copy.count}", sig, "void", c, answer
    )


def _map_float(rng: random.Random) -> Pair:
    elem = Float(rng.choice([32, 32, 64]))
    copy = Copy.draw(rng)
    sig, target = arrays(rng, elem, copy.count)
    name, plain, lanes = rng.choice(
        [
            ("times", "x * c", "x * {c}"),
            ("plus", "x + c", "x + {c}"),
            ("minus", "x - c", "x - {c}"),
            ("square", "x * x", "x * x"),
            ("linear", "x * c + d", "x * {c} + {d}"),
            ("centre", "(x - c) * d", "(x - {c}) * {d}"),
            ("over", "x / c", "x / {c}"),
        ]
    )
    for argument in "cd":
        if "{" + argument + "}" in lanes:
            sig.add(argument, f"{elem.c} {argument}", f"g:{elem.bits}")
    sig.shuffle(rng)
    for p in sig.params:
        lanes = lanes.replace("{" + p.name + "}", sig.at(p.name))
    c = copy.loop(target, {"a": elem.c}, plain)
    answer = f"MAP({sig.at('n')}, {sig.at(target)}, {sig.at('a')}, {lanes});"
    return make(
        "moves", f"mapfloat-{'copy' if target == 'o' else 'place'}/{elem.c}/{name}/{copy.count}", sig, "void", c, answer
    )
