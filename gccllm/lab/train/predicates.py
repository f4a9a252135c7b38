"""Predicates over one element: the C test of the plain side, and the lanes expression of an answer."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from gccllm.lab.train.shapes import Elem, Signature

_OPS = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}


@dataclass(frozen=True)
class Predicate:
    name: str
    c: str
    """Over `x`, in the plain side."""
    vector: str
    """Over `x`, in an answer; needs no parentheses around it as a macro's argument. `{c}` stands for the argument."""
    values: tuple[int, ...] = ()

    def text(self, sig: Signature) -> str:
        """The answer's expression, once the order of the parameters is known."""
        letters = {p.name: sig.at(p.name) for p in sig.params}
        text = self.vector
        for name, letter in letters.items():
            text = text.replace("{" + name + "}", letter)
        return text


def constant(rng: random.Random, elem: Elem) -> int:
    """A constant as they occur: small, characters, powers of two, sometimes anything."""
    draw = rng.random()
    if draw < 0.35:
        value = rng.randint(1, 127)
    elif draw < 0.5:
        value = rng.choice([10, 32, 48, 57, 58, 65, 90, 97, 122, 100, 50, 127, 9, 13, 44])
    elif draw < 0.62:
        value = 0
    elif draw < 0.72 and elem.signed:
        value = -rng.randint(1, 127)
    elif elem.bits == 8:
        value = rng.randint(max(elem.low, -127), min(elem.high, 254))
    else:
        value = rng.choice(
            [rng.randint(128, 1000), rng.randint(1000, 30000), rng.choice([128, 256, 512, 1000, 4096, 10000])]
        )
    return max(elem.low + 2, min(elem.high - 2, value))


def compare(elem: Elem, name: str, number: int) -> str:
    """x OP number in lanes, in the form that gcc gives it: <= and > with constants, never < and >=."""
    operator = _OPS[name]
    if name in ("lt", "ge"):
        number, operator = number - 1, "<=" if name == "lt" else ">"
    if not elem.signed and number == 0 and operator in ("<=", ">"):
        operator = "==" if operator == "<=" else "!="
    return f"x {operator} {number}"


def members(values: Sequence[int]) -> str:
    """x is one of `values` in lanes: as gcc merges two of them, otherwise in order, since it keeps no other."""
    low, *others = sorted(values)
    if len(others) == 1:
        bit = others[0] ^ low
        if others[0] == low + 1:
            return f"IN({low}, 1)"
        if bit & (bit - 1) == 0:
            return f"(x & {-1 - bit}) == {low}"
    return " | ".join(f"(x == {v})" for v in (low, *others))


_NAMES = ("eq", "eq", "ne", "lt", "le", "gt", "ge", "range", "range", "outside", "test", "clear", "either", "arg",
          "arg", "args")  # fmt: skip
_STRING_NAMES = ("eq", "eq", "range", "range", "either", "either", "three", "arg", "four")


def draw_predicate(
    rng: random.Random, elem: Elem, sig: Signature, *, string: bool = False, wide_equal: bool = False
) -> Predicate:
    """One predicate over `x`. Arguments it needs are added to `sig`: draw it before the shuffle, `text` it after.

    `string`: the predicate is false for 0 whatever the arguments (the terminator must not match).
    `wide_equal`: equality with an int argument, which an 8-bit element may not reach, is among the draws.
    """
    names = list(_STRING_NAMES if string else _NAMES)
    if not string:
        names += ["three"] * (elem.bits == 8) + ["negative", "negative", "notnegative"] * elem.signed
    if wide_equal and elem.bits == 8:
        names += ["wide"] * 3
    name = rng.choice(names)
    if name in _OPS:
        number = constant(rng, elem)
        if string and number == 0:
            number = 46
        return Predicate(name, f"x {_OPS[name]} {elem.literal(number)}", compare(elem, name, number), (number,))
    if name in ("range", "outside"):
        low = rng.choice([48, 65, 97, 32, rng.randint(1, 90), rng.randint(1, 90)])
        high = min(elem.high - 1, low + rng.choice([9, 25, 25, rng.randint(2, 36)]))
        if name == "range":
            text = (
                f"(x >= {elem.literal(low)} && x <= {elem.literal(high)})"
                if rng.random() < 0.7
                else f"(x > {elem.literal(low - 1)} && x < {elem.literal(high + 1)})"
            )
        else:
            text = f"(x < {elem.literal(low)} || x > {elem.literal(high)})"
        vector = f"{'IN' if name == 'range' else 'OUT'}({low}, {high - low})"
        return Predicate(name, text, vector, (low, high))
    if name in ("test", "clear"):
        bit = rng.choice([1, 1, 1, 2, 4, 8, 16, 32, 64, 3, 7, 15, 6, 12, rng.randint(1, 127)])
        operator = "!=" if name == "test" else "=="
        text = f"(x & {bit}) {operator} 0"
        if bit == 1:
            text = rng.choice([text, f"x % 2 {operator} 0"])
        return Predicate(name, text, f"(x & {bit}) {operator} 0", (bit,))
    if name in ("either", "three", "four"):
        count = {"either": 2, "three": 3, "four": 4}[name]
        pool = [32, 10, 9, 13, 44, 46, 59, 58, 45, 43] if rng.random() < 0.6 else list(range(1, 120))
        values = rng.sample(pool, count)
        text = " || ".join(f"x == {elem.literal(v)}" for v in values).join("()")
        return Predicate(name, text, members(values), tuple(values))
    if name in ("negative", "notnegative"):
        operator = "<" if name == "negative" else ">="
        return Predicate(name, f"x {operator} 0", f"x {operator} 0")
    if name == "args":
        sig.add("lo", f"{elem.c} lo", f"c{elem.shape}")
        sig.add("hi", f"{elem.c} hi", f"c{elem.shape}")
        return Predicate("args", "(x >= lo && x <= hi)", "(x >= {lo}) & (x <= {hi})")
    if name == "wide":
        sig.add("c", "int c", "w")
        return Predicate("wide", "x == c", "EQ({c})")
    op_name = "eq" if string else rng.choice(list(_OPS))
    sig.add("c", f"{elem.c} c", f"c{elem.shape}")
    return Predicate(f"arg{op_name}", f"x {_OPS[op_name]} c", f"x {_OPS[op_name]} {{c}}")
